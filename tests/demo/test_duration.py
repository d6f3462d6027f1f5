from __future__ import annotations

from demo.duration import of_drawing, seconds


def test_the_work_is_photos_times_keys_times_tries():
    start = seconds(0, 9, True)
    assert seconds(2, 3, True) - start == 6 * (seconds(1, 1, True) - start)
    assert seconds(1, 4, False, tries=2) - start == 8 * (seconds(1, 1, False) - start)
    assert 0 < start < seconds(1, 1, False) < seconds(1, 1, True) < 60  # s, what a visitor without an account may ask


def test_a_drawing_asks_for_what_its_request_needs():
    assert of_drawing({"refine": True}, "00") == of_drawing({}, "ff" * 32) == seconds(1, 1, True)
    assert of_drawing({"refine": False}, "00") == seconds(1, 1, False)
    assert of_drawing({"refine": False, "rekey": 3}, "00") == seconds(1, 1, False, 4)
