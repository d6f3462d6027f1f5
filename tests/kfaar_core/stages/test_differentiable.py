"""Where a face is placed by its landmarks, what moves it moves its frame too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from kfaar_core import image
from kfaar_core.nets.sface import FEATURE, SFace, WideSFace
from kfaar_core.stages import locate
from kfaar_core.stages.differentiable import (
    FINE,
    IDENTITY,
    Augmentation,
    FeatureExtractor,
    crops,
    face_alone,
    five_points,
    similarity,
    view,
    warp,
)
from kfaar_core.stages.encode import DLIB, GREY, JUDGE, SFACE, FaceEncoder
from kfaar_core.stages.face_view import MeanFace, upright
from kfaar_core.stages.tiny import TinyGeometry

SIDE = 256
FACE = torch.from_numpy((TinyGeometry().points[:, :2] + 0.5) * SIDE / 2).float()[None]  # (1, 478, 2) px, in the middle

UNIT = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])  # corners


def scene(shift: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Soft waves of colour, and a face upon them, both moved by so many px and grown about the middle."""
    ahead = (torch.arange(SIDE) + 0.5 - SIDE / 2 - shift) / size
    x, y = ahead[None, :], ((torch.arange(SIDE) + 0.5 - SIDE / 2) / size)[:, None]
    colours = [torch.sin(x / 19 + y / 24 + phase) + 0.5 * torch.cos(y / 18 - x / 30) for phase in (0.0, 1.0, 2.0)]
    middle = torch.tensor([SIDE / 2, SIDE / 2])
    moved = (FACE - middle) * size + middle + torch.stack((shift, torch.zeros(())))
    return 0.5 * torch.stack(colours)[None], moved


def encoder(alignment) -> FaceEncoder:
    return FaceEncoder(torch.nn.Identity(), alignment, torch.zeros(1), torch.device("cpu"), flip=False)


LOOKS = {
    "E": lambda picture, landmarks: crops(picture, landmarks, encoder(SFACE)),
    "the judge": lambda picture, landmarks: crops(picture, landmarks, encoder(JUDGE)),
    "F": lambda picture, landmarks: view(MeanFace(upright(FACE[0].numpy())[1]), picture, landmarks)[0],
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("change", [0, 1], ids=["shifted", "grown"])
def test_a_face_that_moves_as_a_whole_looks_the_same(look, change):
    """By the derivative, which sees a change where the frame counts as given. Torch's bicubic kernel follows no ramp
    exactly, so something of it remains."""
    at = (torch.zeros(()), torch.ones(()))
    by = tuple(torch.tensor(float(i == change)) for i in (0, 1))

    def follows(shift: Tensor, size: Tensor) -> Tensor:
        return look(*scene(shift, size))

    def stays(shift: Tensor, size: Tensor) -> Tensor:
        picture, landmarks = scene(shift, size)
        return look(picture, landmarks.detach())

    slopes = [torch.autograd.functional.jvp(each, at, by)[1].square().mean().sqrt() for each in (follows, stays)]
    assert slopes[0] < 0.3 * slopes[1]


def test_the_placement_is_that_of_run_time():
    rng = np.random.default_rng(0)
    source, targets = rng.normal(size=(5, 2)), rng.normal(size=(3, 5, 2))
    found = similarity(source, torch.from_numpy(targets))
    expected = np.stack([image.similarity(source, target) for target in targets])
    np.testing.assert_allclose(found[:, :2].numpy(), expected, atol=1e-12)
    assert (found[:, 2] == torch.tensor([0.0, 0.0, 1.0])).all()
    np.testing.assert_allclose(five_points(FACE)[0].numpy(), locate.five_points(FACE[0].numpy()), atol=1e-4)


def test_small_pictures_are_warped_together_as_run_time_warps_each():
    rng = np.random.default_rng(1)
    soft = torch.nn.functional.interpolate(
        torch.from_numpy(rng.uniform(-1, 1, (3, 3, 8, 8))), size=FINE, mode="bicubic"
    )
    pictures = soft.float().clamp(-1, 1)
    ways = np.stack([image.similarity(UNIT, 0.7 * FINE * UNIT + 20 + 3 * i + rng.normal(size=2)) for i in range(3)])
    whole = torch.from_numpy(np.concatenate([ways, np.broadcast_to([[[0, 0, 1.0]]], (3, 1, 3))], axis=1))
    found = warp(pictures, whole @ torch.diag(torch.tensor([1 / 90, 1 / 90, 1.0])).double(), (90, 90))
    for one, picture, way in zip(found, pictures, ways, strict=True):
        scaled = way @ np.diag([1 / 90, 1 / 90, 1.0])
        expected = image.warp(image.to_uint8(picture[None])[0], scaled, (90, 90))
        off = np.abs((one.permute(1, 2, 0).numpy() + 1) * 127.5 - expected)
        assert np.median(off) < 1 and np.quantile(off, 0.99) < 6


def test_a_masked_crop_is_that_of_run_time():
    """Where no pixel is cut by the border of the mask, and grey beyond."""
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    levels = image.to_uint8(picture)[0]
    reader = encoder(SFACE)
    expected = image.to_float(reader.align(levels, landmarks[0].numpy(), masked=True))
    found = face_alone(crops(picture, landmarks, reader), landmarks, reader)
    assert (found - expected).abs().max() < 0.03
    beyond, run_time = (((each - (GREY / 127.5 - 1)).abs() < 1e-6).all(dim=1) for each in (found, expected))
    assert 0.1 < beyond.float().mean() < 0.9 and (beyond != run_time).float().mean() < 0.002  # a corner of the mask


def test_what_stands_beside_a_face_counts_for_nothing_once_it_is_masked():
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    inside = torch.from_numpy(image.hull_mask(landmarks[0].numpy(), (SIDE, SIDE), grow=1.1)) > 0
    other = torch.where(inside, picture, -picture)
    whole = [crops(each, landmarks, encoder(SFACE)) for each in (picture, other)]
    assert not torch.equal(*whole)
    assert torch.equal(*(face_alone(each, landmarks, encoder(SFACE)) for each in whole))


def test_e_sees_the_whole_picture_and_then_the_face_alone():
    """In the order of stages.identify.features_of."""
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    rows = torch.randn(3 * 112 * 112, 4, generator=torch.Generator().manual_seed(0))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(len(rows), 4, bias=False))
    net[1].weight.data = rows.T
    reader = FaceEncoder(net, SFACE, torch.zeros(1), torch.device("cpu"), flip=False)
    found = FeatureExtractor(reader, None, torch.device("cpu"), masked=True)(picture, landmarks)
    aligned = crops(picture, landmarks, reader)
    expected = [each.flatten(1) @ rows for each in (aligned, face_alone(aligned, landmarks, reader))]
    torch.testing.assert_close(found, torch.cat(expected, dim=1), rtol=1e-3, atol=1e-2)  # sums of 37,632 products
    assert not torch.allclose(*expected, rtol=1e-3, atol=1e-2)


