"""Pixelation: the method `pixelate`, and what is left for a face that cannot be replaced."""

from __future__ import annotations

import numpy as np
from PIL import Image

CELLS = 6  # across a face: too few to recognise it, enough to see that somebody was there  [design]
GROW = 1.25  # of the detector's box about its centre, to cover chin and forehead  [design]


def mosaic(pixels: np.ndarray, across: int, down: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 as `across` x `down` squares of its mean colours; (H, W, 3) uint8."""
    picture = Image.fromarray(pixels)
    cells = picture.resize((across, down), Image.Resampling.BOX)
    return np.asarray(cells.resize(picture.size, Image.Resampling.NEAREST))


def pixelated(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A copy of the picture in which one face is CELLS x CELLS squares of its mean colours.

    Args:
        picture: (H, W, 3) uint8.
        box: (4,) left, top, right, bottom of the face, px; it may reach over the border.

    Returns:
        (H, W, 3) uint8.
    """
    half = GROW * (box[2:] - box[:2]) / 2
    middle = (box[:2] + box[2:]) / 2
    limit = np.array(picture.shape[1::-1])
    left, top = np.clip(np.floor(middle - half), 0, limit - 1).astype(int)
    right, bottom = np.clip(np.ceil(middle + half), (left + 1, top + 1), limit).astype(int)
    hidden = picture.copy()
    hidden[top:bottom, left:right] = mosaic(picture[top:bottom, left:right], CELLS, CELLS)
    return hidden
