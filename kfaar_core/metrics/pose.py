"""Preservation of head pose, facial expression and landmarks from x to x_v (Table IV; landmarks: Table V)."""

from __future__ import annotations

import numpy as np

from kfaar_core.errors import DataMissing

NEUTRAL = 0  # index of the blendshape `_neutral`, which is no expression


def angle_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Absolute difference of angles modulo 360 degrees, in [0, 180]. The arguments, in degrees, are broadcast."""
    return np.abs((np.asarray(first, dtype=np.float64) - second + 180) % 360 - 180)


def expression_cosines(original: np.ndarray, virtual: np.ndarray, centre: np.ndarray | None = None) -> np.ndarray:
    """Cosine similarity of the expressions of N pairs of faces, without the blendshape `_neutral`.

    Args:
        original, virtual: (N, 52) blendshapes in [0, 1].
        centre: (52,) subtracted from both first; None subtracts nothing.

    Returns:
        (N,); 0 for a pair with an expression of length 0.

    Raises:
        DataMissing: other shapes, or no pair.
    """
    same_shape("blendshapes", original, virtual, 52)
    shift = 0.0 if centre is None else np.asarray(centre, dtype=np.float64)
    a, b = (np.delete(np.asarray(faces, dtype=np.float64) - shift, NEUTRAL, axis=1) for faces in (original, virtual))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), length, out=np.zeros(len(a)), where=length > 0)


def landmark_error(original: np.ndarray, virtual: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Normalised mean error of landmarks: their mean distance, in units of the distance between the eyes of x.

    Args:
        original, virtual: (N, L, 2) landmarks in one frame.
        eyes: (N, 2, 2) the two eyes of the original in that frame.

    Returns:
        (N,) at least 0.
    """
    apart = np.linalg.norm(np.asarray(virtual, dtype=np.float64) - original, axis=2).mean(axis=1)
    error: np.ndarray = apart / np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)
    return error


def same_shape(name: str, original: np.ndarray, virtual: np.ndarray, width: int) -> None:
    """Check that both arrays are (N, width) with N >= 1.

    Args:
        name: of the values, for the error.

    Raises:
        DataMissing: they are not.
    """
    if np.shape(original) != np.shape(virtual) or np.ndim(original) != 2 or np.shape(original)[1] != width:
        raise DataMissing(
            got=f"{name} of shapes {np.shape(original)} and {np.shape(virtual)}",
            mend=f"give two arrays of the same shape (N, {width})",
        )
    if len(original) == 0:
        raise DataMissing(got=f"no {name} at all", mend="use more people, or look why every trial failed")
