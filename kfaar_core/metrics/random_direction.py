"""The distribution of the cosine between a fixed and a random direction in d dimensions, expected of wrong keys.

For a cosine t, (1 + t) / 2 has a Beta distribution with both parameters (d - 1) / 2. Its tail is the probability that a
random key is accepted at a threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from kfaar_core.errors import BadSetting
from kfaar_core.metrics.verification import checked


@dataclass(frozen=True)
class LawTest:
    """Kolmogorov-Smirnov test of cosines against the distribution of a random direction."""

    statistic: float  # largest distance of the two distribution functions, in [0, 1]
    p_value: float  # small: the cosines have another distribution
    mean: float  # of the cosines; 0 is expected
    sd: float  # of the cosines; expected_sd is expected
    expected_sd: float  # 1 / sqrt(d)
    n: int  # cosines


def sd(dimension: int) -> float:
    """Standard deviation of the cosine: 1 / sqrt(d)."""
    return 1 / math.sqrt(checked_dimension(dimension))


def tail(cosine: float | np.ndarray, dimension: int) -> np.ndarray:
    """P(cosine of a random direction >= cosine), elementwise. Accurate far into the tail."""
    half = (checked_dimension(dimension) - 1) / 2
    return special.betainc(half, half, (1 - np.clip(cosine, -1.0, 1.0)) / 2)


def reached(probability: float, dimension: int) -> float:
    """The cosine that a random direction reaches with this probability: the inverse of `tail`."""
    half = (checked_dimension(dimension) - 1) / 2
    return 1 - 2 * float(special.betaincinv(half, half, probability))


def below(cosine: float | np.ndarray, dimension: int) -> np.ndarray:
    """P(cosine of a random direction <= cosine), elementwise: the distribution function."""
    return tail(-np.asarray(cosine, dtype=np.float64), dimension)


def law_test(cosines: np.ndarray, dimension: int) -> LawTest:
    """Compare (N,) wrong-key cosines (Eq. 12) with the law.

    The p-value holds for independent trials: one for each person and key.
    """
    cosines = checked("wrong-key", cosines)
    found = stats.kstest(cosines, lambda values: below(values, dimension))
    return LawTest(
        statistic=float(found.statistic),
        p_value=float(found.pvalue),
        mean=float(cosines.mean()),
        sd=float(cosines.std()),
        expected_sd=sd(dimension),
        n=cosines.size,
    )


def checked_dimension(dimension: int) -> int:
    if dimension < 2:
        raise BadSetting(got=f"{dimension} dimensions", mend="give at least 2")
    return dimension
