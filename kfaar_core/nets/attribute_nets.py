"""Age and sex, and seven expressions: the small networks of the npm package @vladmandic/face-api, in torch.

Both take an RGB crop (N, 3, 112, 112) in [-1, 1]. They are built of depthwise separable convolutions: one as a small
Xception (Chollet, arXiv 1610.02357), the other of blocks whose convolutions add up to all later ones (after Huang et
al., DenseNet, arXiv 1608.06993). Evaluation alone may use them (kfaar_core.evaluate.observers).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.same_conv import SameConv2d

MEAN_RGB = (122.782, 117.001, 104.298)  # on the scale 0..255
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")


def centred(x: Tensor) -> Tensor:
    """Levels 0..255 of a crop in [-1, 1], less the mean colour of face pictures."""
    return (x + 1) * 127.5 - x.new_tensor(MEAN_RGB).reshape(3, 1, 1)


class SeparableConv(nn.Module):
    """A depthwise 3x3 convolution without bias, then a pointwise one."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = SameConv2d(channels_in, channels_in, 3, stride, groups=channels_in)
        self.depthwise.register_parameter("bias", None)
        self.pointwise = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class ReductionBlock(nn.Module):
    """Two separable convolutions and a maximum of 3x3, beside a pointwise shortcut; halves the side."""

    def __init__(self, channels_in: int, channels: int, bend: bool = True) -> None:
        super().__init__()
        self._bend = bend
        self.separable = nn.ModuleList([SeparableConv(channels_in, channels), SeparableConv(channels, channels)])
        self.expansion = SameConv2d(channels_in, channels, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.separable[0](functional.relu(x) if self._bend else x)
        y = self.separable[1](functional.relu(y))
        y = functional.max_pool2d(functional.pad(y, (0, 1, 0, 1), value=-torch.inf), 3, stride=2)
        return y + self.expansion(x)


class MainBlock(nn.Module):
    """Three separable convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.separable = nn.ModuleList(SeparableConv(channels, channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in self.separable:
            y = conv(functional.relu(y))
        return x + y


class AgeSexNet(nn.Module):
    """(N, 3, 112, 112) in [-1, 1] -> (N, 3): age in years, then the logits of male and female."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, stride=2)
        self.blocks = nn.Sequential(
            ReductionBlock(32, 64, bend=False),
            ReductionBlock(64, 128),
            MainBlock(128),
            MainBlock(128),
            ReductionBlock(128, 256),
        )
        self.last = SeparableConv(256, 512)
        self.age = nn.Linear(512, 1)
        self.sex = nn.Linear(512, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(centred(x) / 256))
        x = self.blocks(x)  # (N, 256, 7, 7)
        x = functional.relu(self.last(x)).mean(dim=(2, 3))  # (N, 512)
        return torch.cat((self.age(x), self.sex(x)), dim=1)


class DenseBlock(nn.Module):
    """Four convolutions, each of the sum of all before it; the first halves the side."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        first = SameConv2d(3, channels, 3, stride=2) if channels_in == 3 else SeparableConv(channels_in, channels, 2)
        self.convs = nn.ModuleList([first, *(SeparableConv(channels, channels) for _ in range(3))])

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.convs[0](x))
        total = x
        for conv in self.convs[1:]:
            total = total + conv(x)
            x = functional.relu(total)
        return x


class ExpressionNet(nn.Module):
    """(N, 3, 112, 112) in [-1, 1] -> (N, 7) logits of EXPRESSIONS."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 256)
        self.blocks = nn.Sequential(*(DenseBlock(a, b) for a, b in pairwise(widths)))
        self.last = nn.Linear(256, len(EXPRESSIONS))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(centred(x) / 255)  # (N, 256, 7, 7)
        return self.last(x.mean(dim=(2, 3)))
