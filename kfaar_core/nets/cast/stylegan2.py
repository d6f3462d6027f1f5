"""Mapping network M and generator G of the paper: StyleGAN2 (Karras et al., arXiv 1912.04958), configuration F.

M: z (N, 512) -> w (N, 512).  G: w+ (N, L, 512) -> RGB (N, 3, side, side), about [-1, 1]; L is 18 at 1024 px and 14 at
256 px. Names are those of rosinality/stylegan2-pytorch, in which `stylegan2-ffhq-config-f.pt` is published.

Every convolution is modulated: a style scales its input channels and, demodulated, each output channel is divided by
the norm that its kernel has then. Each resolution adds its RGB picture to the enlarged picture of the one before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.cast.published import State, load_strictly, part

SLOPE = 0.2  # leaky ReLU
GAIN = 2**0.5  # after it
MAPPING_RATE = 0.01  # learning rate multiplier of M, part of its stored weights
TAPS = (1.0, 3.0, 3.0, 1.0)  # low-pass filter of upsampling
EPS = 1e-8
WIDTH = 512  # of z and w
FACES = 10_000  # for the mean w, as the published one was measured


def upfirdn(x: Tensor, kernel: Tensor, up: int, pad: tuple[int, int]) -> Tensor:
    """Insert zeros, pad, and convolve: (N, C, H, W) -> (N, C, up * H + sum(pad) - k + 1, ...).

    Args:
        kernel: (k, k).
        up: a pixel is followed by up - 1 zeros, in both directions.
        pad: zeros before and after, in both directions.
    """
    n, c, height, width = x.shape
    if up > 1:
        x = functional.pad(x[:, :, :, None, :, None], (0, up - 1, 0, 0, 0, up - 1))
        x = x.reshape(n, c, up * height, up * width)
    x = functional.pad(x, (*pad, *pad))
    flipped = kernel.flip(0, 1).to(x.dtype)  # conv2d correlates
    return functional.conv2d(x.flatten(0, 1)[:, None], flipped[None, None]).unflatten(0, (n, c))[:, :, 0]


def low_pass(gain: float) -> Tensor:
    """The low-pass filter (4, 4), with sum `gain`."""
    taps = torch.tensor(TAPS)
    return taps.outer(taps) * (gain / taps.sum() ** 2)


class Resample(nn.Module):
    """A fixed filter; the checkpoint holds its kernel."""

    kernel: Tensor

    def __init__(self, up: int, pad: tuple[int, int]) -> None:
        super().__init__()
        self.up, self.pad = up, pad
        self.register_buffer("kernel", low_pass(4.0))

    def forward(self, x: Tensor) -> Tensor:
        return upfirdn(x, self.kernel, self.up, self.pad)


class ScaledLinear(nn.Module):
    """A linear layer whose stored weights are scaled when used (equalised learning rate)."""

    def __init__(self, wide_in: int, wide: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(wide, wide_in) / rate)
        self.bias = nn.Parameter(torch.full((wide,), bias))
        self.scale, self.rate = rate / math.sqrt(wide_in), rate

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class MappingLayer(ScaledLinear):
    """A layer of M."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(super().forward(x), SLOPE) * GAIN


class PixelNorm(nn.Module):
    """Divide a vector by its root mean square."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPS)


def mapping_network(width: int, depth: int) -> nn.Sequential:
    """Mapping network M with random weights: z (N, width) -> w (N, width)."""
    return nn.Sequential(PixelNorm(), *(MappingLayer(width, width, MAPPING_RATE) for _ in range(depth)))


class ModulatedConv(nn.Module):
    """Convolution with modulation, and demodulation and upsampling if asked for."""

    def __init__(
        self, channels_in: int, channels: int, size: int, width: int, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, channels_in, size, size))
        self.scale = 1 / math.sqrt(channels_in * size**2)
        self.modulation = ScaledLinear(width, channels_in, bias=1.0)
        self.demodulate, self.up = demodulate, up
        if up:
            self.blur = Resample(up=1, pad=(1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """
        Args:
            x: (N, C, H, W).
            w: (N, 512).

        Returns:
            (N, O, H, W), or (N, O, 2H, 2W) with upsampling.
        """
        kernels, style = self.weight[0] * self.scale, self.modulation(w)  # (O, C, k, k), (N, C)
        # Scaling the input by the style, and the output by 1 / norm, is the same as changing the kernels, and one
        # convolution serves the whole batch.
        x = x * style[:, :, None, None]
        if self.up:
            x = self.blur(functional.conv_transpose2d(x, kernels.transpose(0, 1), stride=2))
        else:
            x = functional.conv2d(x, kernels, padding=kernels.shape[-1] // 2)
        if self.demodulate:
            squares = style.float().square() @ kernels.float().square().sum(dim=(2, 3)).T  # (N, O)
            x = x * torch.rsqrt(squares + EPS).to(x.dtype)[:, :, None, None]
        return x


class Bias(nn.Module):
    """Bias (C,) and leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.bias[:, None, None], SLOPE) * GAIN


