"""The load script on the stand-in: it finds nothing wrong there, and it would see a mixed-up answer."""

from __future__ import annotations

import sys

import pytest

from benchmarks import load
from benchmarks.serving import serving

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def app():
    with serving([sys.executable, "-m", "tests.demo.stand_in"]) as served:
        yield served


@pytest.mark.slow
def test_a_short_load_loses_and_mixes_nothing(app, tmp_path):
    found = load.load(
        app, clients=2, seconds=2 + 2 * app.ready_s / 5, manner=load.Manner(tmp_path)
    )  # a busy machine takes longer
    assert found["errors"] == {} and found["mixed_up"] == found["lost"] == 0
    assert found["own_pictures"] == 2 and found["app_alive"]
    assert found["answered"]["n"] >= 4 and found["answered"]["p95_s"] <= found["answered"]["max_s"]


def test_what_is_wrong_is_seen(app, tmp_path):
    first, second = load.visitors(app.address, 2, load.Manner(tmp_path))
    first.good_face()
    first.digest, second.verdict = second.digest, {"cosine": 0.0}  # as if each had been given the other's answer
    with pytest.raises(load.Mixed):
        first.good_face()
    with pytest.raises(load.Mixed):
        second.good_key()
    with pytest.raises(load.Unexpected, match="taken"):
        first.refused("face", "metrics", [0.1], [0.2], 0.5)
    with pytest.raises(load.Unexpected, match="refused with"):
        first.refused("another word", "metrics", "none", [0.2], 0.5)


def test_every_kind_of_request_goes_well_alone(app, tmp_path):
    (visitor,) = load.visitors(app.address, 1, load.Manner(tmp_path, refine=False))
    for kind, request, _ in visitor.kinds():
        if kind != "large photo":  # seconds
            request()
    assert sum(share for *_, share in visitor.kinds()) == pytest.approx(1)


def test_what_grows_or_is_kept_is_not_sound():
    report = {"app_alive": True, "own_pictures": 2, "clients": 2, "errors": {}, "memory_growth_mb": 5.0}
    assert load.sound(report, {}) and load.sound(report, {"files_after_their_time": 0})
    assert not load.sound(report, {"files_after_their_time": 1})
    for worse in ({"errors": {"a": 1}}, {"memory_growth_mb": 101.0}, {"own_pictures": 1}, {"app_alive": False}):
        assert not load.sound({**report, **worse}, {})


def test_growth_leaves_out_the_first_minutes_and_large_photos():
    assert load.growth([100, 200, *[500] * 6, 900, 510]) == pytest.approx(205)  # of the last two
    assert load.growth([100, 100, 500, 500, *[500] * 3, 520, 520, 520]) == pytest.approx(20)
    assert load.growth([1, 2]) == 0


def test_errors_are_counted_by_kind():
    tally = load.Tally()
    tally.failed("anonymise", load.Mixed("a picture"))
    tally.failed("authenticate", TimeoutError())
    report = tally.report()
    assert report["mixed_up"] == report["lost"] == 1 and len(report["errors"]) == 2 and report["answered"] == {"n": 0}
