from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kfaar_core.nets.reader_net import INPUT
from kfaar_core.stages.detect import five_points
from kfaar_core.stages.encode import JUDGE
from kfaar_core.stages.face_view import GREY, TEMPLATE, face_view
from kfaar_core.stages.tiny import TinyGeometry

LANDMARKS = TinyGeometry()._points.astype(np.float64)  # an ellipse around five points, in [0, 1]
SIDE = 200


def moved(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points[:, :2] @ turn.T + shift


def colours(points: np.ndarray) -> np.ndarray:
    """(..., 2) places in units of the face -> smooth colours, never grey."""
    x, y = points[..., 0], points[..., 1]
    waves = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(5 * x - 6 * y)], axis=-1)
    return np.clip(180 + 40 * waves, 0, 255)


def painted(side: int = SIDE, angle: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0)):
    """A face that is turned, scaled and moved: (picture, landmarks in px)."""
    y, x = np.mgrid[:side, :side] + 0.5
    at = np.stack([x, y], axis=-1).reshape(-1, 2)
    inverse = moved(at - np.array(shift), -angle, 1 / scale, (0, 0)) / SIDE
    picture = colours(inverse).reshape(side, side, 3).astype(np.uint8)
    return picture, moved(LANDMARKS * SIDE, angle, scale, shift)


@pytest.fixture
def view() -> np.ndarray:
    return face_view(*painted())


def inside(view: np.ndarray) -> np.ndarray:
    return (view != GREY).any(axis=2)


def test_what_f_takes(view):
    assert view.shape == (*INPUT, 3) == (128, 112, 3) and view.dtype == np.uint8


def test_the_face_is_there_and_all_else_is_grey(view):
    face = inside(view)
    assert 0.3 < face.mean() < 0.95
    for x, y in TEMPLATE.round().astype(int):
        assert face[y, x]
    rows = [np.flatnonzero(row) for row in face]
    assert all(len(row) == row[-1] - row[0] + 1 for row in rows if len(row))  # one piece, without holes


def test_pixels_outside_the_face_do_not_matter(view, rng):
    picture, landmarks = painted()
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    centre, radii = SIDE * np.array([0.5, 0.58]), SIDE * np.array([0.3, 0.35]) + 6  # of LANDMARKS; 6 px for the warp
    outside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 > 1
    assert outside.mean() > 0.5
    picture[outside] = rng.integers(0, 256, (outside.sum(), 3))
    np.testing.assert_array_equal(face_view(picture, landmarks), view)


def test_pixels_of_the_face_do(view):
    picture, landmarks = painted()
    x, y = five_points(landmarks)[2].astype(int)  # the nose
    picture[y - 4 : y + 4, x - 4 : x + 4] = 0
    changed = (face_view(picture, landmarks) != view).any(axis=2)
    assert 30 < changed.sum() < 300


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(0.0, 1.0, (31.0, 12.0)), (0.35, 1.0, (90.0, 10.0)), (-0.2, 1.3, (10.0, 80.0))]
)
def test_a_face_that_is_turned_scaled_or_moved_looks_the_same(view, angle, scale, shift):
    again = face_view(*painted(380, angle, scale, shift))
    both = gaussian_filter((inside(view) & inside(again)).astype(float), 1) > 0.99  # without the rim
    assert (inside(view) != inside(again)).mean() < 0.02
    assert np.abs(again.astype(int) - view)[both].mean() < 2


def test_the_five_points_stand_where_the_judge_has_them():
    """The same frame with 8 px more on every side, so that both see a face at one size."""
    _, landmarks = painted()
    dots = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    for x, y in five_points(landmarks).astype(int):
        dots[y - 2 : y + 3, x - 2 : x + 3] = 0
    dark = face_view(dots, landmarks).mean(axis=2) < 90
    for x, y in JUDGE.template:
        assert dark[int(y) + 5 : int(y) + 12, int(x) + 5 : int(x) + 12].any()


def test_depth_is_not_looked_at(view):
    picture, landmarks = painted()
    deep = np.concatenate([landmarks, np.linspace(-9, 9, len(landmarks))[:, None]], axis=1)
    np.testing.assert_array_equal(face_view(picture, deep), view)
