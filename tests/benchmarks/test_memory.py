"""The line through the memory of the app."""

from __future__ import annotations

import math

import pytest

from benchmarks.memory import slope


def test_the_slope_is_that_of_the_line_after_the_warm_up():
    at = [0, 20, 120, 220]
    assert slope(at, [100.0, 900.0, 903.0, 906.0]) == pytest.approx(3.0)


def test_too_few_points_have_no_slope():
    assert math.isnan(slope([0, 20], [100.0, 900.0]))
