"""The picture decoder of FaceVid2Vid and LivePortrait: SPADE (Park et al., arXiv 1903.07291).

Features are normalised channel by channel, then scaled and shifted pixel by pixel; scale and shift are convolutions of
the same warped features.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

MIDDLE = 6  # blocks before the first enlargement
HIDDEN = 128  # channels of the convolution that scale and shift share
SLOPE = 0.2  # leaky ReLU


class Spade(nn.Module):
    """Instance normalisation whose scale and shift come from a map."""

    def __init__(self, channels: int, labels: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(labels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """
        Args:
            x: (N, C, H, W).
            seen: (N, L, h, w), enlarged to H x W by repeating pixels.
        """
        shared = self.mlp_shared(functional.interpolate(seen, size=x.shape[2:]))
        return functional.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """Residual block of two convolutions under Spade normalisation."""

    def __init__(self, channels_in: int, channels: int, labels: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        between = min(channels_in, channels)
        self.conv_0 = nn.Conv2d(channels_in, between, 3, padding=1)
        self.conv_1 = nn.Conv2d(between, channels, 3, padding=1)
        self.norm_0, self.norm_1 = Spade(channels_in, labels, hidden), Spade(between, labels, hidden)
        self.narrows = channels_in != channels
        if self.narrows:
            self.conv_s = nn.Conv2d(channels_in, channels, 1, bias=False)
            self.norm_s = Spade(channels_in, labels, hidden)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        y = self.conv_0(functional.leaky_relu(self.norm_0(x, seen), SLOPE))
        y = self.conv_1(functional.leaky_relu(self.norm_1(y, seen), SLOPE))
        return y + (self.conv_s(self.norm_s(x, seen)) if self.narrows else x)


class SpadeDecoder(nn.Module):
    """Warped features (N, C, H, W) -> RGB (N, 3, 4H, 4W) in [0, 1], or (N, 3, 8H, 8W)."""

    def __init__(self, channels: int = 256, last: int = 64, double: bool = False, hidden: int = HIDDEN) -> None:
        """
        Args:
            channels: C.
            last: channels before the picture.
            double: enlarge once more, by the last convolution (LivePortrait).
            hidden: of Spade.
        """
        super().__init__()
        wide = 2 * channels
        self.fc = nn.Conv2d(channels, wide, 3, padding=1)
        for i in range(MIDDLE):
            self.add_module(f"G_middle_{i}", SpadeBlock(wide, wide, channels, hidden))
        self.up_0 = SpadeBlock(wide, channels, channels, hidden)
        self.up_1 = SpadeBlock(channels, last, channels, hidden)
        self.conv_img: nn.Module = nn.Conv2d(last, 3, 3, padding=1)
        if double:
            self.conv_img = nn.Sequential(nn.Conv2d(last, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, seen: Tensor) -> Tensor:
        x = self.fc(seen)
        for i in range(MIDDLE):
            x = self.get_submodule(f"G_middle_{i}")(x, seen)
        for block in (self.up_0, self.up_1):
            x = block(functional.interpolate(x, scale_factor=2), seen)
        picture: Tensor = self.conv_img(functional.leaky_relu(x, SLOPE))
        return picture.sigmoid()
