"""Hand-made filters of the face in a photo, which blur, pixelate and mask share.

The edited area is the convex hull of the face's landmarks, a little enlarged, from chin to forehead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kfaar_core import image
from kfaar_core.errors import BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.records import Photo
from kfaar_core.stages.locate import LocatedFace

GROW = 1.2  # scale of the hull about its centre: the forehead up to the hair, and the chin  [design]

Filter = Callable[[np.ndarray, float], np.ndarray]  # (h, w, 3) uint8 and the face's width in px -> (h, w, 3) uint8


class HullEditor:
    """Editor: a filter of the picture, pasted into the hull of the face."""

    def __init__(self, change: Filter) -> None:
        """change: the filter."""
        self._change = change

    def __call__(self, photo: Photo, face: LocatedFace, key: UserKey) -> np.ndarray:
        points = face.landmarks[:, :2]
        height, width = photo.pixels.shape[:2]
        inside = image.hull_mask(points, (width, height), GROW) > 0
        rows, columns = np.nonzero(inside)
        if not rows.size:
            return photo.pixels
        across = float(np.ptp(points[:, 0]))
        # Filters see a margin around the face, as wide as the face, but not the whole of a large photo.
        margin = round(across)
        top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
        window = np.s_[top : rows.max() + margin, left : columns.max() + margin]
        edited = photo.pixels.copy()
        edited[window][inside[window]] = self._change(photo.pixels[window], across)[inside[window]]
        return edited


def strength(text: str, low: float, high: float) -> float:
    """Parse the strength of NAME:STRENGTH.

    Raises:
        BadSetting: not a number from `low` to `high`.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadSetting(got=f"the strength {text[:40]!r}", mend=f"give a number from {low:g} to {high:g}")
    return value
