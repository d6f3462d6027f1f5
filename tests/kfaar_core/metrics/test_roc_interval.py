"""The band holds the curve, and is as wide as an independent computation says."""

from __future__ import annotations

import numpy as np

from kfaar_core.metrics.roc_interval import roc_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import roc, tar_within


def test_the_band_holds_the_curve_and_shrinks_with_people(rng):
    far = np.array([0.05, 0.2, 1.0])
    widths = []
    for people in (30, 300):
        genuine, impostor = rng.normal(0.5, 0.3, people), rng.normal(0, 0.3, people)
        band = roc_interval(ScorePair(genuine, np.arange(people), impostor, np.arange(people)), far, rng)
        found = np.array([tar_within(roc(genuine, impostor), limit) for limit in far])
        assert np.all(band.low <= found + 1e-12) and np.all(found <= band.high + 1e-12)
        assert band.low[-1] == band.high[-1] == 1
        widths.append(band.high[0] - band.low[0])
    assert widths[1] < widths[0]


def test_a_tar_that_no_impostor_bounds_has_the_binomial_width(rng):
    """Impostors all at -1: TAR at a small FAR is 1 only for genuine above -1; half of them tie with the impostors."""
    genuine = np.array([0.5, -1.0] * 50)
    impostor = np.full(100, -1.0)
    band = roc_interval(ScorePair(genuine, np.arange(100), impostor, np.arange(100)), np.array([0.01]), rng, 4000)
    sd = np.sqrt(0.25 / 100)
    np.testing.assert_allclose([band.low[0], band.high[0]], [0.5 - 1.96 * sd, 0.5 + 1.96 * sd], atol=0.015)
