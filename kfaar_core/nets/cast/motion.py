"""Parts that FaceVid2Vid and LivePortrait share: convolution units, the hourglass, dense motion, head rotation.

A face is a volume of features (N, 32, 16, 64, 64) and a set of keypoints (N, K, 3) in [-1, 1]: x to the right, y down,
z inwards. Keypoints of two postures give a warp of the volume (Wang et al., arXiv 2011.15126).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

BINS = 66  # classes of an angle, 3 degrees each
SPREAD = 0.01  # variance of a keypoint's heat map
Resize = Literal["same", "up", "down"]


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU; between enlarging and pooling if asked for. Depth keeps its length."""

    def __init__(
        self, channels_in: int, channels: int, dims: int, resize: Resize = "same", size: int = 3, slope: float = 0.0
    ) -> None:
        """
        Args:
            dims: 2 for pictures, 3 for volumes.
            resize: up doubles height and width before, down halves them after.
            size: of the kernel.
            slope: of the ReLU below zero.
        """
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
        self.conv = conv(channels_in, channels, size, padding=size // 2)
        self.norm = norm(channels)
        self.resize, self.slope, self.factor = resize, slope, (1, 2, 2)[3 - dims :]

    def forward(self, x: Tensor) -> Tensor:
        if self.resize == "up":
            x = functional.interpolate(x, scale_factor=self.factor)
        x = functional.leaky_relu(self.norm(self.conv(x)), self.slope)
        if self.resize == "down":
            # Slice by slice: pooling of volumes has no bfloat16 on a CPU.
            x = functional.avg_pool2d(x.flatten(1, -3), 2).unflatten(1, x.shape[1:-2])
        return x


class ResidualVolume(nn.Module):
    """Residual block of two 3x3x3 convolutions, each after normalisation and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv3d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = (nn.BatchNorm3d(channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(functional.relu(self.norm1(x)))
        return x + self.conv2(functional.relu(self.norm2(y)))


def widths(base: int, blocks: int, widest: int) -> list[int]:
    """Channels before and after each of `blocks` halvings: base, 2 base, 4 base, ... up to `widest`."""
    return [min(widest, base << i) for i in range(blocks + 1)]


def down_blocks(first: int, base: int, blocks: int, widest: int, dims: int) -> list[Unit]:
    """Units that halve height and width: `first` channels in, then those of `widths`."""
    return [
        Unit(first if i == 0 else before, after, dims, "down")
        for i, (before, after) in enumerate(pairwise(widths(base, blocks, widest)))
    ]


class Lifting(nn.Module):
    """Picture (N, 3, H, W) in [0, 1] -> volume (N, volume, depth, H / 4, W / 4): channels become depth."""

    def __init__(self, base: int, volume: int, depth: int, residuals: int) -> None:
        """
        Args:
            base: channels after the first convolution.
            volume: channels of the volume.
            depth: voxels.
            residuals: number of blocks on the volume.
        """
        super().__init__()
        flat = volume * depth
        self.shape = (volume, depth)
        self.first = Unit(3, base, dims=2)
        self.down_blocks = nn.ModuleList(down_blocks(base, base, 2, flat, dims=2))
        self.second = nn.Conv2d(widths(base, 2, flat)[-1], flat, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(residuals):
            self.resblocks_3d.add_module(f"3dr{i}", ResidualVolume(volume))

    def lifted(self, picture: Tensor) -> Tensor:
        """The volume of a picture."""
        x = self.first(picture)
        for block in self.down_blocks:
            x = block(x)
        volume: Tensor = self.resblocks_3d(self.second(x).unflatten(1, self.shape))
        return volume


class Encoder(nn.Module):
    """Descending half of the hourglass; keeps what it passes."""

    def __init__(self, channels_in: int, base: int, blocks: int, widest: int) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(down_blocks(channels_in, base, blocks, widest, dims=3))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [x]
        for block in self.down_blocks:
            levels.append(block(levels[-1]))
        return levels


class Decoder(nn.Module):
    """Ascending half of the hourglass."""

    def __init__(self, channels_in: int, base: int, blocks: int, widest: int) -> None:
        super().__init__()
        steps = list(pairwise(reversed(widths(base, blocks, widest))))
        self.up_blocks = nn.ModuleList(
            Unit(before if i == 0 else 2 * before, after, 3, "up") for i, (before, after) in enumerate(steps)
        )
        self.out = base + channels_in
        self.conv = nn.Conv3d(self.out, self.out, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.out)

    def forward(self, levels: list[Tensor]) -> Tensor:
        *passed, x = levels
        for block, beside in zip(self.up_blocks, reversed(passed), strict=True):
            x = torch.cat((block(x), beside), dim=1)
        return functional.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """Volume (N, C, D, H, W) -> (N, base + C, D, H, W)."""

    def __init__(self, channels_in: int, base: int, blocks: int, widest: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels_in, base, blocks, widest)
        self.decoder = Decoder(channels_in, base, blocks, widest)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out


def grid(shape: tuple[int, int, int], like: Tensor) -> Tensor:
    """Coordinates (D, H, W, 3) of a volume as x, y, z; the outermost voxels' centres lie at -1 and 1."""
    z, y, x = (torch.linspace(-1, 1, length, dtype=like.dtype, device=like.device) for length in shape)
    return torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], dim=-1)


