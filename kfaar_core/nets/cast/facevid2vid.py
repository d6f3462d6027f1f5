"""Posture transfer G_f of the paper: FaceVid2Vid (Wang et al., arXiv 2011.15126), x_v = G_f(x', x).

Virtual face x' and photo x, RGB (N, 3, 256, 256) in [-1, 1] -> x_v, the face of x' with head pose and expression of x.
The reimplementation of zhanglonghao1992, its generator with SPADE, is published as `facevid2vid_00189-model.pth.tar`
(vinthony/SadTalker). As in the paper's released code the posture of x is taken as it is, not relative to another photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.errors import BadWeights
from kfaar_core.nets.cast.motion import (
    BINS,
    DenseMotion,
    Lifting,
    Unit,
    axis_rotations,
    degrees,
    down_blocks,
    fine,
    grid,
    warp,
    widths,
)
from kfaar_core.nets.cast.published import State, load_strictly, without_spectral_norm
from kfaar_core.nets.cast.spade import SpadeDecoder

SIDE = 256  # px
PARTS = ("generator.", "kp_detector.", "he_estimator.")  # of the published checkpoint
CENTRE = 99.0  # degrees, of its 66 classes of an angle
PI = 3.14  # it was trained with this value
TEMPERATURE = 0.1  # of the keypoints' heat maps
STAGES = ((256, 3), (512, 3), (1024, 5), (2048, 2))  # channels and further blocks of the pose estimator


@dataclass(frozen=True)
class Sizes:
    """Sizes of the published networks; tests take smaller ones."""

    points: int = 15  # K
    base: int = 64  # channels after the first convolution
    volume: int = 32  # channels of the volume
    depth: int = 16  # voxels
    residuals: int = 6  # blocks on the volume
    motion: tuple[int, int, int] = (32, 5, 1024)  # first channels, blocks and most channels of an hourglass
    few: int = 4  # channels of the volume in DenseMotion
    hidden: int = 128  # of Spade
    pose: tuple[tuple[int, int], ...] = STAGES
    shrink: int = 4  # the keypoint detector sees the picture this many times smaller


class Generator(Lifting):
    """Picture and keypoints of two postures -> picture in the second posture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.base, sizes.volume, sizes.depth, sizes.residuals)
        warped = 4 * sizes.base  # channels of the warped picture
        flat = sizes.volume * sizes.depth
        motion = DenseMotion(sizes.volume, sizes.points, sizes.depth, *sizes.motion, sizes.few)
        self.dense_motion_network = motion
        self.third = Unit(flat, warped, dims=2, slope=0.01)
        self.fourth = nn.Conv2d(warped, warped, 1)
        self.decoder = SpadeDecoder(warped, sizes.base, hidden=sizes.hidden)

    def forward(self, picture: Tensor, driving: Tensor, source: Tensor) -> Tensor:
        """
        Args:
            picture: (N, 3, 256, 256) in [0, 1].
            driving: (N, K, 3) keypoints of the wanted posture.
            source: (N, K, 3) keypoints of the picture.

        Returns:
            (N, 3, 256, 256) in [0, 1].
        """
        volume = self.lifted(picture)
        places, visible = self.dense_motion_network(volume, driving, source)
        warped = self.fourth(self.third(warp(volume, places).flatten(1, 2)))
        out: Tensor = self.decoder(warped * visible)
        return out


