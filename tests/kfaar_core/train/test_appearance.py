from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE, ReaderNet
from kfaar_core.stages.face_view import FaceView
from kfaar_core.train.appearance import coordinates, fit_appearance, principal, to_tensor


def test_levels_become_numbers_around_zero():
    textures = np.zeros((2, *TEXTURE, 3), dtype=np.uint8)
    textures[1, 5, 7] = (255, 0, 128)
    x = to_tensor(textures)
    assert x.shape == (2, 3, *TEXTURE) and x.dtype == torch.float32
    assert x[0].unique().tolist() == [-1]
    assert x[1, :, 5, 7].tolist() == pytest.approx([1, -1, 1 / 255], abs=1e-6)


def test_axes_lie_where_faces_vary_and_are_half_way_to_white():
    """Sds of 16, 4 and 1 along three planted directions; more samples than a chunk of the covariance."""
    directions = torch.linalg.qr(torch.randn(10, 10, generator=torch.Generator().manual_seed(0)))[0][:, :3]
    drawn = torch.randn(9000, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([4.0, 16, 1])
    x, mean = 5 + drawn @ directions.T, torch.full((10,), 5.0)
    axes = principal(x, mean, 2)
    assert axes.shape == (10, 2) and axes.dtype == torch.float32
    alike = (torch.nn.functional.normalize(axes, dim=0).T @ directions).abs()
    torch.testing.assert_close(alike, torch.tensor([[0.0, 1, 0], [1, 0, 0]]), atol=0.02, rtol=0)
    first, second = ((x - mean) @ axes).std(dim=0)
    assert first / second == pytest.approx((16 / 4) ** 0.5, rel=0.03)  # neither 4, as they are, nor 1, as white
    louder = principal(3 * x, 3 * mean, 2)  # in other units the coordinates are the same
    torch.testing.assert_close((3 * (x - mean) @ louder).abs(), ((x - mean) @ axes).abs(), atol=1e-2, rtol=1e-2)


def test_fitted_on_faces_their_coordinates_are_centred_and_uncorrelated(rng):
    """Textures of 4 x 4 px stand for whole ones, whose axes take a minute."""
    light, bend = rng.standard_normal((2, 300))
    texture = (
        120
        + 20 * light[:, None, None, None] * np.linspace(-1, 1, 16).reshape(4, 4, 1)
        + rng.normal(0, 3, (300, 4, 4, 3))
    )
    mean_shape = 80 + 20 * rng.standard_normal((LANDMARKS, 2))
    shape = (
        mean_shape + bend[:, None, None] * rng.standard_normal((LANDMARKS, 2)) + rng.normal(0, 0.1, (300, LANDMARKS, 2))
    )
    faces = FaceView(texture.astype(np.uint8), shape.astype(np.float16))
    net = SimpleNamespace(
        mean_shape=torch.zeros(LANDMARKS, 2),
        mean_texture=torch.zeros(12),
        texture_axes=torch.zeros(12, 2),
        shape_axes=torch.zeros(2 * LANDMARKS, 2),
    )
    net.appearance = lambda *each: ReaderNet.appearance(net, *each)
    fit_appearance(net, faces, mean_shape)
    torch.testing.assert_close(net.mean_shape, torch.from_numpy(mean_shape).float())
    x = coordinates(net, faces, part=128)
    assert x.shape == (300, 4)
    torch.testing.assert_close(coordinates(net, faces[280:]), x[280:], atol=1e-4, rtol=1e-4)
    assert x[:, :2].mean(dim=0).abs().max() < 0.02
    tied = torch.corrcoef(torch.cat((x.T, torch.from_numpy(np.stack([light, bend])).float())))
    assert tied[0, 4].abs() > 0.97 and tied[2, 5].abs() > 0.97  # the first axes are what was planted
    assert tied[0, 1].abs() < 0.1 and tied[2, 3].abs() < 0.1
