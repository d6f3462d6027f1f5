"""Operating points by the names of the field: EER, FMR20, FMR100, FMR1000, ZeroFMR, ZeroFNMR; and d'.

FMR and FNMR are the FAR and FRR of metrics.verification: shares of comparisons, a pair matching when its score is at
least the threshold. FMRn is the lowest FNMR at which at most one impostor comparison in n matches, so FMR20 allows
5 %, FMR100 1 % and FMR1000 0.1 % (FVC2000; ISO/IEC 19795-1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.metrics.verification import ROUNDING, Roc, checked, crossing, tar_within

LIMITS = {"FMR20": 1 / 20, "FMR100": 1 / 100, "FMR1000": 1 / 1000, "ZeroFMR": 0.0}  # name -> the highest FMR allowed


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold and the errors there."""

    name: str
    threshold: float
    fmr: float  # share of impostor comparisons that match, in [0, 1]
    fnmr: float  # share of genuine comparisons that do not, in [0, 1]


@dataclass(frozen=True)
class EqualErrorRange:
    """The equal error rate by the rule of FVC2000, which does not interpolate."""

    low: float
    high: float
    rate: float  # (low + high) / 2
    threshold: float


def operating_points(curve: Roc) -> tuple[OperatingPoint, ...]:
    """The points of LIMITS and ZeroFNMR on one curve.

    A point is one of the curve's own, never between two: a list of 50 impostors has no FMR of 1 %, and FMR100 is then
    the same point as ZeroFMR.

    Args:
        curve: far and tar (T,).
    """
    found = [(name, np.count_nonzero(curve.far <= limit + ROUNDING) - 1) for name, limit in LIMITS.items()]
    found.append(("ZeroFNMR", np.argmax(curve.tar >= 1)))
    return tuple(
        OperatingPoint(name, threshold_at(curve, index), float(curve.far[index]), float(1 - curve.tar[index]))
        for name, index in ((name, lowest(curve, int(index))) for name, index in found)
    )


def lowest(curve: Roc, index: int) -> int:
    """The first point with the FMR and TAR of this one: of equal points the one with the highest threshold."""
    same = (curve.far == curve.far[index]) & (curve.tar == curve.tar[index])
    return int(np.argmax(same))


def threshold_at(curve: Roc, index: int) -> float:
    """The threshold of a point as a finite number: just above the highest score for the point that matches nothing."""
    return float(curve.thresholds[index] if index else np.nextafter(curve.thresholds[1], np.inf))


def fnmr_at(curve: Roc, limit: float) -> np.ndarray:
    """The lowest FNMR of each curve, (...), with an FMR of at most `limit`."""
    return 1 - tar_within(curve, limit)


def equal_error_range(curve: Roc) -> EqualErrorRange:
    """The equal error rate by the rule of FVC2000: of the two points where FMR - FNMR changes its sign the one with the
    smaller sum, and the middle of its two rates. metrics.verification interpolates between the two points instead.

    Args:
        curve: far and tar (T,).
    """
    after = int(crossing(curve)[1])
    sums = curve.far - curve.tar  # FMR + FNMR - 1
    crossed = abs(curve.far[after] + curve.tar[after] - 1) > ROUNDING  # otherwise this point has equal rates
    index = after - 1 if crossed and sums[after - 1] < sums[after] - ROUNDING else after
    low, high = sorted((float(curve.far[index]), float(1 - curve.tar[index])))
    return EqualErrorRange(low, high, (low + high) / 2, threshold_at(curve, index))


def decidability(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """d': the distance of the two means in units of the pooled standard deviation (Daugman).

    Args:
        genuine: (N,) scores.
        impostor: (M,) scores.

    Returns:
        At least 0; 0 for equal means, infinite for different means without any spread.
    """
    genuine, impostor = checked("genuine", genuine), checked("impostor", impostor)
    gap, spread = abs(genuine.mean() - impostor.mean()), np.sqrt((genuine.var() + impostor.var()) / 2)
    if spread > 0:
        return float(gap / spread)
    return float("inf") if gap > 0 else 0.0
