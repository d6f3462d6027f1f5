from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.geometry_net import BLENDSHAPES, LANDMARKS, GeometryNet, orthonormal


def test_any_six_numbers_become_a_rotation():
    found = orthonormal(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(found @ found.transpose(1, 2), torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(50))


def test_gram_schmidt_by_hand():
    found = orthonormal(torch.tensor([[0.0, 5, 0, -2, 3, 0]]))[0]  # x -> (0, 1, 0); y, without its part along x
    torch.testing.assert_close(found.T, torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]))


def test_two_columns_of_a_rotation_give_it_back():
    rotation, _ = torch.linalg.qr(torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(1)))
    rotation = rotation * torch.linalg.det(rotation)[:, None, None].sign()
    torch.testing.assert_close(orthonormal(rotation[:, :, :2].transpose(1, 2).flatten(1)), rotation)


def test_shapes_ranges_and_batch_independence():
    torch.manual_seed(0)
    net = GeometryNet().eval().requires_grad_(False)
    x = torch.randn(3, 3, 128, 128)
    found, alone = net(x), net(x[2:])
    assert found.landmarks.shape == (3, LANDMARKS, 3) and found.blendshapes.shape == (3, BLENDSHAPES)
    assert found.blendshapes.min() >= 0 and found.blendshapes.max() <= 1
    for name in ("landmarks", "rotation", "blendshapes"):
        torch.testing.assert_close(getattr(found, name)[2:], getattr(alone, name), rtol=1e-4, atol=1e-5)
    assert torch.linalg.det(found.rotation).tolist() == pytest.approx([1.0] * 3, abs=1e-4)
