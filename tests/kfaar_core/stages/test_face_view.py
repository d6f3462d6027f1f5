from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE
from kfaar_core.stages.face_view import FRAME, GREY, UPRIGHT, FaceView, MeanFace, upright
from kfaar_core.stages.locate import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP, five_points
from kfaar_core.stages.tiny import FIVE

SIDE = 200
CENTRE, RADII = np.array([0.5, 0.58]), np.array([0.3, 0.35])  # of the face, in sides


def face() -> np.ndarray:
    """(478, 2) points that fill an ellipse evenly, as a sunflower's do, in [0, 1]; those of stages.detect are FIVE."""
    number = np.arange(LANDMARKS)
    angle, radius = number * np.pi * (3 - 5**0.5), np.sqrt((number + 0.5) / LANDMARKS)
    points = CENTRE + RADII * (radius * np.stack([np.cos(angle), np.sin(angle)])).T
    for corners, eye in zip(EYE_CORNERS, FIVE, strict=False):
        points[list(corners)] = eye + np.array([[-0.01, 0], [0.01, 0]])
    points[NOSE_TIP], points[list(MOUTH_CORNERS)] = FIVE[2], FIVE[3:]
    return points


def moved(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


def colours(points: np.ndarray) -> np.ndarray:
    """(..., 2) places in units of the face -> smooth colours, never grey."""
    x, y = points[..., 0], points[..., 1]
    waves = np.stack([np.sin(20 * x), np.cos(17 * y), np.sin(11 * x - 13 * y)], axis=-1)
    return np.clip(190 + 50 * waves, 0, 255)


def opened(points: np.ndarray, by: float) -> np.ndarray:
    """How far the mouth has come down to where a point now is: up to `by`, and nothing elsewhere."""
    away = (points - (0.5, 0.74)) / (0.12, 0.1)
    return by * np.exp(-(away**2).sum(axis=-1))[..., None] * (0, 1)


def painted(
    side: int = SIDE, angle: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0), mouth: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A face whose mouth came down, then turned, scaled and moved: (picture, landmarks in px)."""
    y, x = np.mgrid[:side, :side] + 0.5
    at = np.stack([x, y], axis=-1).reshape(-1, 2)
    here = moved(at - np.array(shift), -angle, 1 / scale, (0, 0)) / SIDE
    picture = colours(here - opened(here, mouth)).reshape(side, side, 3).astype(np.uint8)
    points = face()
    for _ in range(50):  # where a point comes to rest: there, `opened` has brought it down by that much
        points = face() + opened(points, mouth)
    return picture, moved(points * SIDE, angle, scale, shift)


MEAN = MeanFace(upright(face() * SIDE)[1])


@pytest.fixture
def view() -> FaceView:
    return MEAN.view(*painted())


def inside(texture: np.ndarray) -> np.ndarray:
    return (texture != GREY).any(axis=2)


def difference(one: FaceView, other: FaceView) -> np.ndarray:
    """Of the textures, in levels, at each pixel of the face but its rim."""
    core = gaussian_filter(inside(one.texture).astype(float), 1) > 0.99
    return np.abs(one.texture.astype(int) - other.texture).mean(axis=2)[core]


def test_what_f_takes(view):
    assert view.texture.shape == (*TEXTURE, 3) == (96, 80, 3) and view.texture.dtype == np.uint8
    assert view.shape.shape == (478, 2) and view.shape.dtype == np.float32


def test_all_but_the_mean_face_is_grey(view):
    """The frame of the texture is the box around the mean face, here an ellipse."""
    seen = inside(view.texture)
    y, x = ((np.mgrid[:96, :80] + 0.5).T / (96, 80) * 2 - 1).T
    assert not seen[x**2 + y**2 > 1.1].any() and seen[x**2 + y**2 < 0.85].all()


def test_five_points_come_to_their_place_in_the_upright_frame():
    landmarks = face() * SIDE
    landmarks[list(EYE_CORNERS[0])], landmarks[list(EYE_CORNERS[1])] = UPRIGHT[:2]
    landmarks[NOSE_TIP], landmarks[list(MOUTH_CORNERS)] = UPRIGHT[2], UPRIGHT[3:]
    to_picture, shape = upright(moved(landmarks, 0.4, 2.0, (30, -9)))
    np.testing.assert_allclose(five_points(shape), UPRIGHT, atol=1e-9)
    np.testing.assert_allclose(shape, landmarks, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(to_picture[:, 0]), 2)
    assert (UPRIGHT > 0).all() and (UPRIGHT < FRAME).all()


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(0.0, 1.0, (31.0, 12.0)), (0.35, 1.0, (90.0, 10.0)), (-0.2, 1.3, (10.0, 80.0))]
)
def test_a_face_that_is_turned_scaled_or_moved_is_the_same(view, angle, scale, shift):
    again = MEAN.view(*painted(380, angle, scale, shift))
    np.testing.assert_allclose(again.shape, view.shape, atol=1e-3)
    np.testing.assert_array_equal(inside(again.texture), inside(view.texture))
    assert difference(again, view).mean() < 1.5


def test_an_open_mouth_changes_the_shape_and_not_the_texture(view):
    again = MEAN.view(*painted(mouth=0.05))
    away = np.linalg.norm(again.shape - view.shape, axis=1)
    assert away.max() > 5  # px
    assert difference(again, view).mean() < 2.5
    blind = MEAN.view(painted(mouth=0.05)[0], painted()[1])  # the same picture, its landmarks missed
    assert difference(blind, view).mean() > 2 * difference(again, view).mean()
    np.testing.assert_array_equal(blind.shape, view.shape)


def test_a_landmark_comes_to_its_place_in_the_mean_face():
    """Dots on the landmarks of a face that is turned and whose mouth is open."""
    _, landmarks = painted(380, 0.3, 1.3, (90, 10), mouth=0.05)
    dots = np.full((380, 380, 3), 200, dtype=np.uint8)
    chosen = [NOSE_TIP, *MOUTH_CORNERS]
    for x, y in landmarks[chosen].astype(int):
        dots[y - 2 : y + 3, x - 2 : x + 3] = 0
    dark = MEAN.view(dots, landmarks).texture.mean(axis=2) < 100
    mean = upright(face() * SIDE)[1]
    places = (mean - mean.min(axis=0)) / (mean.max(axis=0) - mean.min(axis=0)) * (80, 96)
    for x, y in places[chosen].astype(int):
        assert dark[y - 1 : y + 2, x - 1 : x + 2].any()
    assert dark.sum() < 60


def test_texture_is_taken_to_scale():
    """Of the mean face itself, 0.3 px aside in pictures whose levels are the column and the row."""
    mean = upright(face() * SIDE)[1]
    low, high = mean.min(axis=0), mean.max(axis=0)
    rows, columns = np.mgrid[: FRAME[1], : FRAME[0]].astype(np.uint8)
    texture = MEAN.view(np.stack([columns, rows, rows], axis=-1), mean + 0.3).texture
    y, x = np.mgrid[:96, :80] + 0.5
    places = low + 0.3 + np.stack([x / 80, y / 96], axis=-1) * (high - low)  # px; the first pixel's centre is 0.5
    core = gaussian_filter(inside(texture).astype(float), 1) > 0.99
    for axis in (0, 1):
        slope, _ = np.polyfit(places[core][:, axis], texture[core][:, axis], 1)
        assert slope == pytest.approx(1, abs=0.002)
        away = (texture[core][:, axis] - (places[core][:, axis] - 0.5)).mean()
        assert -0.5 < away < 0.1  # Pillow cuts levels off where it could round them


def test_pixels_outside_the_face_do_not_matter(view, rng):
    picture, landmarks = painted()
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    centre, radii = SIDE * CENTRE, SIDE * RADII + 6  # px, for the kernel of the warp
    outside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 > 1
    assert outside.mean() > 0.5
    picture[outside] = rng.integers(0, 256, (outside.sum(), 3))
    np.testing.assert_array_equal(MEAN.view(picture, landmarks).texture, view.texture)


def test_pixels_of_the_face_do(view):
    picture, landmarks = painted()
    x, y = five_points(landmarks)[2].astype(int)  # the nose
    picture[y - 4 : y + 4, x - 4 : x + 4] = 0
    changed = (MEAN.view(picture, landmarks).texture != view.texture).any(axis=2)
    assert 30 < changed.sum() < 300


def test_a_large_picture_does_not_alias():
    """A chessboard of single pixels is grey from afar."""
    side = 8 * SIDE
    _, landmarks = painted(side, scale=8.0)
    board = np.repeat((np.indices((side, side)).sum(axis=0) % 2 * 255)[:, :, None], 3, axis=2).astype(np.uint8)
    assert np.abs(MEAN.view(board, landmarks).texture.astype(int) - 127).max() < 8


def test_depth_is_not_looked_at(view):
    picture, landmarks = painted()
    deep = np.concatenate([landmarks, np.linspace(-9, 9, len(landmarks))[:, None]], axis=1)
    again = MEAN.view(picture, deep)
    np.testing.assert_array_equal(again.texture, view.texture)
    np.testing.assert_array_equal(again.shape, view.shape)


def test_texture_and_shape_of_many_faces_are_chosen_together(rng):
    many = FaceView(rng.integers(0, 256, (5, *TEXTURE, 3), dtype=np.uint8), rng.standard_normal((5, LANDMARKS, 2)))
    for chosen in (slice(1, 3), np.array([1, 2])):
        np.testing.assert_array_equal(many[chosen].texture, many.texture[1:3])
        np.testing.assert_array_equal(many[chosen].shape, many.shape[1:3])
