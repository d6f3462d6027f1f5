"""Mapping network M and generator G: MobileStyleGAN for FFHQ (Belousov, arXiv 2104.04767).

M: z (N, 512) -> w (N, 512).  G: w+ (N, 23, 512) -> RGB (N, 3, side, side), about [-1, 1].
The paper's G is StyleGAN2 with 18 styles; this distilled student has 23, one for each modulation (Section IV-B-2).

Every block doubles the side by an inverse Haar transform (4C channels become C), followed by two separable convolutions
(depthwise 3x3, pointwise 1x1). A style scales the channels before each convolution; there is no demodulation.

Small pictures (64 to 256 px) use the low band of the Haar transform only: blocks above their side do not double it and
keep a quarter of the channels. At 128 px the result has a PSNR of about 30 dB to the downscaled large picture, at a
fraction of the cost of the render and of its gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STYLES = 23  # modulations: 1 start + 7 blocks x (up, conv1, conv2) + 1 to_rgb
BLOCK_CHANNELS = (512, 512, 512, 512, 512, 256, 128)  # 4C channels that enter blocks 0..6
OUT_CHANNELS = (512, 512, 512, 512, 256, 128, 64)  # output channels of blocks 0..6
SLOPE = 0.2  # leaky ReLU


class Mapping(nn.Module):
    """Mapping network M: z (N, 512) -> w (N, 512)."""

    def __init__(self, width: int = 512, depth: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE) * 2**0.5
        return x


def inverse_haar(x: Tensor) -> Tensor:
    """Inverse Haar transform: bands low | vertical | horizontal | diagonal (N, 4C, H, W) -> (N, C, 2H, 2W)."""
    low, vertical, horizontal, diagonal = x.permute(0, 2, 3, 1).chunk(4, dim=3)  # (N, H, W, C): channels stay last
    a, b = low + vertical, low - vertical
    c, d = horizontal + diagonal, horizontal - diagonal
    top = torch.stack((a + c, a - c), dim=3).flatten(2, 3)  # (N, H, 2W, C)
    bottom = torch.stack((b + d, b - d), dim=3).flatten(2, 3)
    return 0.5 * torch.stack((top, bottom), dim=2).flatten(1, 2).permute(0, 3, 1, 2)  # (N, C, 2H, 2W)


class Style(nn.Module):
    """Channel factors (N, C, 1, 1) of x from w (N, 512). If x has fewer channels, only the first factors are used."""

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
            x: (N, C, H, W).
            w: (N, 512).
            low: x is the low band. It varies slowly: depthwise kernels are replaced by their sums, noise is averaged.
            channels: number of output channels that are computed; None for all.
        """
        noise: Tensor = self.noise
        factors, kernels = self.style(x, w), self.depthwise.weight
        if low:
            x = x * (factors * kernels.sum(dim=(2, 3))[:, 0, None, None])
            noise = functional.avg_pool2d(noise, noise.shape[-1] // x.shape[-1])
        elif len(x) == 1:  # scaling the kernels takes half the time of scaling x
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
            x: (N, 4C, H, W), or the low band (N, C, H, W).
            up, w1, w2: (N, 512) each.
            low: x is the low band; its side is kept.
            channels: number of output channels that are computed; None for all.
        """
        factors = self.up(x, up)
        x = x * (0.5 * factors) if low else inverse_haar(x * factors)
        return self.conv2(self.conv1(x, w1, low), w2, low, channels)


class Synthesis(nn.Module):
    """Generator G: w+ (N, 23, 512) -> RGB (N, 3, side, side). Side 512 or 1024; 64, 128 or 256 from the low band."""

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
            channels = OUT_CHANNELS[i] // 4 if low[i + 1] else None  # the low band, all that the next block uses
            x = block(x, *w[1 + 3 * i : 4 + 3 * i], low[i], channels)
        x = self.to_rgb(x * self.to_rgb_style(x, w[-1]))  # (N, 12, 512, 512) or smaller
        # Half the low band is the 512 px picture; the last Haar step only adds the finest detail.
        return inverse_haar(x) if side == 1024 else 0.5 * x[:, :3]
