"""Unlinkability: how much a similarity score tells about whether two protected templates are of one person.

D_sys is of Gomez-Barrero, Galbally, Rathgeb and Busch (IEEE TIFS 13, 2018, Eq. 6 and 7), for ISO/IEC 24745; maximal
linkability is of Otroshi Shahreza, Shkel and Marcel (IEEE TIFS 18, 2023). Both are 0 for equal distributions and 1 for
distributions apart. Estimated from histograms, both are above 0 for pure noise: compare with `noise_floor`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.errors import BadSetting
from kfaar_core.metrics.verification import checked

BINS = 10  # of both histograms  [design: more bins, more bias]
PERMUTATIONS = 200  # of the noise floor  [design]
TAIL = 0.95  # of the permutations, the upper end of the noise


@dataclass(frozen=True)
class Linkability:
    """Both measures of one pair of score sets, in [0, 1]; 0 = cannot be linked."""

    system: float  # D_sys with equal priors (omega = 1)
    maximal: float  # bits that a score tells at most about the two hypotheses


@dataclass(frozen=True)
class NoiseFloor:
    """What both measures reach when labels are exchanged at random: mean, and the value that 5 % exceed."""

    system: float
    system_high: float
    maximal: float
    maximal_high: float


def linkability(mated: np.ndarray, non_mated: np.ndarray, bins: int = BINS) -> Linkability:
    """Both measures.

    Args:
        mated: (N,) scores of two templates of one person.
        non_mated: (M,) scores of templates of two people.
        bins: of equal width, from the lowest to the highest score of either.

    Raises:
        DataMissing: no scores, or scores that are not finite.
        BadSetting: fewer than 2 bins.
    """
    mated, non_mated = checked("mated", mated), checked("non-mated", non_mated)
    if bins < 2:
        raise BadSetting(got=f"{bins} bins", mend="use at least 2")
    every = np.concatenate([mated, non_mated])
    place = _bins(every, bins)
    return _measured(*(np.bincount(some, minlength=bins) for some in np.split(place, [mated.size])))


def noise_floor(
    mated: np.ndarray,
    non_mated: np.ndarray,
    rng: np.random.Generator,
    bins: int = BINS,
    permutations: int = PERMUTATIONS,
) -> NoiseFloor:
    """Both measures for labels that are exchanged at random, with as many of each kind."""
    mated, non_mated = checked("mated", mated), checked("non-mated", non_mated)
    place = _bins(np.concatenate([mated, non_mated]), bins)
    total = np.bincount(place, minlength=bins)
    # Which bins the mated scores fall into when labels say nothing: drawn without replacement.
    drawn = rng.multivariate_hypergeometric(total, mated.size, size=permutations)  # (R, bins)
    found = [_measured(some, total - some) for some in drawn]
    system, maximal = np.array([f.system for f in found]), np.array([f.maximal for f in found])
    high = [float(np.quantile(values, TAIL)) for values in (system, maximal)]
    return NoiseFloor(float(system.mean()), high[0], float(maximal.mean()), high[1])


def _bins(scores: np.ndarray, bins: int) -> np.ndarray:
    """The number of the bin of each score, 0 to bins - 1."""
    low, high = float(scores.min()), float(scores.max())
    if low == high:
        return np.zeros(scores.size, dtype=np.int64)
    return np.minimum(((scores - low) / (high - low) * bins).astype(np.int64), bins - 1)


def _measured(mated: np.ndarray, non_mated: np.ndarray) -> Linkability:
    """Both measures from counts in bins."""
    p, q = mated / mated.sum(), non_mated / non_mated.sum()
    # D(s) = 2 LR / (1 + LR) - 1 = (p - q) / (p + q) where LR = p / q > 1, else 0
    local = np.divide(p - q, p + q, out=np.zeros_like(p), where=p > q)
    return Linkability(float(local @ p), float(np.log2(np.maximum(p, q).sum())))