class Blur(nn.Module):
    """A Gaussian low-pass filter, then every `shrink`-th pixel. The checkpoint holds the kernel."""

    weight: Tensor

    def __init__(self, shrink: int) -> None:
        super().__init__()
        self.shrink = shrink
        deviation = (shrink - 1) / 2
        half = round(4 * deviation)
        bell = torch.exp(-torch.arange(-half, half + 1.0).square() / (2 * deviation**2))
        kernel = bell.outer(bell) / bell.sum() ** 2
        self.register_buffer("weight", kernel.expand(3, 1, -1, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2, groups=len(self.weight))
        return x[:, :, :: self.shrink, :: self.shrink]


class KeypointHourglass(nn.Module):
    """Picture (N, 3, H, W) -> volume (N, base, D, H, W)."""

    def __init__(self, base: int, blocks: int, widest: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        steps = widths(base, blocks, widest)
        self.down_blocks, self.up_blocks = nn.Sequential(), nn.Sequential()
        for i, block in enumerate(down_blocks(3, base, blocks, widest, dims=2)):
            self.down_blocks.add_module(f"down{i}", block)
        self.conv = nn.Conv2d(steps[-1], steps[-1] * depth, 1)
        for i in range(blocks):
            self.up_blocks.add_module(f"up{i}", Unit(steps[-1 - i], steps[-2 - i], 3, "up"))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up_blocks(self.conv(self.down_blocks(x)).unflatten(1, (-1, self.depth)))
        return out


class KeypointDetector(nn.Module):
    """Picture (N, 3, 256, 256) in [0, 1] -> canonical keypoints (N, K, 3): of the person, without posture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        base, blocks, widest = sizes.motion
        self.down = Blur(sizes.shrink)
        self.predictor = KeypointHourglass(base, blocks, widest, sizes.depth)
        self.kp = nn.Conv3d(base, sizes.points, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        scores = fine(self.kp(self.predictor(self.down(x))))  # (N, K, D, H, W)
        chances = (scores.flatten(2) / TEMPERATURE).softmax(dim=2)
        depth, height, width = scores.shape[2:]
        return chances @ grid((depth, height, width), chances).flatten(0, 2)  # the mean place


class Bottleneck(nn.Module):
    """Residual block 1x1, 3x3, 1x1, which may halve height and width."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.conv1 = nn.Conv2d(channels, narrow, 1)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1)
        self.conv3 = nn.Conv2d(narrow, channels, 1)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(c) for c in (narrow, narrow, channels))
        self.strided = stride != 1
        if self.strided:
            self.skip = nn.Conv2d(channels, channels, 1, stride)
            self.norm4 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm3(self.conv3(functional.relu(self.norm2(self.conv2(y)))))
        return functional.relu(y + (self.norm4(self.skip(x)) if self.strided else x))


@dataclass(frozen=True)
class Motion:
    """Head pose and expression of a face, by FaceVid2Vid."""

    yaw: Tensor  # (N,) degrees
    pitch: Tensor  # (N,) degrees
    roll: Tensor  # (N,) degrees
    shift: Tensor  # (N, 3)
    expression: Tensor  # (N, K, 3), added to each keypoint


class PoseEstimator(nn.Module):
    """Picture (N, 3, 256, 256) in [0, 1] -> Motion. A ResNet-50 with a head for each quantity."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, sizes.base, 7, stride=2, padding=3)
        self.norm1 = nn.BatchNorm2d(sizes.base)
        before = sizes.base
        for stage, (channels, further) in enumerate(sizes.pose):
            self.add_module(f"conv{stage + 2}", nn.Conv2d(before, channels, 1))
            self.add_module(f"norm{stage + 2}", nn.BatchNorm2d(channels))
            if stage > 0:
                self.add_module(f"block{2 * stage}", Bottleneck(channels, stride=2))
            blocks = nn.Sequential()
            for i in range(further):
                blocks.add_module(f"b{2 * stage + 1}_{i}", Bottleneck(channels, stride=1))
            self.add_module(f"block{2 * stage + 1}", blocks)
            before = channels
        self.stages = len(sizes.pose)
        self.fc_roll, self.fc_pitch, self.fc_yaw = (nn.Linear(before, BINS) for _ in range(3))
        self.fc_t = nn.Linear(before, 3)
        self.fc_exp = nn.Linear(before, 3 * sizes.points)

    def forward(self, x: Tensor) -> Motion:
        x = functional.max_pool2d(functional.relu(self.norm1(self.conv1(x))), 3, stride=2, padding=1)
        for stage in range(self.stages):
            conv, norm = (self.get_submodule(f"{kind}{stage + 2}") for kind in ("conv", "norm"))
            x = functional.relu(norm(conv(x)))
            if stage > 0:
                x = self.get_submodule(f"block{2 * stage}")(x)
            x = self.get_submodule(f"block{2 * stage + 1}")(x)
        x = x.mean(dim=(2, 3))
        # The published layers are named the wrong way round: fc_roll gives the yaw, fc_yaw the roll.
        yaw, pitch, roll = (degrees(layer(x), CENTRE) for layer in (self.fc_roll, self.fc_pitch, self.fc_yaw))
        return Motion(yaw, pitch, roll, fine(self.fc_t(x)), fine(self.fc_exp(x)).unflatten(1, (-1, 3)))


class FaceVid2Vid(nn.Module):
    """G_f: x' and x, RGB (N, 3, 256, 256) in [-1, 1] -> x_v, RGB (N, 3, 256, 256) in [-1, 1]."""

    side = SIDE

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        sizes = sizes or Sizes()
        self.generator, self.kp_detector = Generator(sizes), KeypointDetector(sizes)
        self.he_estimator = PoseEstimator(sizes)

    @classmethod
    def from_published(cls, state: State) -> FaceVid2Vid:
        """Load the published tensors.

        Args:
            state: named by part: `generator.`, `kp_detector.` (or `kp_extractor.`) and `he_estimator.`.

        Raises:
            BadWeights: names or shapes differ, or the pose estimator is missing, as in SadTalker's safetensors.
        """
        own = {name.replace("kp_extractor.", "kp_detector.", 1): tensor for name, tensor in state.items()}
        own = {name: tensor for name, tensor in own.items() if name.startswith(PARTS)}
        if not any(name.startswith("he_estimator.") for name in own):
            raise BadWeights(
                got="this file of FaceVid2Vid has no pose estimator (he_estimator)",
                mend="use facevid2vid_00189-model.pth.tar; SadTalker's safetensors take the pose from elsewhere",
            )
        return load_strictly(cls, without_spectral_norm(own))

    def forward(self, virtual: Tensor, original: Tensor) -> Tensor:
        """
        Args:
            virtual: x', (N, 3, 256, 256) in [-1, 1].
            original: x, (N, 3, 256, 256) in [-1, 1], whose posture is taken.

        Returns:
            x_v, (N, 3, 256, 256) in [-1, 1].
        """
        source, target = ((picture + 1) / 2 for picture in (virtual, original))
        canonical = self.kp_detector(source)
        before, after = (placed(canonical, self.he_estimator(picture)) for picture in (source, target))
        return 2 * self.generator(source, after, before) - 1


def placed(canonical: Tensor, motion: Motion) -> Tensor:
    """Keypoints (N, K, 3) in a posture: rotated, shifted, and changed by the expression."""
    about_x, about_y, about_z = axis_rotations(
        *(angle / 180 * PI for angle in (motion.yaw, motion.pitch, motion.roll)),
    )
    rotation = about_x @ about_y @ about_z
    return canonical @ rotation.mT + motion.shift[:, None] + motion.expression
