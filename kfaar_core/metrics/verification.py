"""Verification metrics: FAR, FRR, CRR, ROC, AUC, EER, TAR at FAR, thresholds (Tables III, VI, VIII, X; Fig. 9a).

Conventions: a score is a cosine; higher means the same person. A pair is accepted when its score >= threshold. FAR is
the share of impostor pairs accepted, FRR the share of genuine pairs rejected, TAR = 1 - FRR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.errors import DataMissing

ROUNDING = 1e-12  # tolerance in comparing shares: 1 of 100 is within 1 %


@dataclass(frozen=True)
class ErrorRates:
    """Both kinds of error at one threshold."""

    far: float  # share of impostor pairs accepted, in [0, 1]
    frr: float  # share of genuine pairs rejected, in [0, 1]


@dataclass(frozen=True)
class Roc:
    """A ROC curve: the operating points from "accepts nothing" to "accepts everything".

    `far` and `tar` may have leading axes, for example one curve for each bootstrap resample, with common thresholds.
    """

    thresholds: np.ndarray  # (T,) decreasing: +inf, then every distinct score
    far: np.ndarray  # (..., T) increasing from 0 to 1
    tar: np.ndarray  # (..., T) increasing from 0 to 1


@dataclass(frozen=True)
class EqualError:
    """The equal error rate, at which FAR equals FRR."""

    rate: float  # in [0, 1]; 0.5 is chance
    threshold: float  # the score at which the curve reaches that point


@dataclass(frozen=True)
class BestThreshold:
    """The threshold with the highest CRR, the share of right decisions."""

    threshold: float
    crr: float  # in [0, 1]


def checked(name: str, values: np.ndarray) -> np.ndarray:
    """Check scores and convert them to float64: (N,), N >= 1, all finite.

    Args:
        name: of the scores, for the error.

    Raises:
        DataMissing: no score, another shape, or a score that is not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise DataMissing(
            got=f"{name} scores of shape {scores.shape}, where a list of at least one is needed",
            mend="use more people, or look why every trial failed",
        )
    if not np.isfinite(scores).all():
        raise DataMissing(
            got=f"{name} scores that are not finite numbers",
            mend="count trials without a score in Scores.failed instead of scoring them",
        )
    return scores


def error_rates(genuine: np.ndarray, impostor: np.ndarray, threshold: float) -> ErrorRates:
    """FAR and FRR at a threshold, from (N,) genuine and (M,) impostor scores."""
    genuine, impostor = checked("genuine", genuine), checked("impostor", impostor)
    return ErrorRates(far=float(np.mean(impostor >= threshold)), frr=float(np.mean(genuine < threshold)))


def crr(genuine: np.ndarray, impostor: np.ndarray, threshold: float) -> float:
    """Correct recognition rate (Table VI): the share of right decisions over all genuine and impostor pairs.

    The paper does not define CRR. Its curve in Fig. 9a has an inner maximum, so it is an accuracy. With as many
    impostor as genuine pairs (scenarios.pairs makes them so), it is the mean of TAR and 1 - FAR.

    Args:
        genuine: (N,) scores.
        impostor: (M,) scores.
        threshold: pairs with at least this score are accepted.
    """
    genuine, impostor = checked("genuine", genuine), checked("impostor", impostor)
    right = np.count_nonzero(genuine >= threshold) + np.count_nonzero(impostor < threshold)
    return right / (genuine.size + impostor.size)


def roc(
    genuine: np.ndarray,
    impostor: np.ndarray,
    genuine_weights: np.ndarray | None = None,
    impostor_weights: np.ndarray | None = None,
) -> Roc:
    """The ROC curve of genuine and impostor scores, optionally weighted.

    Args:
        genuine: (N,) scores.
        impostor: (M,) scores.
        genuine_weights: (..., N) weight of each trial, for example its count in a bootstrap resample; None = 1 each.
        impostor_weights: (..., M) likewise.
    """
    genuine, impostor = checked("genuine", genuine), checked("impostor", impostor)
    distinct = np.unique(np.concatenate([genuine, impostor]))[::-1]
    thresholds = np.concatenate([[np.inf], distinct])  # (T,)
    return Roc(
        thresholds=thresholds,
        far=accepted_share(impostor, thresholds, impostor_weights),
        tar=accepted_share(genuine, thresholds, genuine_weights),
    )


