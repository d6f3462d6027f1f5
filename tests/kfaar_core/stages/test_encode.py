from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kfaar_core import image
from kfaar_core.stages.encode import DLIB, GREY, JUDGE, SFACE, Alignment, EncoderPair, FaceEncoder

CPU = torch.device("cpu")


class Flat(nn.Module):
    """The picture itself as its feature."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def landmarks(points: np.ndarray) -> np.ndarray:
    """(478, 3) of which the five points of stages.detect are these (5, 2)."""
    found = np.zeros((478, 3))
    found[[33, 133, 362, 263, 1, 61, 291], :2] = np.repeat(points, (2, 2, 1, 1, 1), axis=0)
    return found


@pytest.mark.parametrize("alignment", [SFACE, JUDGE, DLIB], ids=["sface", "judge", "dlib"])
def test_a_face_on_the_template_is_not_moved_and_any_other_is_brought_there(alignment):
    turn = 1.7 * np.array([[0.8, -0.6], [0.6, 0.8]])
    to_source = alignment.to_source(landmarks(alignment.template @ turn.T + (30, -12)))
    np.testing.assert_allclose(to_source, np.column_stack([turn, (30, -12)]), atol=1e-9)
    assert (alignment.template > 0).all() and (alignment.template < alignment.size).all()


@pytest.mark.parametrize("alignment", [SFACE, JUDGE, DLIB], ids=["sface", "judge", "dlib"])
def test_the_templates_show_an_upright_face_in_the_middle(alignment):
    left, right, nose, mouth_left, mouth_right = alignment.template
    assert left[0] < nose[0] < right[0] and mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    assert abs(nose[0] - alignment.size[0] / 2) < 0.01 * alignment.size[0]


@pytest.fixture
def recogniser() -> FaceEncoder:
    alignment = Alignment(size=(4, 6), template=np.array([[0.0, 0], [4, 0], [2, 3], [0, 6], [4, 6]]))
    return FaceEncoder(Flat(), alignment, torch.full((72,), 0.25), CPU, flip=False)


def test_features_are_centred_and_of_unit_length(recogniser):
    crops = torch.rand(3, 3, 6, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = recogniser.embed_crops_normalised(crops)
    assert found.norm(dim=1).tolist() == pytest.approx([1] * 3)
    away = crops.flatten(1).numpy() - 0.25
    assert np.allclose(np.cross(found[0, :3].numpy(), away[0, :3]), 0, atol=1e-6)  # parallel
    assert (
        recogniser.embed_crops_normalised(torch.full((1, 3, 6, 4), 0.5)).min() > 0
    )  # the mean is subtracted, not added
    assert recogniser.embed_crops_normalised(torch.full((1, 3, 6, 4), 0.1)).max() < 0


def test_a_flipped_crop_is_added(recogniser):
    both = FaceEncoder(Flat(), recogniser.alignment, torch.zeros(1), CPU, flip=True)
    crop = torch.zeros(1, 3, 6, 4)
    crop[0, 0, 0, 0] = 1.0
    assert both.embed_crops(crop).flatten().nonzero().flatten().tolist() == [0, 3]
    assert torch.equal(both.embed_crops(crop), both.embed_crops(crop.flip(-1)))
    assert torch.equal(both.embed_crops(crop, skip_flip=True), 2 * crop.flatten(1))  # one side stands for both
    assert torch.equal(recogniser.embed_crops(crop, skip_flip=True), recogniser.embed_crops(crop))


def test_a_picture_and_its_aligned_crop_have_the_same_feature(recogniser):
    picture = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    placed = landmarks(recogniser.alignment.template)
    np.testing.assert_array_equal(recogniser.align(picture, placed), picture)
    raw = recogniser.embed(picture, placed)
    np.testing.assert_allclose(raw, (picture.transpose(2, 0, 1) / 127.5 - 1).ravel(), atol=1e-6)
    unit = recogniser.embed_normalised(picture, placed)
    assert np.linalg.norm(unit) == pytest.approx(1) and unit.dtype == np.float32
    np.testing.assert_allclose(unit, recogniser.embed_crops_normalised(image.to_float(picture))[0].numpy(), atol=1e-6)


def test_beyond_a_masked_face_all_is_grey(rng):
    """The five points of a face whose hull is known by hand: a rectangle of the crop."""
    alignment = Alignment(size=(16, 12), template=np.array([[4.0, 3], [12, 3], [8, 6], [4, 9], [12, 9]]))
    recogniser = FaceEncoder(Flat(), alignment, torch.zeros(1), CPU, flip=False)
    points = landmarks(alignment.template)
    points[(points[:, :2] == 0).all(axis=1), :2] = (8, 6)  # the other landmarks within
    picture = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    around = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    around[2:11, 3:14] = picture[2:11, 3:14]
    seen = recogniser.align(picture, points, masked=True)
    np.testing.assert_array_equal(seen[4:9, 5:12], picture[4:9, 5:12])
    assert (seen[:3] == GREY).all() and (seen[10:] == GREY).all()
    assert (seen[:, :4] == GREY).all() and (seen[:, 13:] == GREY).all()
    np.testing.assert_array_equal(recogniser.align(around, points, masked=True), seen)
    raw = [recogniser.embed(each, points, masked=True) for each in (picture, around)]
    np.testing.assert_array_equal(*raw)
    assert (recogniser.embed(around, points) != recogniser.embed(picture, points)).any()


def test_a_pair_sees_one_behind_the_other_each_in_its_own_frame(recogniser, rng):
    other = FaceEncoder(Flat(), JUDGE, torch.zeros(1), CPU, flip=True)
    picture, points = rng.integers(0, 256, (6, 4, 3), dtype=np.uint8), landmarks(recogniser.alignment.template)
    found = EncoderPair(recogniser, other).embed(picture, points)
    width = recogniser.embed(picture, points).size
    np.testing.assert_array_equal(found[:width], recogniser.embed(picture, points))
    np.testing.assert_array_equal(found[width:], other.embed(picture, points))
    assert found.dtype == np.float32


def test_a_recogniser_is_frozen_and_in_evaluation_mode():
    net = nn.Sequential(nn.BatchNorm2d(3), Flat())
    FaceEncoder(net, JUDGE, torch.zeros(1), CPU, flip=False)
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
