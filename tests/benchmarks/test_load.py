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
    found = load.load(app, clients=2, seconds=2 + 2 * app.ready_s / 5, folder=tmp_path)  # a busy machine takes longer
    assert found["errors"] == {} and found["mixed_up"] == found["lost"] == 0
    assert found["own_pictures"] == 2 and found["app_alive"]
    assert found["answered"]["n"] >= 4 and found["answered"]["p95_s"] <= found["answered"]["max_s"]


def test_what_is_wrong_is_seen(app, tmp_path):
    first, second = load.visitors(app.address, 2, tmp_path)
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


def test_errors_are_counted_by_kind():
    tally = load.Tally()
    tally.failed("anonymise", load.Mixed("a picture"))
    tally.failed("authenticate", TimeoutError())
    report = tally.report()
    assert report["mixed_up"] == report["lost"] == 1 and len(report["errors"]) == 2 and report["answered"] == {"n": 0}