def accepted_share(scores: np.ndarray, thresholds: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The weighted share of scores at or above each threshold.

    Args:
        scores: (N,).
        thresholds: (T,).
        weights: (..., N); None = 1 each.

    Returns:
        (..., T) in [0, 1]; NaN if all weights are 0.
    """
    order = np.argsort(scores)
    accepted = scores.size - np.searchsorted(scores[order], thresholds, side="left")  # (T,) how many
    if weights is None:
        return accepted / scores.size
    falling = np.asarray(weights, dtype=np.float64)[..., order[::-1]]
    total = np.zeros((*falling.shape[:-1], scores.size + 1))
    np.cumsum(falling, axis=-1, out=total[..., 1:])  # (..., N + 1) weight of the k highest scores
    with np.errstate(invalid="ignore"):
        return total[..., accepted] / total[..., -1:]


def thinned(curve: Roc, most: int = 2000) -> Roc:
    """At most about `most` of the points of one curve, spread evenly over ROC and DET plots; the ends are kept.

    The length of the curve is measured in log FAR, log FRR and TAR. The kept points are points of the curve, unchanged.

    Args:
        curve: far and tar (T,).
        most: number of points; a curve with fewer is returned as it is.
    """
    if curve.thresholds.size <= most:
        return curve
    least = 1e-6
    axes = np.log10(np.maximum(curve.far, least)), np.log10(np.maximum(1 - curve.tar, least)), curve.tar
    steps = sum(np.abs(np.diff(axis)) / (np.ptp(axis) or 1.0) for axis in axes)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    kept = np.searchsorted(length, np.linspace(0, length[-1], most))
    kept = np.unique(np.concatenate([[0], kept.clip(max=length.size - 1), [length.size - 1]]))
    return Roc(curve.thresholds[kept], curve.far[kept], curve.tar[kept])


def area(curve: Roc) -> np.ndarray:
    """Area under each curve, (...): P(genuine > impostor) + P(equal) / 2."""
    return np.trapezoid(curve.tar, curve.far, axis=-1)


def equal_error(curve: Roc) -> np.ndarray:
    """Equal error rate of each curve, (...), with linear interpolation between operating points."""
    return crossing(curve)[0]


def crossing(curve: Roc) -> tuple[np.ndarray, np.ndarray]:
    """The equal error rate of each curve, (...), and the index of the first operating point at or after it, (...)."""
    excess = curve.far + curve.tar - 1  # FAR - FRR, rising from -1 to 1
    after = np.maximum(np.argmax(excess >= 0, axis=-1), 1)[..., None]
    excess_after, excess_before = take(excess, after), take(excess, after - 1)
    far_after, far_before = take(curve.far, after), take(curve.far, after - 1)
    share = excess_before / (excess_before - excess_after)
    return far_before + share * (far_after - far_before), after[..., 0]


def take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The entries of values (..., T) at index (..., 1): (...)."""
    return np.take_along_axis(values, index, axis=-1)[..., 0]


def tar_within(curve: Roc, far: float) -> np.ndarray:
    """The highest TAR of each curve, (...), with a FAR of at most `far`; without interpolation."""
    last = np.maximum(np.count_nonzero(curve.far <= far + ROUNDING, axis=-1) - 1, 0)[..., None]
    return np.where(np.isnan(curve.far[..., -1]), np.nan, take(curve.tar, last))  # NaN: a resample without impostors


def auc(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Area under the ROC curve of (N,) genuine and (M,) impostor scores; ties count half.

    For virtual faces it measures their synchronism (Eq. 2, Table III).
    """
    return float(area(roc(genuine, impostor)))


def eer(genuine: np.ndarray, impostor: np.ndarray) -> EqualError:
    """Equal error rate of (N,) genuine and (M,) impostor scores."""
    curve = roc(genuine, impostor)
    rate, index = crossing(curve)
    return EqualError(rate=float(rate), threshold=float(curve.thresholds[index]))


def threshold_at_fmr(impostor: np.ndarray, fmr: float) -> float:
    """The lowest threshold that accepts at most the share `fmr` of (M,) impostor scores.

    For `fmr` below 1 / M it is just above the highest score, and no impostor is accepted.
    """
    falling = np.sort(checked("impostor", impostor))[::-1]
    allowed = int(np.floor((fmr + ROUNDING) * falling.size))
    if allowed >= falling.size:
        return float(falling[-1])
    return float(np.nextafter(falling[allowed], np.inf))  # just above the highest score to be rejected


def best_crr_threshold(
    genuine: np.ndarray, impostor: np.ndarray, far_max: float = 1.0, even: bool = False
) -> BestThreshold:
    """The threshold with the highest CRR (Fig. 9a). It is set on dev people, never on test people.

    All thresholds between two neighbouring scores give the same decisions; the middle is returned. Of several intervals
    with the same CRR, the highest is taken, which accepts the fewest impostors.

    Args:
        genuine: (N,) scores.
        impostor: (M,) scores.
        far_max: considers only thresholds with at most this FAR.
        even: weight genuine and impostor pairs equally, whatever their numbers.
    """
    curve = roc(genuine, impostor)
    sizes = (1, 1) if even else (np.size(genuine), np.size(impostor))
    right = (curve.tar * sizes[0] + (1 - curve.far) * sizes[1]) / sum(sizes)
    right = np.where(curve.far <= far_max + ROUNDING, right, -np.inf)
    best = int(np.argmax(right >= right.max() - ROUNDING))  # the first is the highest: thresholds decrease
    if best == 0:
        threshold = np.nextafter(curve.thresholds[1], np.inf)
    elif best == curve.thresholds.size - 1:
        threshold = curve.thresholds[best]
    else:
        threshold = (curve.thresholds[best] + curve.thresholds[best + 1]) / 2
    return BestThreshold(threshold=float(threshold), crr=float(right[best]))
