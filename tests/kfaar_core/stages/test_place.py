from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.stages.judge import look_distance
from kfaar_core.stages.place import face_mask, place

LEVEL = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def spot(x: int, y: int, side: int = 64) -> np.ndarray:
    picture = np.zeros((side, side, 3), dtype=np.uint8)
    picture[y - 2 : y + 2, x - 2 : x + 2] = 255
    return picture


def centre_of(picture: np.ndarray) -> tuple[float, float]:
    weight = picture[:, :, 0] / picture[:, :, 0].sum()
    at = np.arange(len(picture)) + 0.5
    return float(weight.sum(axis=0) @ at), float(weight.sum(axis=1) @ at)


@pytest.mark.parametrize(("turn", "expected"), [(0, (48, 32)), (90, (32, 48)), (-90, (32, 16)), (30, (45.86, 40))])
def test_a_positive_turn_is_clockwise_about_the_centre(turn, expected):
    assert centre_of(place(spot(48, 32), LEVEL, 64, turn)) == pytest.approx(expected, abs=0.1)


def test_the_frame_says_where_the_portrait_lies_in_the_render():
    frame = np.array([[2.0, 0, 8], [0, 2.0, 4]])  # 24 px of portrait over 48 px of render
    assert centre_of(place(spot(28, 24), frame, 24, 0)) == pytest.approx((10, 10), abs=0.1)


def test_corners_of_a_turned_portrait_are_mirrored_not_empty():
    assert place(np.full((32, 32, 3), 90, dtype=np.uint8), LEVEL, 32, 20).min() == 90


def test_a_mask_holds_every_face_and_grows_by_a_twentyfifth():
    first = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
    mask = face_mask([first], 100)
    assert mask.dtype == np.float32 and set(np.unique(mask)) == {0.0, 1.0}
    assert mask.sum() == pytest.approx(52 * 52, rel=0.05)  # 1.04 x 50 px
    joined = face_mask([first, first + np.array([0.2, 0])], 100)
    assert joined[50, 90] == 1 and mask[50, 90] == 0 and joined[50, 10] == 0


def test_the_look_of_a_picture_and_itself(rng):
    y, x = np.mgrid[:128, :128] / 20
    picture = np.stack([127 + 100 * np.sin(x), 127 + 100 * np.cos(y), 127 + 100 * np.sin(x + y)], axis=-1).astype(
        np.uint8
    )
    assert look_distance(picture, picture) == pytest.approx(0, abs=1e-9)
    noise = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert look_distance(picture, noise) > 0.7
    slightly = np.clip(picture.astype(int) + rng.integers(-8, 9, picture.shape), 0, 255).astype(np.uint8)
    assert 0 < look_distance(picture, slightly) < 0.1
    assert look_distance(picture, noise) == pytest.approx(look_distance(noise, picture))


def test_the_look_asks_only_the_inner_face():
    picture = np.full((100, 100, 3), 80, dtype=np.uint8)
    framed = picture.copy()
    framed[:25] = framed[:, :20] = framed[:, 80:] = 255  # hair and background
    assert look_distance(picture, framed) == pytest.approx(0, abs=1e-9)
    framed[60, 50] = 255
    assert look_distance(picture, framed) > 0
