"""The endpoint for error rates of scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from kfaar_core.errors import DataMissing
from kfaar_core.metrics import verification


def metrics(genuine: list[float], impostor: list[float], threshold: float) -> dict[str, float]:
    """Error rates of a verifier from its scores; a pair is accepted at a score >= threshold.

    Args:
        genuine: scores of pairs of one person, higher means more alike.
        impostor: scores of pairs of two people.
        threshold: where FAR, FRR and CRR are taken.
    Returns:
        auc, eer, far, frr, crr.
    """
    ours, others = scores("genuine", genuine), scores("impostor", impostor)
    if not isinstance(threshold, (int, float)) or not np.isfinite(threshold):
        raise DataMissing(got="a threshold that is no number", mend="give one, such as 0.7")
    rates = verification.error_rates(ours, others, threshold)
    return {
        "auc": verification.auc(ours, others),
        "eer": verification.eer(ours, others).rate,
        "far": rates.far,
        "frr": rates.frr,
        "crr": verification.crr(ours, others, threshold),
    }


def scores(name: str, values: Any) -> np.ndarray:
    """A list of numbers as (N,) float64.

    Raises:
        DataMissing: it is no such list.
    """
    try:
        return np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise DataMissing(
            got=f"{name} scores that are no list of numbers", mend="give a list such as [0.1, 0.7]"
        ) from None
