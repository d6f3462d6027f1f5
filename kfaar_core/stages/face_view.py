"""What F sees of a picture: the aligned face, everything outside it grey.

Identity must show in the face: what stands beside it (hair, clothes, background) can thus neither help nor harm.
"""

from __future__ import annotations

import numpy as np
import scipy.spatial
from PIL import Image, ImageDraw

from kfaar_core import image
from kfaar_core.nets.reader_net import INPUT
from kfaar_core.stages.detect import five_points
from kfaar_core.stages.encode import JUDGE_TEMPLATE

TEMPLATE = JUDGE_TEMPLATE + 8  # px; the same frame of five points with 8 px more on every side
GREY = 128  # level outside the face


def face_view(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """
    Args:
        picture: (H, W, 3) uint8.
        landmarks: (478, 2+) px.

    Returns:
        (128, 112, 3) uint8.
    """
    size = INPUT[1], INPUT[0]
    to_picture = image.similarity(TEMPLATE, five_points(landmarks))
    view = image.warp(picture, to_picture, size)
    points = image.apply(image.invert(to_picture), landmarks[:, :2])
    outline = points[scipy.spatial.ConvexHull(points).vertices]
    inside = Image.new("L", size)
    ImageDraw.Draw(inside).polygon([tuple(point) for point in outline], fill=255)
    return np.where(np.asarray(inside)[:, :, None] > 0, view, np.uint8(GREY))
