from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.nets.geometry_net import GeometryNet
from kfaar_core.stages.geometry import BLENDSHAPE_NAMES, GeometryReader, euler_degrees, to_portrait, view
from kfaar_core.train.geometry import in_view

AXES = np.eye(3)


def rodrigues(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Right-handed rotation about a unit axis."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def angles(rotation: np.ndarray) -> list[float]:
    return euler_degrees(torch.from_numpy(rotation)[None])[0].tolist()


@pytest.mark.parametrize("degrees", [-60.0, -5.0, 0.0, 12.0, 80.0])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_axis_moves_one_angle(place, degrees):
    """Camera: x right, y up, z towards the camera. The nose points along z, the crown along y."""
    axis = (AXES[1], AXES[0], -AXES[2])[place]  # yaw, pitch, roll
    expected = [0.0, 0.0, 0.0]
    expected[place] = degrees
    assert angles(rodrigues(axis, degrees)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("axis", "degrees", "place"),
    [(AXES[1], 20.0, 0), (AXES[0], 20.0, 1), (AXES[2], -20.0, 2)],
    ids=["yaw", "pitch", "roll"],
)
def test_signs_are_those_of_the_record(axis, degrees, place):
    rotation = rodrigues(axis, degrees)
    nose, crown = rotation @ AXES[2], rotation @ AXES[1]
    sign = (nose[0], -nose[1], crown[0])[place]  # right of the picture, down, clockwise
    assert sign > 0 and angles(rotation)[place] > 0


def test_angles_of_a_composed_turn():
    """Roll in the picture plane is applied last in the head's own frame: yaw, then pitch, then roll."""
    rotation = rodrigues(AXES[1], 25) @ rodrigues(AXES[0], -10) @ rodrigues(AXES[2], -7)
    assert angles(rotation) == pytest.approx([25, -10, 7])


@pytest.mark.parametrize("side", [64, 256, 512, 1024, 600])
def test_the_view_looks_at_its_part_of_the_portrait(side):
    """In a picture whose red is x and whose green is y, the view reads its own coordinates."""
    ramp = (torch.arange(side) + 0.5) / side
    picture = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side), torch.zeros(side, side)])
    seen = view(picture[None])[0]
    across = 0.1 + 0.8 * (torch.arange(128) + 0.5) / 128  # centre 0.5, side 0.8
    down = 0.2 + 0.8 * (torch.arange(128) + 0.5) / 128  # centre 0.6, to the lower border
    inner = slice(2, -6)  # at the border the last pixel is repeated
    torch.testing.assert_close(seen[0, 64, inner], across[inner], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[1, inner, 64], down[inner], atol=1e-4, rtol=0)


def test_landmarks_go_to_the_view_and_back():
    points = np.random.default_rng(0).uniform(0, 1, (2, 478, 3)).astype(np.float32)
    points[:, :, 2] -= points[:, :, 2].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(to_portrait(in_view(points)).numpy(), points, atol=1e-6)
    corner = to_portrait(torch.tensor([[-1.0, -1, 0], [1, 1, 0.5]]))
    torch.testing.assert_close(corner, torch.tensor([[0.1, 0.2, 0], [0.9, 1.0, 0.2]]))


def test_blendshape_names():
    assert len(BLENDSHAPE_NAMES) == len(set(BLENDSHAPE_NAMES)) == 52
    assert BLENDSHAPE_NAMES[0] == "_neutral"
    assert BLENDSHAPE_NAMES[44:46] == ["mouthSmileLeft", "mouthSmileRight"]
    assert BLENDSHAPE_NAMES[1:] == sorted(BLENDSHAPE_NAMES[1:])  # MediaPipe lists them by the alphabet


def test_the_reader_gives_one_posture_a_portrait_whatever_the_batch():
    torch.manual_seed(0)
    net = GeometryNet()
    torch.nn.init.normal_(net.landmarks.weight, std=0.3)
    reader = GeometryReader(net.state_dict(), torch.device("cpu"))
    portraits = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0)) * 2 - 1
    both, alone = reader.postures(portraits), reader.postures(portraits[1:])[0]
    assert both[1].yaw == pytest.approx(alone.yaw, abs=1e-2)
    np.testing.assert_allclose(both[1].landmarks, alone.landmarks, atol=1e-4)
    assert alone.landmarks.shape == (478, 3) and alone.landmarks.dtype == np.float32
    assert alone.blendshapes.shape == (52,) and alone.blendshapes.dtype == np.float32


def test_measuring_lets_gradients_through():
    torch.manual_seed(0)
    reader = GeometryReader(GeometryNet().state_dict(), torch.device("cpu"))
    portrait = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    reader.measure(portrait).landmarks.sum().backward()
    assert portrait.grad is not None and float(portrait.grad.abs().sum()) > 0
