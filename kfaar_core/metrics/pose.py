"""Head pose and facial expression kept from x to x_v (Table IV)."""

from __future__ import annotations

import numpy as np

from kfaar_core.errors import DataMissing

NEUTRAL = 0  # index of the blendshape `_neutral`, which says nothing about expression


def angle_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|first - second| in degrees the short way round, in [0, 180]; any shapes that broadcast."""
    return np.abs((np.asarray(first, dtype=np.float64) - second + 180) % 360 - 180)


def expression_cosines(original: np.ndarray, virtual: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """(N,) cosine of each pair of (N, 52) blendshapes without `_neutral`, minus a centre (52,) when one is given.

    A pair with an expression of length 0 has no direction to compare; it scores 0.
    """
    same_shape("blendshapes", original, virtual, 52)
    shift = 0.0 if centre is None else np.asarray(centre, dtype=np.float64)
    a, b = (np.delete(np.asarray(faces, dtype=np.float64) - shift, NEUTRAL, axis=1) for faces in (original, virtual))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), length, out=np.zeros(len(a)), where=length > 0)


def same_shape(name: str, original: np.ndarray, virtual: np.ndarray, width: int) -> None:
    """Both must be (N, width) with N >= 1."""
    if np.shape(original) != np.shape(virtual) or np.ndim(original) != 2 or np.shape(original)[1] != width:
        raise DataMissing(
            got=f"{name} of shapes {np.shape(original)} and {np.shape(virtual)}",
            mend=f"give two arrays of the same shape (N, {width})",
        )
    if len(original) == 0:
        raise DataMissing(got=f"no {name} at all", mend="use more people, or look why every trial failed")
