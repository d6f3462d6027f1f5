"""The 95 % confidence band around a ROC curve, by the same bootstrap over people as every interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.metrics.bootstrap import LEVEL, RESAMPLES, resampled_figures
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc, tar_within


@dataclass(frozen=True)
class ConfidenceBand:
    """Lower and upper bounds of TAR at each FAR."""

    far: np.ndarray  # (G,) rising
    low: np.ndarray  # (G,)
    high: np.ndarray  # (G,)


def roc_interval(
    scores: ScorePair, far: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> ConfidenceBand:
    """The 95 % bootstrap band of a ROC curve: an interval of TAR at each FAR.

    Args:
        scores: (N,) genuine and (M,) impostor scores.
        far: (G,) rising, in [0, 1].
        rng: draws the resamples.
        resamples: R, at least 1,000.
    """

    def tar(curves: Roc) -> np.ndarray:
        return np.stack([tar_within(curves, float(limit)) for limit in far], axis=1)  # (r, G)

    figures = resampled_figures(tar, scores, rng, resamples)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(figures, [tail, 1 - tail], axis=0)  # (G,) each
    return ConfidenceBand(far=np.asarray(far, dtype=np.float64), low=low, high=high)
