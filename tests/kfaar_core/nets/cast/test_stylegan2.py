"""StyleGAN2's arithmetic against SciPy in float64, and its mapping network against the embedded generator's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from kfaar_core import weights
from kfaar_core.nets.cast.published import load_strictly
from kfaar_core.nets.cast.stylegan2 import (
    MAPPING_RATE,
    TAPS,
    ModulatedConv,
    StyleGan2,
    channels_at,
    low_pass,
    mapping_network,
    upfirdn,
)
from kfaar_core.nets.mobile_stylegan import Mapping
from kfaar_core.stages.generate import part
from tests.kfaar_core.nets.cast.recorded import empty, filled, value


def small() -> StyleGan2:
    return StyleGan2(side=16, width=12, depth=2, widest=6)


@pytest.fixture(scope="module")
def net() -> StyleGan2:
    return filled(small, keep=("kernel", "mean")).float()


@pytest.mark.parametrize(("up", "pad"), [(1, (1, 1)), (2, (2, 1)), (2, (0, 3))])
def test_upfirdn_is_scipys(rng, up, pad):
    x, taps = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal(4)
    kernel = np.outer(taps, taps[::-1])  # not symmetric: a convolution, no correlation
    found = upfirdn(torch.from_numpy(x), torch.from_numpy(kernel), up, pad).numpy()

    def along(values: np.ndarray, filter_taps: np.ndarray, axis: int) -> np.ndarray:
        length = up * values.shape[axis] + sum(pad) - 3
        spread = np.apply_along_axis(lambda row: signal.upfirdn(filter_taps, row, up), axis, values)
        whole = np.pad(spread, [(8, 8) if i == axis else (0, 0) for i in range(values.ndim)])
        start = 8 + 3 - pad[0]  # the filter's tail before the first pixel is the padding
        return np.take(whole, range(start, start + length), axis)

    np.testing.assert_allclose(found, along(along(x, taps, 2), taps[::-1], 3), atol=1e-12)


def modulated(conv: ModulatedConv, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """One face by the definition: own kernels for its style, demodulated, then SciPy's convolutions."""
    style = w @ (conv.modulation.weight.double().numpy() / np.sqrt(len(w))).T + conv.modulation.bias.double().numpy()
    kernels = conv.weight[0].double().numpy() / np.sqrt(conv.weight[0][0].numel()) * style[:, None, None]
    if conv.demodulate:
        kernels = kernels / np.sqrt((kernels**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    if not conv.up:
        planes = [[signal.correlate2d(x[c], k[c], mode="same") for c in range(len(x))] for k in kernels]
        return np.sum(planes, axis=1)
    wide = np.zeros((len(x), 2 * x.shape[1] - 1, 2 * x.shape[2] - 1))
    wide[:, ::2, ::2] = x  # a transposed convolution spreads the pixels
    planes = [[signal.convolve2d(wide[c], k[c], mode="full") for c in range(len(x))] for k in kernels]
    blur = 4 * np.outer(TAPS, TAPS) / np.sum(TAPS) ** 2
    return np.stack([signal.convolve2d(plane, blur, mode="full")[2:-2, 2:-2] for plane in np.sum(planes, axis=1)])


@pytest.mark.parametrize(
    ("size", "demodulate", "up"), [(3, True, False), (3, True, True), (1, False, False)], ids=["same", "up", "rgb"]
)
def test_modulated_convolution_by_its_definition(rng, size, demodulate, up):
    conv = filled(lambda: ModulatedConv(4, 5, size, 6, demodulate, up), keep=("kernel",))
    x, w = rng.standard_normal((2, 4, 5, 7)), rng.standard_normal((2, 6))
    found = conv(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    expected = np.stack([modulated(conv, *one) for one in zip(x, w, strict=True)])
    assert found.shape == ((2, 5, 10, 14) if up else (2, 5, 5, 7))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # fixed factors are float32


def test_demodulation_makes_every_face_equally_strong():
    """Whatever the style, white noise of variance one keeps it."""
    conv = filled(lambda: ModulatedConv(16, 8, 3, 6), keep=("kernel",)).float()
    x = torch.randn(2, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    w = 3 * torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    plain = conv(x, w).var(dim=(2, 3))
    torch.testing.assert_close(plain, torch.ones_like(plain), rtol=0.15, atol=0.15)


def test_the_low_pass_filter_by_hand():
    kernel = low_pass(4.0)
    assert kernel.sum() == pytest.approx(4.0)
    assert (kernel[0] * 16).tolist() == [1.0, 3.0, 3.0, 1.0] and torch.equal(kernel, kernel.T)


def test_a_flat_picture_stays_flat_when_it_is_enlarged():
    found = upfirdn(torch.full((1, 1, 6, 6), 3.0), low_pass(4.0), 2, (2, 1))
    assert found.shape == (1, 1, 12, 12)
    torch.testing.assert_close(found[0, 0, 2:-2, 2:-2], torch.full((8, 8), 3.0))


@pytest.mark.lab
def test_the_embedded_mapping_network_is_stylegan2s():
    """The same numbers, stored as StyleGAN2 stores them: divided by the scale that it applies."""
    own = part(weights.load("mobile_stylegan"), "mapping.")
    embedded = load_strictly(Mapping, own)
    scale = MAPPING_RATE / 512**0.5
    stored = {}
    for name, tensor in own.items():
        _, layer, kind = name.split(".")
        stored[f"{int(layer) + 1}.{kind}"] = tensor / (scale if kind == "weight" else MAPPING_RATE)
    ours = load_strictly(lambda: mapping_network(512, 8), stored)
    z = torch.randn(64, 512, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(z), embedded(z), rtol=1e-4, atol=1e-4)
    assert embedded(z).std() > 0.1


def test_shapes_of_the_published_sizes():
    assert [channels_at(1 << power) for power in range(2, 11)] == [512] * 5 + [256, 128, 64, 32]
    with torch.device("meta"):
        assert StyleGan2(1024).layers == 18 and StyleGan2(256).layers == 14
        assert StyleGan2(1024)(torch.zeros(2, 18, 512)).shape == (2, 3, 1024, 1024)


def test_a_face_does_not_depend_on_its_batch_and_each_style_acts(net):
    w = value("w", (3, net.layers, 12)).requires_grad_()
    found = net(w)
    assert found.shape == (3, 3, 16, 16)
    torch.testing.assert_close(found[1:2], net(w[1:2]), rtol=1e-4, atol=1e-5)
    (slope,) = torch.autograd.grad(found[1].square().sum(), w)
    assert (slope[1].abs().amax(dim=1) > 0).all() and not slope[[0, 2]].any()


def test_the_gradient_reaches_z(net):
    z = value("z", (2, 12)).requires_grad_()
    w = net.map(z)[:, None].expand(-1, net.layers, -1)
    (slope,) = torch.autograd.grad(net(w).mean(), z)
    assert slope.isfinite().all() and (slope.abs().amax(dim=1) > 0).all()


def test_bfloat16_is_near_single_precision(net):
    w = value("w", (2, net.layers, 12))
    exact, coarse = net(w), small()
    coarse.load_state_dict(net.state_dict())
    found = coarse.bfloat16()(w)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() < 0.03 * exact.norm()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_is_the_cpu(net):
    w = value("w", (2, net.layers, 12))
    again = small()
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.cuda()(w.cuda()).cpu(), net(w), rtol=1e-3, atol=1e-3)


def test_without_a_mean_it_is_measured():
    """A checkpoint of training has none. Zero weights leave the biases, here 1 and its leaky image."""
    state = empty("stylegan2_256")
    del state["latent_avg"]
    state["g_ema.style.8.bias"] = torch.full((512,), 100.0)  # times 0.01, times the root of two
    found = StyleGan2.from_published(state, side=256)
    torch.testing.assert_close(found.mean, torch.full((512,), 2**0.5))
