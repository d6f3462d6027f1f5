"""The modern option for G_f: LivePortrait (Guo et al., arXiv 2407.03168), x_v = G_f(x', x).

Virtual face x', RGB (N, 3, 256, 256), and photo x, both in [-1, 1] -> x_v, RGB (N, 3, 512, 512) in [-1, 1]. Published
in five files (KwaiVGI/LivePortrait, as safetensors Kijai/LivePortrait_safetensors). It warps as FaceVid2Vid does.
Keypoints, pose and expression come from one network, and a small one corrects the keypoints (stitching), so that the
rest of the picture stays in place. Head pose and expression are those of x, the size of the face is that of x'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.cast.motion import (
    BINS,
    DenseMotion,
    Lifting,
    Unit,
    axis_rotations,
    degrees,
    fine,
    warp,
)
from kfaar_core.nets.cast.published import State, load_strictly, part, without_spectral_norm
from kfaar_core.nets.cast.spade import SpadeDecoder

SIDE = 256  # px of what goes in
OUT = 512  # px of what comes out
CENTRE = 97.5  # degrees, of its 66 classes of an angle
FILES = (  # published names, without the ending
    "appearance_feature_extractor",
    "motion_extractor",
    "warping_module",
    "spade_generator",
    "stitching_retargeting_module",
)
STITCHING = ("retarget_shoulder_module.", "retarget_shoulder.module.", "retarget_shoulder.")  # in either kind of file
EPS = 1e-6  # of layer and response normalisation


@dataclass(frozen=True)
class Sizes:
    """Sizes of the published networks; tests take smaller ones."""

    points: int = 21  # K
    base: int = 64  # channels after the first convolution
    volume: int = 32  # channels of the volume
    depth: int = 16  # voxels
    residuals: int = 6  # blocks on the volume
    motion: tuple[int, int, int] = (32, 5, 1024)  # first channels, blocks and most channels of the hourglass
    few: int = 4  # channels of the volume in DenseMotion
    hidden: int = 128  # of Spade
    pose: tuple[tuple[int, int], ...] = ((96, 3), (192, 3), (384, 9), (768, 3))  # channels and blocks of each stage
    stitching: tuple[int, ...] = (128, 128, 64)  # widths of the hidden layers


class Appearance(Lifting):
    """Picture (N, 3, 256, 256) in [0, 1] -> volume (N, 32, 16, 64, 64)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.base, sizes.volume, sizes.depth, sizes.residuals)

    def forward(self, picture: Tensor) -> Tensor:
        return self.lifted(picture)


class ResponseNorm(nn.Module):
    """Global response normalisation of (N, H, W, C): channels compete by their norm over the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.zeros(1, 1, 1, channels)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        norms = x.norm(dim=(1, 2), keepdim=True)
        return x + self.gamma * (x * (norms / (norms.mean(dim=-1, keepdim=True) + EPS))) + self.beta


class ConvNeXtBlock(nn.Module):
    """Block of ConvNeXt V2 (Woo et al., arXiv 2301.00808)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = ResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))  # (N, H, W, C)
        y = self.pwconv2(self.grn(functional.gelu(self.pwconv1(y))))
        return x + y.permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Motion:
    """Keypoints, head pose and expression of a face, by LivePortrait."""

    canonical: Tensor  # (N, K, 3) keypoints of the person, without posture
    rotation: Tensor  # (N, 3, 3), for keypoints as rows
    expression: Tensor  # (N, K, 3), added to each rotated keypoint
    scale: Tensor  # (N, 1)
    shift: Tensor  # (N, 3); the last is not used

    def placed(self) -> Tensor:
        """Keypoints (N, K, 3) in this posture."""
        points = self.scale[:, :, None] * (self.canonical @ self.rotation + self.expression)
        return points + functional.pad(self.shift[:, None, :2], (0, 1))


