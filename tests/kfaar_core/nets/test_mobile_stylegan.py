from __future__ import annotations

import copy

import pytest
import torch

from kfaar_core import weights
from kfaar_core.nets.mobile_stylegan import (
    BLOCK_CHANNELS,
    OUT_CHANNELS,
    STYLES,
    Block,
    Mapping,
    SeparableConv,
    Synthesis,
    inverse_haar,
)
from kfaar_core.stages.generate import TorchGenerator, w_plus


@pytest.fixture(scope="module")
def synthesis() -> Synthesis:
    torch.manual_seed(0)
    net = Synthesis()
    for parameter in (net.start, net.start_noise, *(c.noise for b in net.blocks for c in (b.conv1, b.conv2))):
        torch.nn.init.normal_(parameter, std=0.3)
    return net.eval().requires_grad_(False)


def forward_haar(x: torch.Tensor) -> torch.Tensor:
    """(N, C, 2H, 2W) -> (N, 4C, H, W) by four 2x2 filters: mean, top minus bottom, left minus right, diagonal."""
    signs = torch.tensor([[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]) / 2
    n, c, height, width = x.shape
    bands = torch.nn.functional.conv2d(x.reshape(n * c, 1, height, width), signs[:, None].to(x), stride=2)
    return bands.reshape(n, c, 4, height // 2, width // 2).transpose(1, 2).flatten(1, 2)


def test_inverse_haar_by_hand():
    bands = torch.tensor([10.0, 4.0, 2.0, 1.0]).reshape(1, 4, 1, 1)  # low, vertical, horizontal, diagonal
    # top left 10+4+2+1, top right 10+4-2-1, bottom left 10-4+2-1, bottom right 10-4-2+1; all halved
    assert inverse_haar(bands)[0, 0].tolist() == [[8.5, 5.5], [3.5, 2.5]]


def test_inverse_haar_undoes_the_forward_transform():
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(inverse_haar(forward_haar(x)), x)


def test_mapping_normalises_its_input_and_keeps_faces_apart():
    torch.manual_seed(0)
    mapping = Mapping(width=16, depth=2)
    z = torch.randn(3, 16)
    torch.testing.assert_close(mapping(5 * z), mapping(z))
    torch.testing.assert_close(mapping(z)[1:2], mapping(z[1:2]))


def test_mapping_of_identity_layers_by_hand():
    mapping = Mapping(width=2, depth=1)
    torch.nn.init.eye_(mapping.layers[0].weight)
    torch.nn.init.zeros_(mapping.layers[0].bias)
    found = mapping(torch.tensor([[3.0, -4.0]]))[0]  # rms sqrt(12.5); the negative one is multiplied by 0.2
    assert found.tolist() == pytest.approx([3 * 2**0.5 / 12.5**0.5, -0.2 * 4 * 2**0.5 / 12.5**0.5])


def test_there_is_one_style_for_each_modulation(synthesis):
    styles = [name for name, _ in synthesis.named_modules() if name.endswith(("style", ".up"))]
    assert len(styles) == STYLES
    assert [block.conv1.noise.shape[-1] for block in synthesis.blocks] == [8, 16, 32, 64, 128, 256, 512]
    assert all(after == 4 * before // 4 for after, before in zip(OUT_CHANNELS[:-1], BLOCK_CHANNELS[1:], strict=True))


def test_every_style_of_a_block_acts_and_batches_do_not():
    torch.manual_seed(0)
    block = Block(16, 4, side=8)
    x, styles = torch.randn(3, 16, 4, 4), torch.randn(3, 3, 512, requires_grad=True)
    found = block(x, *styles)
    assert found.shape == (3, 4, 8, 8)
    (grad,) = torch.autograd.grad(found[1].square().sum(), styles)
    assert (grad[:, 1].abs().amax(dim=1) > 0).all() and not grad[:, [0, 2]].any()  # all three, of its own face only
    torch.testing.assert_close(block(x[2:], *styles[:, 2:])[0], found[2])


def test_half_size_is_the_mean_of_every_four_pixels(synthesis):
    w = torch.randn(1, STYLES, 512, generator=torch.Generator().manual_seed(2))
    large, small = synthesis(w, side=1024), synthesis(w, side=512)
    assert large.shape == (1, 3, 1024, 1024)
    means = large.reshape(3, 512, 2, 512, 2).mean(dim=(2, 4))
    torch.testing.assert_close(means, small[0], rtol=1e-4, atol=1e-4 * float(small.std()))
    assert 0 < float(large.std()) < float("inf")


@pytest.mark.parametrize("side", [64, 128, 256])
def test_without_detail_the_low_band_is_the_picture_made_small(synthesis, side):
    """Blocks that add no detail, filter nothing and have no noise: every pixel is then what its four neighbours are."""
    net = copy.deepcopy(synthesis)
    for i, block in enumerate(net.blocks):
        if 8 << i > side:
            quarter = BLOCK_CHANNELS[i] // 4
            block.up.affine.weight[quarter:] = 0
            block.up.affine.bias[quarter:] = 0
            for conv in (block.conv1, block.conv2):
                conv.noise.fill_(0.3)
                conv.depthwise.weight.zero_()
                conv.depthwise.weight[:, 0, 1, 1] = torch.linspace(0.5, 1.5, len(conv.depthwise.weight))
    w = torch.randn(1, STYLES, 512, generator=torch.Generator().manual_seed(4))
    small, whole = net(w, side), net(w, 512)
    assert small.shape == (1, 3, side, side) and small.std() > 0
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(whole, 512 // side), rtol=1e-3, atol=1e-4)


def test_the_low_band_of_a_flat_face_by_hand():
    """A kernel counts as its sum: 9 twos of the value 1 under a style of 1 are 18, and the noise as its mean 0.5."""
    conv = SeparableConv(1, 1, side=2)
    conv.requires_grad_(False)
    conv.style.affine.weight.zero_()
    conv.style.affine.bias.fill_(1)
    conv.depthwise.weight.fill_(2)
    conv.pointwise.weight.fill_(1)
    conv.pointwise.bias.zero_()
    conv.noise.copy_(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert conv(torch.ones(1, 1, 1, 1), torch.zeros(1, 512), low=True).item() == pytest.approx(18.5)


@pytest.mark.lab
def test_faces_from_the_low_band_are_near_the_large_ones():
    net = TorchGenerator(weights.load("mobile_stylegan"), torch.device("cpu"))
    z = torch.randn(2, 512, generator=torch.Generator().manual_seed(8))
    w = w_plus((net.w_mean + 0.6 * (net.map(z) - net.w_mean))[:, None].expand(-1, 3, -1))
    small, whole = net.render(w, 128), net.render(w, 512)
    error = (small - torch.nn.functional.avg_pool2d(whole, 4)).square().mean()
    assert 10 * torch.log10(4 / error) > 27  # dB; levels span 2
