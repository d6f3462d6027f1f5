"""What the kill script calls whole, and that it sees a job that is not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kills

WHOLE = {"a": b"all of it", "b": b"more"}


def test_half_made_files_are_told_from_whole_missing_temporary_and_growing_ones():
    found = {"a": b"all", ".1.part": b"al", "log": b"1", "c": b"unknown"}
    assert kills.half_made(found, WHOLE, ("log",)) == ["a", "c"]
    assert kills.half_made({"b": b"more"}, WHOLE, ()) == []


def test_after_the_next_run_nothing_is_missing_other_or_left():
    assert kills.different(WHOLE, dict(WHOLE)) == []
    assert kills.different({"a": b"all of it", ".1.part": b""}, WHOLE) == [".1.part", "b"]


def slow(text: bytes) -> None:
    """Not as a job should: the file is there before all of it is written, and is never mended."""
    if not Path("out").exists():
        with open("out", "wb", buffering=0) as stream:
            for letter in text:
                time.sleep(0.02)
                stream.write(bytes([letter]))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_job_that_leaves_half_a_file_is_found():
    tally = kills.killed("job", lambda: slow(b"twelve bytes"), 4, np.random.default_rng(3))
    assert tally.kills == 4 and tally.at_work >= 1 and tally.seconds > 0.2
    assert set(tally.half_made) == {"out"} and set(tally.different) == {"out"} and tally.faults >= 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_next_run_that_fails_is_a_fault():
    def unwilling() -> None:
        if os.path.exists("begun"):
            raise RuntimeError
        Path("begun").touch()
        time.sleep(0.2)

    tally = kills.killed("job", unwilling, 1, np.random.default_rng(0))
    assert tally.failed == tally.kills == 1
