"""What is left of a pixelated face."""

from __future__ import annotations

import numpy as np

from kfaar_core.stages.pixelate import CELLS, pixelated


def test_a_face_is_a_few_squares_of_its_mean_colours_and_the_rest_stays(rng):
    picture = rng.integers(0, 256, (200, 240, 3), dtype=np.uint8)
    hidden = pixelated(picture, np.array([60, 40, 140, 120], dtype=np.float32))  # grown to 50..150, 30..130
    face = hidden[30:130, 50:150]
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= CELLS**2
    assert np.allclose(face.mean(axis=(0, 1)), picture[30:130, 50:150].mean(axis=(0, 1)), atol=1.5)
    outside = np.ones(picture.shape[:2], dtype=bool)
    outside[30:130, 50:150] = False
    assert np.array_equal(hidden[outside], picture[outside])


def test_a_face_at_the_border_or_beyond_it_is_hidden_too(rng):
    picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for box in ([-20, -10, 30, 30], [50, 50, 90, 90], [63.5, 10, 63.9, 20]):
        hidden = pixelated(picture, np.array(box, dtype=np.float32))
        assert hidden.shape == picture.shape
    assert not np.array_equal(pixelated(picture, np.array([-20, -10, 30, 30], np.float32))[:10, :10], picture[:10, :10])
