"""The 95 % band around a ROC curve, by the same bootstrap over identities as every interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.metrics.bootstrap import CHUNK, LEVEL, RESAMPLES, draws
from kfaar_core.metrics.verification import roc, tar_within


@dataclass(frozen=True)
class Band:
    """Limits of TAR at each FAR."""

    far: np.ndarray  # (G,) rising
    low: np.ndarray  # (G,)
    high: np.ndarray  # (G,)


def tar_band(
    genuine: np.ndarray,
    genuine_people: np.ndarray,
    impostor: np.ndarray,
    impostor_people: np.ndarray,
    far: np.ndarray,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Band:
    """TAR at every FAR of (G,), resampled.

    Args:
        genuine: (N,) scores, genuine_people: (N,) int. impostor: (M,) and impostor_people: (M,), the same numbering.
    """
    names, person = np.unique(np.concatenate([genuine_people, impostor_people]), return_inverse=True)
    of_genuine, of_impostor = np.split(person, [len(genuine_people)])
    count = draws(names.size, rng, resamples)  # (R, P)
    at_once = max(1, CHUNK // person.size)
    parts = []
    for some in np.array_split(count, -(-len(count) // at_once)):
        curves = roc(genuine, impostor, some[:, of_genuine], some[:, of_impostor])
        parts.append(np.stack([tar_within(curves, float(limit)) for limit in far], axis=1))  # (r, G)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(np.concatenate(parts), [tail, 1 - tail], axis=0)  # (G,) each
    return Band(far=np.asarray(far, dtype=np.float64), low=low, high=high)
