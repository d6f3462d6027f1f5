from __future__ import annotations

import numpy as np

from kfaar_core.metrics.colours import CHEEKS, CHIN, FOREHEAD, hair_and_skin

# Lab of sRGB colours under D65, as Bruce Lindbloom's calculator prints them.
RED, GREEN = (53.24, 80.09, 67.20), (87.73, -86.18, 83.18)


def face(top: float) -> np.ndarray:
    """Landmarks of a face 100 px high whose forehead begins at this row."""
    points = np.zeros((478, 3))
    for column, index in zip((40, 50, 60), FOREHEAD, strict=True):
        points[index, :2] = column, top
    points[CHIN, :2] = 50, top + 100
    for column, index in zip((35, 65), CHEEKS, strict=True):
        points[index, :2] = column, top + 60
    return points


def test_hair_is_above_the_forehead_and_skin_on_the_cheeks():
    picture = np.zeros((200, 100, 3), dtype=np.uint8)
    picture[:60] = 255, 0, 0  # above the forehead
    picture[60:] = 0, 255, 0
    np.testing.assert_allclose(hair_and_skin(picture, face(60)), [RED, GREEN], atol=0.1)


def test_a_turned_head_has_its_hair_at_its_top():
    picture = np.zeros((100, 200, 3), dtype=np.uint8)
    picture[:, 140:] = 255, 0, 0
    picture[:, :140] = 0, 255, 0
    points = face(60)
    points[:, 0], points[:, 1] = 200 - points[:, 1], points[:, 0].copy()  # a quarter turn clockwise
    np.testing.assert_allclose(hair_and_skin(picture, points), [RED, GREEN], atol=0.1)


def test_hair_outside_the_picture_is_no_colour():
    hair, skin = hair_and_skin(np.full((200, 100, 3), 255, dtype=np.uint8), face(2))
    assert np.isnan(hair).all()
    np.testing.assert_allclose(skin, [100, 0, 0], atol=0.1)
