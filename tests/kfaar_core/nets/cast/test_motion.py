"""Warps, rotations and keypoints of FaceVid2Vid and LivePortrait against SciPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from kfaar_core.nets.cast.facevid2vid import PI, Blur, Motion, placed
from kfaar_core.nets.cast.liveportrait import Motion as LiveMotion
from kfaar_core.nets.cast.motion import BINS, DenseMotion, Unit, axis_rotations, degrees, grid, heat, warp
from tests.kfaar_core.nets.cast.recorded import filled, value


def test_a_warp_is_scipys(rng):
    """Between eight voxels, and with zeros beyond the border."""
    volume, places = rng.standard_normal((2, 3, 4, 5, 6)), rng.uniform(-1.3, 1.3, (2, 3, 4, 2, 3))
    found = warp(torch.from_numpy(volume), torch.from_numpy(places)).numpy()
    sides = np.array([6, 5, 4])  # x, y, z
    index = ((places + 1) * sides - 1) / 2  # -1 and 1 are the outermost voxels' edges
    for n in range(2):
        for c in range(3):
            expected = map_coordinates(
                volume[n, c], index[n, ..., ::-1].reshape(-1, 3).T, order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(found[n, c].ravel(), expected, atol=1e-12)


def test_the_grid_by_hand():
    found = grid((2, 3, 2), torch.zeros(1))
    assert found.shape == (2, 3, 2, 3)
    assert found[0, 0, 0].tolist() == [-1, -1, -1] and found[1, 2, 0].tolist() == [-1, 1, 1]
    assert found[0, 1, 1].tolist() == [1, 0, -1]


def test_heat_is_one_at_its_keypoint():
    coordinates = grid((3, 5, 5), torch.zeros(1))
    found = heat(torch.tensor([[[0.5, -0.5, 0.0]]]), coordinates)
    assert found.shape == (1, 1, 3, 5, 5) and found[0, 0, 1, 1, 3] == 1
    assert found[0, 0, 1, 1, 2] == pytest.approx(float(np.exp(-0.25 / 0.02)))


def test_rotations_are_scipys(rng):
    yaw, pitch, roll = (torch.from_numpy(rng.uniform(-1, 1, 4)) for _ in range(3))
    x, y, z = axis_rotations(yaw, pitch, roll)
    angles = torch.stack((pitch, yaw, roll), dim=1).numpy()
    np.testing.assert_allclose((x @ y @ z).numpy(), Rotation.from_euler("XYZ", angles).as_matrix(), atol=1e-12)
    np.testing.assert_allclose((z @ y @ x).numpy(), Rotation.from_euler("xyz", angles).as_matrix(), atol=1e-12)


def test_an_angle_is_the_mean_of_its_classes():
    scores = torch.full((2, BINS), -1e4)
    scores[0, 33] = scores[1, 10] = scores[1, 11] = 0.0
    assert degrees(scores, centre=99.0).tolist() == pytest.approx([0.0, -67.5])


def test_placed_keypoints_by_hand():
    """A quarter turn of the head about the vertical axis takes x to -z; expression and shift come after."""
    quarter = torch.tensor([90 * np.pi / PI])  # it counts with 3.14
    still = torch.zeros(1)
    motion = Motion(quarter, still, still, torch.tensor([[0.0, 0.5, 0.0]]), torch.tensor([[[0.0, 0.0, 0.1]]]))
    found = placed(torch.tensor([[[1.0, 0.0, 0.0]]]), motion)
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.5, -0.9]]]))


def test_live_portraits_keypoints_by_hand():
    """Twice as large; the shift along z is not used."""
    motion = LiveMotion(
        canonical=torch.tensor([[[1.0, 2.0, 3.0]]]),
        rotation=torch.eye(3)[None],
        expression=torch.tensor([[[0.5, 0.0, 0.0]]]),
        scale=torch.tensor([[2.0]]),
        shift=torch.tensor([[0.25, 0.5, 9.0]]),
    )
    assert motion.placed().tolist() == [[[3.25, 4.5, 6.0]]]


def dense() -> DenseMotion:
    return DenseMotion(channels=3, points=2, depth=2, base=4, blocks=2, widest=8, few=2)


def test_the_same_posture_moves_nothing():
    net = filled(dense)
    volume, points = value("volume", (2, 3, 2, 8, 8)).double(), value("points", (2, 2, 3)).double()
    places, visible = net(volume, points, points)
    assert places.shape == (2, 2, 8, 8, 3) and visible.shape == (2, 1, 8, 8)
    torch.testing.assert_close(places, grid((2, 8, 8), places).expand_as(places))
    assert ((visible > 0) & (visible < 1)).all()


def test_a_common_shift_moves_the_volume_as_far_as_the_mask_lets_it():
    net = filled(dense)
    volume, points = value("volume", (1, 3, 2, 8, 8)).double(), value("points", (1, 2, 3)).double()
    shift = torch.tensor([0.2, 0.0, 0.0], dtype=torch.float64)
    places, _ = net(volume, points, points + shift)
    moved = places - grid((2, 8, 8), places)
    assert (moved[..., 0] >= 0).all() and (moved[..., 0] <= 0.2 + 1e-9).all()
    assert moved[..., 0].max() > 0.01 and not moved[..., 1:].abs().max() > 1e-12


def test_blur_by_hand():
    """A white picture stays white inside; a kernel of variance 1.5 squared, every fourth pixel."""
    blur = Blur(4).double()
    found = blur(torch.ones(1, 3, 32, 32, dtype=torch.float64))
    assert found.shape == (1, 3, 8, 8) and found[0, 0, 4, 4] == pytest.approx(1, abs=1e-6)
    kernel = blur.weight[0, 0]
    places = torch.arange(13, dtype=torch.float64) - 6
    assert (kernel.sum(dim=0) * places.square()).sum() == pytest.approx(1.5**2, rel=0.01)


@pytest.mark.parametrize(("resize", "expected"), [("same", (2, 8, 8)), ("down", (2, 4, 4)), ("up", (2, 16, 16))])
def test_a_unit_keeps_the_depth(resize, expected):
    assert Unit(3, 5, 3, resize)(torch.zeros(1, 3, 2, 8, 8)).shape == (1, 5, *expected)
    assert Unit(3, 5, 2, resize)(torch.zeros(1, 3, 8, 8)).shape == (1, 5, *expected[1:])