def heat(points: Tensor, coordinates: Tensor) -> Tensor:
    """Gaussian heat maps (N, K, D, H, W) of keypoints (N, K, 3)."""
    apart = coordinates - points[:, :, None, None, None, :]
    return torch.exp(apart.square().sum(dim=-1) / (-2 * SPREAD))


class DenseMotion(nn.Module):
    """Keypoints of two postures -> a warp of the volume, and where it can be trusted.

    Each keypoint proposes a shift of the whole volume, and the background none. A mask weighs the proposals voxel by
    voxel.
    """

    def __init__(self, channels: int, points: int, depth: int, base: int, blocks: int, widest: int, few: int) -> None:
        """
        Args:
            channels: of the volume.
            points: K.
            depth: of the volume, voxels.
            base, blocks, widest: of the hourglass.
            few: channels to which the volume is compressed.
        """
        super().__init__()
        inner = (points + 1) * (few + 1)
        self.hourglass = Hourglass(inner, base, blocks, widest)
        self.mask = nn.Conv3d(base + inner, points + 1, 7, padding=3)
        self.compress = nn.Conv3d(channels, few, 1)
        self.norm = nn.BatchNorm3d(few)
        self.occlusion = nn.Conv2d((base + inner) * depth, 1, 7, padding=3)

    def forward(self, volume: Tensor, driving: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            volume: (N, C, D, H, W) features of the source.
            driving: (N, K, 3) keypoints of the wanted posture, `fine`.
            source: (N, K, 3) keypoints of the source's posture, `fine`.

        Returns:
            The warp (N, D, H, W, 3): where each voxel comes from. Occlusion (N, 1, H, W) in [0, 1]: 0 is hidden.
        """
        x = functional.relu(self.norm(self.compress(volume)))  # (N, few, D, H, W)
        n, _, *shape = x.shape
        coordinates = grid((shape[0], shape[1], shape[2]), driving)
        shifts = (source - driving)[:, :, None, None, None, :]  # (N, K, 1, 1, 1, 3)
        proposals = torch.cat((coordinates.expand(n, 1, *shape, 3), coordinates + shifts), dim=1)  # (N, K + 1, ..., 3)
        count = proposals.shape[1]
        repeated = x[:, None].expand(-1, count, -1, -1, -1, -1).flatten(0, 1)  # (N (K + 1), few, D, H, W)
        moved = warp(repeated, proposals.flatten(0, 1)).unflatten(0, (n, count))  # (N, K + 1, few, D, H, W)
        change = heat(driving, coordinates) - heat(source, coordinates)  # (N, K, D, H, W)
        change = functional.pad(change, (0, 0, 0, 0, 0, 0, 1, 0)).to(x.dtype)  # none for the background
        features = self.hourglass(torch.cat((change[:, :, None], moved), dim=2).flatten(1, 2))
        mask = self.mask(features).softmax(dim=1)  # (N, K + 1, D, H, W)
        whole = torch.einsum("nkdhw,nkdhwc->ndhwc", fine(mask), proposals)
        return whole, self.occlusion(features.flatten(1, 2)).sigmoid()


def warp(volume: Tensor, places: Tensor) -> Tensor:
    """Sample a volume (N, C, D, H, W) at `fine` places (N, D, H, W, 3), x, y, z in [-1, 1]; outside it is zero.

    Here -1 and 1 are the outermost voxels' edges. `grid` sets them at the centres; the published networks were trained
    with this difference.
    """
    return functional.grid_sample(fine(volume), places, align_corners=False).to(volume.dtype)


def degrees(scores: Tensor, centre: float) -> Tensor:
    """Angle (N,) in degrees: the mean of the classes' probabilities (N, 66).

    Args:
        centre: degrees that are subtracted; the networks differ in it.
    """
    chances = fine(scores).softmax(dim=1)
    return 3 * (chances @ torch.arange(BINS, dtype=chances.dtype, device=chances.device)) - centre


def fine(x: Tensor) -> Tensor:
    """In single precision at least: keypoints and places are too coarse in bfloat16."""
    return x if x.dtype == torch.float64 else x.float()


def axis_rotations(yaw: Tensor, pitch: Tensor, roll: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (N, 3, 3) about the x (pitch), y (yaw) and z axis (roll) from angles (N,) in radians."""

    def about(axis: int, angle: Tensor) -> Tensor:
        a, b = ((1, 2), (2, 0), (0, 1))[axis]  # the plane that it turns
        cosine, sine, matrix = angle.cos(), angle.sin(), angle.new_zeros(len(angle), 3, 3)
        matrix[:, axis, axis] = 1
        matrix[:, a, a], matrix[:, b, b], matrix[:, a, b], matrix[:, b, a] = cosine, cosine, -sine, sine
        return matrix

    return about(0, pitch), about(1, yaw), about(2, roll)
