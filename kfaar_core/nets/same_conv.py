"""A convolution with TensorFlow's `same` padding, which is not symmetric where the stride is even."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SameConv2d(nn.Conv2d):
    """Convolution (N, C, H, W) -> (N, D, H / stride, W / stride), for sides that the stride divides."""

    def __init__(self, channels_in: int, channels: int, size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels, size, stride, groups=groups)
        border = max(size - stride, 0)
        self._border = (border // 2, border - border // 2) * 2  # left, right, top, bottom

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, self._border))
