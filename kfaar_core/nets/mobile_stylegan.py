"""Mapping network M and generator G: the bodies of MobileStyleGAN-FFHQ (Belousov, arXiv 2104.04767).

M: z (N, 512) -> w (N, 512).  G: w+ (N, 23, 512) -> RGB (N, 3, side, side), about [-1, 1].
The paper's G is StyleGAN2 with 18 styles; this distilled student has 23, one for each modulation (Section IV-B-2).

Every block doubles the side by an inverse Haar transform (4C channels become C) and then convolves twice, depthwise
3x3 and pointwise 1x1. A style scales the channels before each convolution; nothing is demodulated.

A smaller picture comes from the low band: blocks above its side do not double it, but pass on what the four pixels of
each would have in common, a quarter of the channels. At 128 px that is within 30 dB of the large picture made small,
for a fraction of the work and of its gradient's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STYLES = 23  # modulations: 1 start + 7 blocks x (up, conv1, conv2) + 1 to_rgb
BLOCK_CHANNELS = (512, 512, 512, 512, 512, 256, 128)  # 4C channels that enter blocks 0..6
OUT_CHANNELS = (512, 512, 512, 512, 256, 128, 64)  # channels that leave them
SLOPE = 0.2  # leaky ReLU


class Mapping(nn.Module):
    """M: z (N, 512) -> w (N, 512)."""

    def __init__(self, width: int = 512, depth: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE) * 2**0.5
        return x


def inverse_haar(x: Tensor) -> Tensor:
    """(N, 4C, H, W), blocks low | vertical | horizontal | diagonal detail -> (N, C, 2H, 2W)."""
    low, vertical, horizontal, diagonal = x.permute(0, 2, 3, 1).chunk(4, dim=3)  # (N, H, W, C), so that C stays last
    a, b = low + vertical, low - vertical
    c, d = horizontal + diagonal, horizontal - diagonal
    top = torch.stack((a + c, a - c), dim=3).flatten(2, 3)  # (N, H, 2W, C)
    bottom = torch.stack((b + d, b - d), dim=3).flatten(2, 3)
    return 0.5 * torch.stack((top, bottom), dim=2).flatten(1, 2).permute(0, 3, 1, 2)  # (N, C, 2H, 2W)


class Style(nn.Module):
    """w (N, 512) -> the factors (N, C, 1, 1) by which x has its channels scaled; the first of them if x has fewer."""

    def __init__(self, channels: int, width: int = 512) -> None:
        super().__init__()
        self.affine = nn.Linear(width, channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        factors: Tensor = self.affine(w)
        return factors[:, : x.shape[1], None, None]


class SeparableConv(nn.Module):
    """Style, depthwise 3x3, pointwise 1x1, constant noise, bias, leaky ReLU."""

    def __init__(self, channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.style = Style(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out_channels, 1)
        self.noise = nn.Parameter(torch.zeros(1, 1, side, side))

    def forward(self, x: Tensor, w: Tensor, low: bool = False, channels: int | None = None) -> Tensor:
        """
        Args:
            low: x is the low band, which varies so slowly that a depthwise kernel is its sum, and noise its mean.
            channels: answer the first of them alone.
        """
        noise: Tensor = self.noise
        factors, kernels = self.style(x, w), self.depthwise.weight
        if low:
            x = x * (factors * kernels.sum(dim=(2, 3))[:, 0, None, None])
            noise = functional.avg_pool2d(noise, noise.shape[-1] // x.shape[-1])
        elif len(x) == 1:  # its kernels take the factors, for half the time of a product with x
            x = functional.conv2d(x, kernels * factors.reshape(-1, 1, 1, 1), padding=1, groups=len(kernels))
        else:
            x = self.depthwise(x * factors)
        weight, bias = (each[:channels] for each in self.pointwise.parameters())
        return functional.leaky_relu(functional.conv2d(x, weight, bias) + noise, SLOPE)


class Block(nn.Module):
    """Inverse Haar upsampling, then two separable convolutions; takes styles up, conv1, conv2."""

    def __init__(self, channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.up = Style(channels)
        self.conv1 = SeparableConv(channels // 4, out_channels, side)
        self.conv2 = SeparableConv(out_channels, out_channels, side)

    def forward(
        self, x: Tensor, up: Tensor, w1: Tensor, w2: Tensor, low: bool = False, channels: int | None = None
    ) -> Tensor:
        """
        Args:
            low: x is the low band alone, a quarter of the channels, and keeps its side.
            channels: answer the first of them alone.
        """
        factors = self.up(x, up)
        x = x * (0.5 * factors) if low else inverse_haar(x * factors)
        return self.conv2(self.conv1(x, w1, low), w2, low, channels)


class Synthesis(nn.Module):
    """G: w+ (N, 23, 512) -> RGB (N, 3, side, side), side 512 or 1024 exactly, 64, 128 or 256 from the low band."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, 512, 4, 4))
        self.start_style = Style(512)
        self.start_conv = nn.Conv2d(512, 512, 3, padding=1)
        self.start_noise = nn.Parameter(torch.zeros(1, 1, 4, 4))
        shapes = zip(BLOCK_CHANNELS, OUT_CHANNELS, strict=True)
        self.blocks = nn.ModuleList(Block(c, out, 8 << i) for i, (c, out) in enumerate(shapes))
        self.to_rgb_style = Style(64)
        self.to_rgb = nn.Conv2d(64, 12, 1)

    def forward(self, w_plus: Tensor, side: int = 512) -> Tensor:
        w = w_plus.to(self.start.dtype).unbind(dim=1)
        x = self.start_conv(self.start * self.start_style(self.start, w[0])) + self.start_noise
        x = functional.leaky_relu(x, SLOPE)  # (N, 512, 4, 4)
        low = [*(8 << i > side for i in range(len(self.blocks))), False]
        for i, block in enumerate(self.blocks):
            channels = OUT_CHANNELS[i] // 4 if low[i + 1] else None  # all that the next block would look at
            x = block(x, *w[1 + 3 * i : 4 + 3 * i], low[i], channels)
        x = self.to_rgb(x * self.to_rgb_style(x, w[-1]))  # (N, 12, 512, 512) or smaller
        # The low band, halved, is the 512 px picture: the last Haar step only adds the finest detail.
        return inverse_haar(x) if side == 1024 else 0.5 * x[:, :3]
