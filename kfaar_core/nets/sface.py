"""Encoder E of the `lab` preset: SFace (Zhong et al., arXiv 2205.12010, 2021; weights of the OpenCV Zoo), in torch.

RGB crop (N, 3, 112, 112) in [-1, 1] -> embedding (N, 128), not normalised. The body is MobileNet (Howard et al., arXiv
1704.04861) at full width with a PReLU after every convolution. Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM = 32  # channels
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)  # channels of each pair of convolutions
DOWN = (1, 3, 5, 11)  # pairs with stride 2: 112 -> 7 px
FEATURE = 128
WIDE = FEATURE + 1024  # with the penultimate activations (WideSFace)


class FrozenPReLU(nn.Module):
    """PReLU with constant slopes. The backward pass of torch's PReLU takes as long as all convolutions together."""

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        if not x.requires_grad:
            return functional.prelu(x, self.weight)
        with torch.no_grad():
            below = self.weight[:, None, None]
            slope = (x > 0).to(x.dtype).mul_(1 - below).add_(below)
        return x * slope


class ConvPReLU(nn.Module):
    """A convolution followed by a PReLU."""

    def __init__(self, channels_in: int, channels: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, size, stride, size // 2, groups=groups)
        self.bend = FrozenPReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(self.conv(x.to(self.conv.weight.dtype)).to(x.dtype))


class SFace(nn.Module):
    """E: aligned crops (N, 3, 112, 112) in [-1, 1] -> embeddings (N, 128), not normalised."""

    def __init__(self) -> None:
        super().__init__()
        units, channels = [ConvPReLU(3, STEM, 3)], STEM
        for i, width in enumerate(WIDTHS):
            units.append(ConvPReLU(channels, channels, 3, stride=2 if i in DOWN else 1, groups=channels))
            units.append(ConvPReLU(channels, width, 1))
            channels = width
        self.units = nn.Sequential(*units)
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))  # of the normalisation before the last layer
        self.last = nn.Linear(channels * 7 * 7, FEATURE)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x).flatten(1))  # (N, 128)

    def body(self, x: Tensor) -> Tensor:
        """Penultimate activations, the input of the last layer: (N, 1024, 7, 7)."""
        return self.scale * self.units(x)


class WideSFace(nn.Module):
    """E's embedding concatenated with its penultimate activations, averaged over the crop: (N, 128 + 1024).

    The last layer is trained to separate people. With the penultimate activations, u of two photos of one person is
    more similar.
    """

    def __init__(self, narrow: SFace) -> None:
        super().__init__()
        self.narrow = narrow

    def forward(self, x: Tensor) -> Tensor:
        body = self.narrow.body(x)
        return torch.cat((self.narrow.last(body.flatten(1)), body.mean(dim=(2, 3))), dim=1)


def quickened(net: nn.Module) -> nn.Module:
    """A copy with pointwise convolutions in bfloat16. They are most of the work; a gradient takes half the time."""
    copy = deepcopy(net)
    for part in copy.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1):
            part.bfloat16()
    return copy