class Detector(nn.Module):
    """ConvNeXt V2 with a head for each quantity."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels = [width for width, _ in sizes.pose]
        stem = nn.Sequential(nn.Conv2d(3, channels[0], 4, stride=4), ChannelNorm(channels[0], EPS))
        steps = (nn.Sequential(ChannelNorm(a, EPS), nn.Conv2d(a, b, 2, stride=2)) for a, b in pairwise(channels))
        self.downsample_layers = nn.ModuleList((stem, *steps))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(width) for _ in range(count))) for width, count in sizes.pose
        )
        self.norm = nn.LayerNorm(channels[-1], EPS)
        self.fc_kp, self.fc_exp = (nn.Linear(channels[-1], 3 * sizes.points) for _ in range(2))
        self.fc_pitch, self.fc_yaw, self.fc_roll = (nn.Linear(channels[-1], BINS) for _ in range(3))
        self.fc_t, self.fc_scale = nn.Linear(channels[-1], 3), nn.Linear(channels[-1], 1)

    def forward(self, x: Tensor) -> Motion:
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        x = self.norm(x.mean(dim=(2, 3)))
        angles = (degrees(head(x), CENTRE) / 180 * pi for head in (self.fc_yaw, self.fc_pitch, self.fc_roll))
        about_x, about_y, about_z = axis_rotations(*angles)
        canonical, expression = (fine(head(x)).unflatten(1, (-1, 3)) for head in (self.fc_kp, self.fc_exp))
        rotation = (about_z @ about_y @ about_x).mT
        return Motion(canonical, rotation, expression, fine(self.fc_scale(x)), fine(self.fc_t(x)))


class MotionExtractor(nn.Module):
    """Picture (N, 3, 256, 256) in [0, 1] -> Motion."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.detector = Detector(sizes)

    def forward(self, picture: Tensor) -> Motion:
        motion: Motion = self.detector(picture)
        return motion


class Warping(nn.Module):
    """Volume and keypoints of two postures -> warped features (N, 256, 64, 64)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        flat, warped = sizes.volume * sizes.depth, 4 * sizes.base
        motion = DenseMotion(sizes.volume, sizes.points, sizes.depth, *sizes.motion, sizes.few)
        self.dense_motion_network = motion
        self.third = Unit(flat, warped, dims=2, slope=0.01)
        self.fourth = nn.Conv2d(warped, warped, 1)

    def forward(self, volume: Tensor, driving: Tensor, source: Tensor) -> Tensor:
        """Arguments as of DenseMotion."""
        places, visible = self.dense_motion_network(volume, driving, source)
        out: Tensor = self.fourth(self.third(warp(volume, places).flatten(1, 2))) * visible
        return out


class Stitching(nn.Module):
    """Correct the wanted keypoints: (N, K, 3) of the source and wanted ones -> (N, K, 3)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        outputs = 3 * sizes.points + 2
        steps = list(pairwise((6 * sizes.points, *sizes.stitching, outputs)))
        layers: list[nn.Module] = []
        for before, after in steps:
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, source: Tensor, driving: Tensor) -> Tensor:
        both = torch.cat((source.flatten(1), driving.flatten(1)), dim=1)
        change = fine(self.mlp(both.to(next(self.parameters()).dtype)))
        count = driving.shape[1] * 3
        shift = functional.pad(change[:, None, count:], (0, 1))  # the same for all points, x and y
        return driving + change[:, :count].reshape(driving.shape) + shift


class LivePortrait(nn.Module):
    """G_f: x' and x, RGB (N, 3, 256, 256) in [-1, 1] -> x_v, RGB (N, 3, 512, 512) in [-1, 1]."""

    side = SIDE

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.appearance_feature_extractor, self.motion_extractor = Appearance(sizes), MotionExtractor(sizes)
        self.warping_module = Warping(sizes)
        self.spade_generator = SpadeDecoder(4 * sizes.base, sizes.base, double=True, hidden=sizes.hidden)
        self.stitching_retargeting_module = Stitching(sizes)

    @classmethod
    def from_published(cls, files: Mapping[str, State]) -> LivePortrait:
        """Load the published tensors.

        Args:
            files: name of each of FILES -> its tensors. Of the last, the networks for eyes and mouth are left out.

        Raises:
            BadWeights: names or shapes differ, or a file is missing.
        """
        own = {f"{file}.{name}": tensor for file in FILES for name, tensor in files.get(file, {}).items()}
        last = f"{FILES[-1]}."
        stitching = next((found for prefix in STITCHING if (found := part(own, last + prefix))), {})
        own = {name: tensor for name, tensor in own.items() if not name.startswith(last)}
        own |= {f"{last}{name}": tensor for name, tensor in stitching.items()}
        return load_strictly(cls, without_spectral_norm(own))

    def forward(self, virtual: Tensor, original: Tensor) -> Tensor:
        """
        Args:
            virtual: x', (N, 3, 256, 256) in [-1, 1].
            original: x, (N, 3, 256, 256) in [-1, 1], whose posture is taken.

        Returns:
            x_v, (N, 3, 512, 512) in [-1, 1].
        """
        source, target = ((picture + 1) / 2 for picture in (virtual, original))
        own, wanted = self.motion_extractor(source), self.motion_extractor(target)
        before = own.placed()
        after = Motion(own.canonical, wanted.rotation, wanted.expression, own.scale, wanted.shift).placed()
        after = self.stitching_retargeting_module(before, after)
        warped = self.warping_module(self.appearance_feature_extractor(source), after, before)
        picture: Tensor = self.spade_generator(warped)
        return 2 * picture - 1
