"""MobileFaceNet, the network that the judge was distilled from. Training alone needs it, and its weights."""

from __future__ import annotations

from torch import Tensor, nn

from kfaar_core.data.landmarker import teacher_file
from kfaar_core.weights import load_checkpoint


def convolution(before: int, after: int, kernel: int, stride: int, padding: int, groups: int, rule: bool) -> nn.Module:
    """One named layer of MobileFaceNet: convolution, batch normalisation and, with `rule`, PReLU."""
    layer = nn.Sequential()
    layer.add_module("conv", nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False))
    layer.add_module("bn", nn.BatchNorm2d(after))
    if rule:
        layer.add_module("prelu", nn.PReLU(after))
    return layer


class Bottleneck(nn.Module):
    """MobileFaceNet's inverted residual: widen, depthwise 3x3, narrow."""

    def __init__(self, before: int, after: int, stride: int, widen: int) -> None:
        super().__init__()
        middle = before * widen
        self.connect = stride == 1 and before == after
        self.conv = nn.Sequential(
            nn.Conv2d(before, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.PReLU(middle),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            nn.PReLU(middle),
            nn.Conv2d(middle, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.connect else self.conv(x)


class MobileFaceNet(nn.Module):
    """The judge's teacher (arXiv 1804.07573), trained on CASIA-WebFace: (N, 3, 112, 96) in [-1, 1] -> (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = convolution(3, 64, 3, 2, 1, 1, True)
        self.dw_conv1 = convolution(64, 64, 3, 1, 1, 64, True)
        blocks, channels = [], 64
        for widen, after, count, stride in (
            (2, 64, 5, 2),
            (4, 128, 1, 2),
            (2, 128, 6, 1),
            (4, 128, 1, 2),
            (2, 128, 2, 1),
        ):
            for i in range(count):
                blocks.append(Bottleneck(channels, after, stride if i == 0 else 1, widen))
                channels = after
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = convolution(128, 512, 1, 1, 0, 1, True)
        self.linear7 = convolution(512, 512, (7, 6), 1, 0, 512, False)  # type: ignore[arg-type]
        self.linear1 = convolution(512, 128, 1, 1, 0, 1, False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(x))))
        return self.linear1(self.linear7(x)).flatten(1)


def load_mobilefacenet() -> MobileFaceNet:
    """The teacher with its weights, frozen."""
    net = MobileFaceNet()
    net.load_state_dict(load_checkpoint(teacher_file("mobilefacenet_casia.ckpt"))["net_state_dict"])
    return net.eval().requires_grad_(False)