def test_of_the_face_alone_only_the_feature_of_a_wide_e_counts():
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    wide = FaceEncoder(WideSFace(SFace().eval()), SFACE, torch.zeros(1), torch.device("cpu"), flip=True)
    aligned = crops(picture, landmarks, wide)
    whole, alone = (wide.embed_crops(each) for each in (aligned, face_alone(aligned, landmarks, wide)))
    found = FeatureExtractor(wide, None, torch.device("cpu"), masked=True)(picture, landmarks)
    torch.testing.assert_close(found, torch.cat((whole, alone[:, :FEATURE]), dim=1))
    assert whole.shape[1] > FEATURE


def test_a_second_recogniser_looks_behind_e_with_a_frame_of_its_own():
    """Where an EncoderPair has it: before what is seen of the face alone."""
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    device, flat = torch.device("cpu"), torch.nn.Flatten()
    first, second = (FaceEncoder(flat, frame, torch.zeros(1), device, flip=True) for frame in (SFACE, DLIB))
    alone = FeatureExtractor(first, None, device, masked=True)(picture, landmarks, IDENTITY)
    both = FeatureExtractor(first, None, device, masked=True, auxiliary=second)(picture, landmarks, IDENTITY)
    expected = 2 * crops(picture, landmarks, second).flatten(1)  # one side stands for both
    whole, masked = alone.split((3 * SFACE.size[0] * SFACE.size[1], FEATURE), dim=1)
    torch.testing.assert_close(both, torch.cat((whole, expected, masked), dim=1))


@pytest.mark.parametrize("frame", [SFACE, DLIB], ids=["E", "the second"])
def test_an_augmentation_places_the_face_by_shares_of_the_crop(frame):
    side = np.array(frame.size)
    corner = Augmentation(shift=(0.1, -0.2)).template(frame) - frame.template
    np.testing.assert_allclose(corner, np.broadcast_to((0.1 * side[0], -0.2 * side[1]), (5, 2)))
    about_middle = [each - side / 2 for each in (frame.template, Augmentation(growth=0.5).template(frame))]
    np.testing.assert_allclose(about_middle[1], 1.5 * about_middle[0])
    quarter = Augmentation(turn=np.pi / 2).template(frame) - side / 2
    np.testing.assert_allclose(quarter, about_middle[0][:, ::-1] * (-1, 1), atol=1e-9)
    np.testing.assert_array_equal(IDENTITY.template(frame), frame.template)


def test_a_shifted_augmentation_shows_what_stands_beside_and_a_mirrored_one_the_other_side():
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    reader, step = encoder(SFACE), 7
    still = crops(picture, landmarks, reader)
    shifted = crops(picture, landmarks, reader, Augmentation(shift=(step / SFACE.size[0], 0.0)))
    torch.testing.assert_close(shifted[..., step:], still[..., :-step], atol=1e-3, rtol=0)
    assert torch.equal(crops(picture, landmarks, reader, Augmentation(mirrored=True)), still.flip(-1))


def test_kvfas_own_look_behind_the_mask_stays_in_place():
    picture, landmarks = scene(torch.zeros(()), torch.ones(()))
    device, flat = torch.device("cpu"), torch.nn.Flatten()
    first, second = (FaceEncoder(flat, frame, torch.zeros(1), device, flip=True) for frame in (SFACE, DLIB))
    sight = FeatureExtractor(first, None, device, masked=True, auxiliary=second)
    length = 3 * SFACE.size[0] * SFACE.size[1]
    parts = [
        sight(picture, landmarks, change).split((length, 3 * DLIB.size[0] * DLIB.size[1], FEATURE), dim=1)
        for change in (IDENTITY, Augmentation(growth=0.05), Augmentation(mirrored=True))
    ]
    for other in parts[1:]:
        assert torch.equal(other[2], parts[0][2])
        assert not torch.allclose(other[0], parts[0][0]) and not torch.allclose(other[1], parts[0][1])
