"""D_sys and maximal linkability where they can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.metrics.unlinkability import linkability, noise_floor


def test_scores_apart_are_linked_fully_and_equal_ones_not_at_all():
    apart = linkability(np.full(50, 0.9), np.full(70, 0.1))
    assert (apart.system, apart.maximal) == (1, 1)
    same = linkability(np.arange(100) / 100, np.arange(100) / 100)
    assert same.system == pytest.approx(0) and same.maximal == pytest.approx(0)


def test_two_bins_by_hand():
    """Mated 3 of 4 above, non-mated 1 of 4: LR = 3 there, D = 2 * 3 / 4 - 1 = 1/2, for 3/4 of the mated scores."""
    mated, non_mated = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0])
    found = linkability(mated, non_mated, bins=2)
    assert found.system == pytest.approx(3 / 8)
    assert found.maximal == pytest.approx(np.log2(1.5))


def test_the_order_of_scores_and_their_scale_do_not_matter(rng):
    mated, non_mated = rng.normal(1, 1, 300), rng.normal(0, 1, 900)
    a, b = linkability(mated, non_mated), linkability(5 * rng.permutation(mated) - 2, 5 * non_mated - 2)
    assert a.system == pytest.approx(b.system, abs=0.01)


def test_noise_alone_reaches_its_floor(rng):
    drawn = [rng.normal(size=(2, 327)) for _ in range(60)]
    found = [linkability(*pair, bins=100).system for pair in drawn]
    floor = noise_floor(*drawn[0], rng, bins=100)
    assert floor.system == pytest.approx(np.mean(found), abs=0.02) and floor.system < floor.system_high
    few = noise_floor(*drawn[0], rng, bins=10)
    assert few.system < floor.system / 2  # fewer bins, less bias


def test_what_cannot_be_measured(rng):
    with pytest.raises(DataMissing):
        linkability(np.array([]), np.ones(3))
    with pytest.raises(BadSetting):
        linkability(np.ones(3), np.ones(3), bins=1)
