"""Show: place the corrected face in its frame, mask it for pasting back, and tell how alike two pictures look."""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from kfaar_core import image

BORDER = 0.25  # share of the side that is mirrored outwards, so that a turned portrait has no empty corner
GROW = 1.04  # the mask reaches a little past the outermost landmarks


def place(render: np.ndarray, frame: np.ndarray, side: int, turn: float) -> np.ndarray:
    """A render in the portrait frame, turned by `turn` degrees clockwise about the centre.

    Args:
        render: (S, S, 3) uint8.
        frame: (2, 3), portrait px -> render px.
        side: px of the answer.
        turn: degrees.
    """
    border = round(BORDER * render.shape[0])
    wide = np.pad(render, ((border, border), (border, border), (0, 0)), mode="reflect")
    angle, middle = np.deg2rad(turn), np.full(2, side / 2)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # answer -> level portrait
    level = np.column_stack([back, middle - back @ middle])
    outwards = np.array([[1.0, 0, border], [0, 1.0, border]])
    return image.warp(wide, image.compose(outwards, image.compose(frame, level)), (side, side))


def face_mask(faces: list[np.ndarray], side: int) -> np.ndarray:
    """(side, side) float32, 1 inside the hull of all given landmarks.

    Args:
        faces: (478, 2) landmarks in portrait sides, of each face that must lie inside.
    """
    return image.hull_mask(np.concatenate(faces) * side, (side, side), GROW)


def look_distance(original: np.ndarray, virtual: np.ndarray) -> float:
    """1 - SSIM (Wang et al., 2004) of the inner faces at 64 px, grey: 0 for the same picture, about 1 for strangers.

    The look in the picture that Section VI-C-2 asks for beside the distance of the features.

    Args:
        original, virtual: (S, S, 3) uint8 in the same level portrait frame.
    """
    small = [
        np.asarray(Image.fromarray(picture).convert("L").resize((64, 64), Image.Resampling.BOX, _inner(picture)))
        for picture in (original, virtual)
    ]
    return float(1 - structural_similarity(*small, data_range=255))


def _inner(picture: np.ndarray) -> tuple[float, float, float, float]:
    side = picture.shape[0]
    return (0.25 * side, 0.3 * side, 0.75 * side, 0.9 * side)
