"""The observer's recogniser: MobileFaceNet (Chen et al., arXiv 1804.07573, 2018) with 192 numbers, in torch.

RGB crop (N, 3, 112, 112) in [-1, 1] -> embedding (N, 192), not normalised. Batch normalisation is folded into the
convolutions. Evaluation alone may use it (kfaar_core.evaluate.observers).
"""

from __future__ import annotations

from torch import Tensor, nn

from kfaar_core.nets.same_conv import SameConv2d
from kfaar_core.nets.sface import FrozenPReLU

FEATURE = 192
STEM = 64  # channels
# Inner channels, channels and stride of each bottleneck.
BOTTLENECKS = (
    (128, 64, 2),
    *((128, 64, 1),) * 4,
    (256, 128, 2),
    *((256, 128, 1),) * 6,
    (512, 128, 2),
    *((256, 128, 1),) * 2,
)
WIDE = 512  # channels before the global depthwise convolution


class Unit(nn.Module):
    """A convolution followed by a PReLU."""

    def __init__(self, channels_in: int, channels: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = SameConv2d(channels_in, channels, size, stride, groups)
        self.bend = FrozenPReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bend(self.conv(x))


class Bottleneck(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, channels_in: int, inner: int, channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut = stride == 1 and channels_in == channels
        self.expand = Unit(channels_in, inner, 1)
        self.filter = Unit(inner, inner, 3, stride, groups=inner)
        self.project = SameConv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.shortcut else y


class MobileFaceNet(nn.Module):
    """Aligned crops (N, 3, 112, 112) in [-1, 1] -> embeddings (N, 192), not normalised."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [Unit(3, STEM, 3, 2), Unit(STEM, STEM, 3, groups=STEM), SameConv2d(STEM, STEM, 1)]
        channels = STEM
        for inner, width, stride in BOTTLENECKS:
            layers.append(Bottleneck(channels, inner, width, stride))
            channels = width
        layers += [
            Unit(channels, WIDE, 1),
            nn.Conv2d(WIDE, WIDE, 7, groups=WIDE),
            nn.Conv2d(WIDE, WIDE, 1),
            nn.Conv2d(WIDE, FEATURE, 1),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x * (127.5 / 128)).flatten(1)  # the network was trained on (level - 127.5) / 128
