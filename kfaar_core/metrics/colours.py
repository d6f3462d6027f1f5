"""Colours of hair and skin, in CIE Lab, at places that the landmarks give.

Skin is the middle of both cheeks; hair is what stands above the forehead. Of a bald head, or one under a hat, "hair" is
therefore the colour of what is there.
"""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

CHEEKS = (50, 280)  # landmarks
FOREHEAD, CHIN = (109, 10, 338), 152  # landmarks; the forehead's are near its upper edge
ABOVE = 0.15  # of the face's height, from the forehead's edge to the middle of a patch of hair
RADIUS = 0.04  # of the face's height, of a patch


def hair_and_skin(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The colours of hair and skin: (2, 3) L, a, b, under daylight D65. NaN where the picture does not show the place.

    Args:
        picture: (H, W, 3) uint8 sRGB.
        landmarks: (478, 2 or 3) px of the picture.
    """
    points = landmarks[:, :2].astype(np.float64)
    height = points[FOREHEAD[1]] - points[CHIN]  # upwards in the face
    radius = RADIUS * float(np.linalg.norm(height))
    hair = [points[i] + ABOVE * height for i in FOREHEAD]
    return np.stack([colour(picture, places, radius) for places in (hair, [points[i] for i in CHEEKS])])


def colour(picture: np.ndarray, places: list[np.ndarray], radius: float) -> np.ndarray:
    """The median colour, (3,) L, a, b, of the pixels whose centre is within `radius` px of a place; NaN without any."""
    rows, columns = np.indices(picture.shape[:2]) + 0.5
    near = [(columns - x) ** 2 + (rows - y) ** 2 <= max(radius, 1) ** 2 for x, y in places]
    pixels = picture[np.logical_or.reduce(near)]
    if not len(pixels):
        return np.full(3, np.nan)
    median: np.ndarray = np.median(rgb2lab(pixels[None])[0], axis=0)
    return median
