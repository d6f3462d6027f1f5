from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core import methods
from kfaar_core.records import Photo
from kfaar_core.stages import tiny as tiny_stages
from kfaar_core.stages.locate import five_points


def test_one_face_in_every_picture_that_is_not_one_colour(tiny, photo):
    (face,) = tiny.detector.faces(photo)
    height, width = photo.pixels.shape[:2]
    assert (face.points > 0).all() and (face.points < (width, height)).all()
    assert tiny.detector.faces(Photo(np.full((60, 60, 3), 9, dtype=np.uint8))) == []
    assert tiny.detector.faces(Photo(photo.pixels[:10])) == []


def test_the_posture_follows_the_halves(tiny):
    picture = torch.zeros(2, 3, 16, 16)
    picture[1, :, :, :8] = 0.5
    level, turned = tiny.geometry.postures(picture)
    assert level.yaw == 0 and turned.yaw == 5.0 and turned.blendshapes[44] == 0.5 + 0.25 * 0.5
    np.testing.assert_allclose(five_points(level.landmarks), tiny_stages.FIVE, atol=1e-6)


def test_the_generator_answers_any_side_and_knows_its_styles(tiny):
    w = torch.randn(2, 23, 512, generator=torch.Generator().manual_seed(0))
    large = tiny.generator.render(w, side=64)
    assert large.shape == (2, 3, 64, 64) and large.abs().max() <= 1
    torch.testing.assert_close(tiny.generator.render(w[1:], side=64), large[1:])
    moved = w.clone()
    moved[:, 22] += 1
    assert not torch.equal(tiny.generator.render(moved), tiny.generator.render(w))


def test_encoder_and_judge_share_nothing(tiny):
    crop = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    a, b = tiny.encoder.embed_crops_normalised(crop)[0], tiny.judge.embed_crops_normalised(crop)[0]
    assert abs(float(a @ b)) < 0.9


@pytest.mark.parametrize(
    ("method", "name"), [(m, name) for m in methods.readable() for name in methods.get(m).all_weights()]
)
def test_random_weights_are_always_the_same_and_disturb_no_other_stream(method, name):
    drawn = methods.get(method).tiny_weights
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = drawn(name)
    assert torch.equal(torch.rand(4), expected)
    again = drawn(name)
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