class NoiseStrength(nn.Module):
    """Add a noise picture, scaled by one learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight * noise


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU."""

    def __init__(self, channels_in: int, channels: int, width: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels_in, channels, 3, width, up=up)
        self.noise = NoiseStrength()
        self.activate = Bias(channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        return self.activate(self.noise(self.conv(x, w), noise))


class ToRgb(nn.Module):
    """The RGB picture of one resolution, added to the enlarged picture of the one before."""

    def __init__(self, channels: int, width: int, up: bool = True) -> None:
        super().__init__()
        if up:
            self.upsample = Resample(up=2, pad=(2, 1))
        self.conv = ModulatedConv(channels, 3, 1, width, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, w: Tensor, before: Tensor | None = None) -> Tensor:
        picture = self.conv(x, w) + self.bias
        return picture if before is None else picture + self.upsample(before)


class Constant(nn.Module):
    """The learned start (1, C, 4, 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


def channels_at(side: int, widest: int = 512) -> int:
    """Channels at a resolution of configuration F: 512 up to 64 px, then halved at each doubling."""
    return min(widest, 32768 // side)


class StyleGan2(nn.Module):
    """M and G. Noise is fixed, so that a latent always gives the same face."""

    mean: Tensor

    def __init__(self, side: int = 1024, width: int = WIDTH, depth: int = 8, widest: int = 512) -> None:
        """
        Args:
            side: px of the picture, a power of two.
            width: of z and w.
            depth: layers of M.
            widest: most channels of a convolution.
        """
        super().__init__()
        self.side, self.width = side, width
        self.layers = 2 * side.bit_length() - 4  # L: styles of a face
        self.style = mapping_network(width, depth)
        channels = channels_at(4, widest)
        self.input = Constant(channels)
        self.conv1 = StyledConv(channels, channels, width)
        self.to_rgb1 = ToRgb(channels, width, up=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for power in range(3, side.bit_length()):
            more = channels_at(1 << power, widest)
            self.convs.extend((StyledConv(channels, more, width, up=True), StyledConv(more, more, width)))
            self.to_rgbs.append(ToRgb(more, width))
            for index in (2 * power - 5, 2 * power - 4):
                self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, 1 << power, 1 << power))
            channels = more
        self.register_buffer("mean", torch.zeros(width))  # of w over random z: the centre of truncation

    @classmethod
    def from_published(cls, state: State, side: int = 1024) -> StyleGan2:
        """Load the published tensors.

        Args:
            state: `g_ema.` and the generator's names, and `latent_avg`, the mean w; without it the mean is measured.
            side: px; 1024 for `stylegan2-ffhq-config-f.pt`, 256 for a generator of that size.

        Raises:
            BadWeights: names or shapes differ.
        """
        mean = state.get("latent_avg")
        own = part(state, "g_ema.") | {"mean": torch.zeros(WIDTH) if mean is None else mean.flatten()}
        net = load_strictly(lambda: cls(side), own)
        if mean is None:
            net.mean.copy_(net.map(torch.randn(FACES, WIDTH, generator=torch.Generator().manual_seed(0))).mean(dim=0))
        return net

    def map(self, z: Tensor) -> Tensor:
        """Mapping network M: z (N, 512) -> w (N, 512)."""
        w: Tensor = self.style(z)
        return w

    def forward(self, w_plus: Tensor) -> Tensor:
        """Generator G: w+ (N, L, 512) -> RGB (N, 3, side, side), about [-1, 1]."""
        w = w_plus.to(self.input.input.dtype).unbind(dim=1)
        noises = [getattr(self.noises, f"noise_{index}") for index in range(len(self.convs) + 1)]
        x = self.conv1(self.input.input.expand(len(w_plus), -1, -1, -1), w[0], noises[0])
        picture = self.to_rgb1(x, w[1])
        for i, to_rgb in enumerate(self.to_rgbs):
            first, second = 2 * i, 2 * i + 1
            x = self.convs[first](x, w[first + 1], noises[first + 1])
            x = self.convs[second](x, w[second + 1], noises[second + 1])
            picture = to_rgb(x, w[second + 2], picture)  # shared with the first convolution of the next resolution
        return picture
