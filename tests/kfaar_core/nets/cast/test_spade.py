"""Spade normalisation against NumPy and SciPy in float64."""

from __future__ import annotations

import numpy as np
import torch
from scipy import signal

from kfaar_core.nets.cast.spade import Spade, SpadeBlock, SpadeDecoder
from tests.kfaar_core.nets.cast.recorded import filled, value


def convolved(layer: torch.nn.Conv2d, x: np.ndarray) -> np.ndarray:
    """(C, H, W) by a layer of 3x3 kernels."""
    kernels, biases = layer.weight.numpy(), layer.bias.numpy()
    planes = [sum(signal.correlate2d(x[c], k[c], mode="same") for c in range(len(x))) for k in kernels]
    return np.stack([plane + bias for plane, bias in zip(planes, biases, strict=True)])


def test_spade_by_its_definition(rng):
    net = filled(lambda: Spade(4, 3, hidden=5))
    x, seen = rng.standard_normal((2, 4, 6, 8)), rng.standard_normal((2, 3, 3, 4))
    found = net(torch.from_numpy(x), torch.from_numpy(seen)).numpy()
    for n in range(2):
        large = seen[n].repeat(2, axis=1).repeat(2, axis=2)
        shared = np.maximum(convolved(net.mlp_shared[0], large), 0)
        centred = x[n] - x[n].mean(axis=(1, 2), keepdims=True)
        normal = centred / np.sqrt(x[n].var(axis=(1, 2), keepdims=True) + 1e-5)
        expected = normal * (1 + convolved(net.mlp_gamma, shared)) + convolved(net.mlp_beta, shared)
        np.testing.assert_allclose(found[n], expected, atol=1e-10)


def test_a_block_that_narrows_has_a_convolution_beside_it():
    assert hasattr(SpadeBlock(4, 2, 3), "conv_s") and not hasattr(SpadeBlock(4, 4, 3), "conv_s")


def test_without_convolutions_a_block_passes_its_input():
    block = SpadeBlock(4, 4, 3, hidden=2)
    for conv in (block.conv_0, block.conv_1):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    x = value("x", (1, 4, 6, 6))
    assert torch.equal(block(x, value("seen", (1, 3, 6, 6))), x)


def test_sides_and_range():
    for double, factor in ((False, 4), (True, 8)):
        net = filled(lambda double=double: SpadeDecoder(4, 3, double, hidden=2)).float()
        found = net(value("seen", (2, 4, 3, 5)))
        assert found.shape == (2, 3, 3 * factor, 5 * factor)
        assert ((found > 0) & (found < 1)).all()
