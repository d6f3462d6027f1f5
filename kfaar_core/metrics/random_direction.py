"""The law of the cosine between a fixed direction and a random one in d dimensions: what a wrong key must look like.

With t the cosine, (1 + t) / 2 follows a Beta distribution with both parameters (d - 1) / 2. Its tail is the chance that
a random key passes a threshold.
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
    """Kolmogorov-Smirnov test of cosines against the law."""

    statistic: float  # largest distance of the two distribution functions, in [0, 1]
    p_value: float  # small: the cosines do not follow the law
    mean: float  # expected 0
    sd: float  # expected expected_sd
    expected_sd: float
    n: int


def sd(dimension: int) -> float:
    """Standard deviation of the cosine: 1 / sqrt(d)."""
    return 1 / math.sqrt(checked_dimension(dimension))


def tail(cosine: float | np.ndarray, dimension: int) -> np.ndarray:
    """P(cosine of a random direction >= the given one), exact far into the tail; any shape."""
    half = (checked_dimension(dimension) - 1) / 2
    return special.betainc(half, half, (1 - np.clip(cosine, -1.0, 1.0)) / 2)


def reached(probability: float, dimension: int) -> float:
    """The cosine that a random direction reaches with that probability: the inverse of `tail`."""
    half = (checked_dimension(dimension) - 1) / 2
    return 1 - 2 * float(special.betaincinv(half, half, probability))


def below(cosine: float | np.ndarray, dimension: int) -> np.ndarray:
    """P(cosine of a random direction <= the given one): the distribution function; the law is symmetric."""
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
