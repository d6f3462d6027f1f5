"""The README's first picture says what the run said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from PIL import Image

from benchmarks import teaser

GREY = np.full((20, 20, 3), 128, dtype=np.uint8)


def verdict(cosine, same):
    return SimpleNamespace(cosine=cosine, same_person=same)


def face(cosine, anonymous, level=200):
    return SimpleNamespace(portrait=np.full_like(GREY, level), judge_cosine=cosine, anonymous=anonymous)


def test_every_number_and_answer_is_that_of_the_run():
    faces = [face(0.04, True, 10), face(0.51, False, 20)]
    photo, first, second, right, wrong = teaser.panels(GREY, faces, verdict(0.87, True), verdict(0.66, True))
    assert "another person: 0.04" in first.words and first.colour == teaser.GOOD
    assert "the same person: 0.51" in second.words and second.colour == teaser.BAD
    assert right.words == "same person: cosine 0.87" and right.colour == teaser.GOOD
    assert wrong.words == "same person: cosine 0.66" and wrong.colour == teaser.BAD  # a failure is shown as one
    assert photo.picture is GREY and [panel.picture[0, 0, 0] for panel in (second, right, wrong)] == [20, 10, 10]
    refused = teaser.panels(GREY, faces, verdict(0.1, False), verdict(0.0, False))[3:]
    assert [panel.colour for panel in refused] == [teaser.BAD, teaser.GOOD]


def test_the_strip_shows_every_picture_in_order():
    levels = (30, 90, 220)
    sheet = np.asarray(teaser.strip([teaser.Panel(np.full_like(GREY, level), "t", "w") for level in levels]))
    step = teaser.SIDE + teaser.GAP
    middles = [sheet[teaser.GAP + teaser.SIDE // 2, teaser.GAP + n * step + teaser.SIDE // 2, 0] for n in range(3)]
    assert middles == list(levels)
    below = sheet[teaser.GAP + teaser.SIDE :]
    assert all((below[:, n * step : (n + 1) * step] < 100).any() for n in range(3))  # each has its words


def test_the_command_writes_a_small_picture(tmp_path):
    path = tmp_path / "new" / "teaser.jpg"
    teaser.main(["-o", str(path), "--preset", "tiny"])
    with Image.open(path) as sheet:
        assert sheet.width > 3 * sheet.height
    assert path.stat().st_size < 400_000
