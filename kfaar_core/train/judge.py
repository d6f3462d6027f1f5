"""Train the judge: distil MobileFaceNet into nets.judge_net on LFW-train photos and generated faces.

python -m kfaar_core.train judge
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core import image
from kfaar_core.data.landmarker import teacher_file
from kfaar_core.files import cache_folder
from kfaar_core.nets.judge_net import INPUT, JudgeNet
from kfaar_core.runtime import stream
from kfaar_core.stages.encode import JUDGE
from kfaar_core.stages.locate import five_points
from kfaar_core.train.artefacts import save_arrays
from kfaar_core.train.augment import degrade
from kfaar_core.train.loop import Checkpoints, Plan, train
from kfaar_core.train.photos import SIDE, load_photos
from kfaar_core.train.renders import load_renders
from kfaar_core.weights import load_checkpoint

if TYPE_CHECKING:
    from kfaar_core.train.recipe import Metrics, Run

MARGIN = 8  # px around the aligned crop, for shifted and turned views


# ---- the teacher


def layer(conv: nn.Conv2d, activated: bool = True) -> nn.Sequential:
    """One layer of MobileFaceNet: the convolution, batch normalisation and, if `activated`, PReLU."""
    parts: dict[str, nn.Module] = {"conv": conv, "bn": nn.BatchNorm2d(conv.out_channels)}
    if activated:
        parts["prelu"] = nn.PReLU(conv.out_channels)
    return nn.Sequential(OrderedDict(parts))


class Bottleneck(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise 3x3, 1x1 projection."""

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
        self.conv1 = layer(nn.Conv2d(3, 64, 3, 2, 1, bias=False))
        self.dw_conv1 = layer(nn.Conv2d(64, 64, 3, 1, 1, groups=64, bias=False))
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
        self.conv2 = layer(nn.Conv2d(128, 512, 1, bias=False))
        self.linear7 = layer(nn.Conv2d(512, 512, (7, 6), groups=512, bias=False), activated=False)
        self.linear1 = layer(nn.Conv2d(512, 128, 1, bias=False), activated=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(x))))
        return self.linear1(self.linear7(x)).flatten(1)


def load_mobilefacenet() -> MobileFaceNet:
    """The teacher with its weights, frozen."""
    net = MobileFaceNet()
    net.load_state_dict(load_checkpoint(teacher_file("mobilefacenet_casia.ckpt"))["net_state_dict"])
    return net.eval().requires_grad_(False)


# ---- training data


@dataclass(frozen=True)
class AlignedCrops:
    """Aligned crops with a margin, first of photos, then of generated faces."""

    crops: Tensor  # (N, 3, 128, 112) uint8
    photos: int  # how many of them are photos


def aligned(pictures: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(N, 256, 256, 3) portraits, landmarks in portrait sides -> (N, 128, 112, 3) crops with the margin."""
    size = (INPUT[1] + 2 * MARGIN, INPUT[0] + 2 * MARGIN)
    maps = [image.similarity(JUDGE.template + MARGIN, five_points(points * SIDE)) for points in landmarks]
    return np.stack([image.warp(p, m, size) for p, m in zip(pictures, maps, strict=True)])


def without_margin(crops: Tensor) -> Tensor:
    """(N, 3, 128, 112) -> (N, 3, 112, 96)."""
    return crops[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


def load_crops(data: Path, part: str, renders: int | None) -> AlignedCrops:
    """Crops of one part of LFW and of so many shards of mixed renders (None: all of them), cached."""
    path = cache_folder("judge") / f"crops-{data.stem}-{part}-{renders}.npz"
    if not path.exists():
        photos = load_photos(data, part)
        crops = [aligned(photos.pictures, photos.landmarks)]
        if renders != 0:
            faces = load_renders("mixed", renders)
            crops.append(aligned(faces.pictures, faces.landmarks))
        save_arrays(path, crops=np.concatenate(crops).transpose(0, 3, 1, 2), photos=len(crops[0]))
    stored = np.load(path)
    return AlignedCrops(torch.from_numpy(stored["crops"]), int(stored["photos"]))


def augmented(crops: Tensor, seed: int, step: int) -> Tensor:
    """(B, 3, 128, 112) uint8 -> (B, 3, 112, 96) float in [-1, 1]: mirrored, rotated, scaled, shifted and degraded."""
    rng = stream(seed, f"judge batch {step}")
    x = crops.float() / 127.5 - 1
    count = len(x)
    mirror = torch.from_numpy(rng.random(count) < 0.5).to(x.device)
    x = torch.where(mirror[:, None, None, None], x.flip(-1), x)
    angle, scale = np.deg2rad(rng.normal(0, 3, count)), np.exp(rng.normal(0, 0.03, count))
    theta = np.zeros((count, 2, 3), dtype=np.float32)
    height, width = INPUT[0] + 2 * MARGIN, INPUT[1] + 2 * MARGIN
    inner = np.array([INPUT[1] / width, INPUT[0] / height])
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    theta[:, 0, 0], theta[:, 0, 1] = c * inner[0], -s * inner[1] * height / width
    theta[:, 1, 0], theta[:, 1, 1] = s * inner[0] * width / height, c * inner[1]
    theta[:, :, 2] = rng.normal(0, 0.02, (count, 2))
    grid = functional.affine_grid(torch.from_numpy(theta).to(x.device), [count, 3, *INPUT], align_corners=False)
    return degrade(functional.grid_sample(x, grid, padding_mode="border", align_corners=False), rng)


# ---- distillation


def distil(data: AlignedCrops, teacher: nn.Module, plan: Plan, batch: int, checkpoints: Checkpoints) -> JudgeNet:
    """Train a JudgeNet to match the direction of the teacher's embedding and the similarities within a batch.

    Teacher and student get the same augmented view (Beyer et al., arXiv 2106.05237), so that the student need not guess
    details that the view hides from the teacher too.
    """
    torch.manual_seed(plan.seed)
    device = torch.device(plan.device)
    net = JudgeNet().to(device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this form
    teacher = teacher.to(device)
    crops = data.crops.to(device)
    per_epoch = len(crops) // batch

    def losses(step: int) -> dict[str, Tensor]:
        epoch, index = divmod(step, per_epoch)
        order = stream(plan.seed, f"judge epoch {epoch}").permutation(len(crops))
        chosen = torch.from_numpy(order[index * batch : (index + 1) * batch]).to(device)
        x = augmented(crops[chosen], plan.seed, step).to(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            features = net(x)
            with torch.no_grad():
                target = teacher(x)
        ours, theirs = functional.normalize(features.float(), dim=1), functional.normalize(target.float(), dim=1)
        pattern = (ours @ ours.T - theirs @ theirs.T).square().mean()
        return {"direction": 1 - (ours * theirs).sum(dim=1).mean(), "pattern": 4 * pattern}

    train(net, losses, plan, checkpoints)
    teacher.cpu()
    return net.cpu()


@torch.inference_mode()
def flip_sum(net: nn.Module, crops: Tensor) -> Tensor:
    """(N, 128) sums of the embeddings of crops with margin (N, 3, 128, 112) uint8 and of their mirror images."""
    views = (without_margin(batch.float() / 127.5 - 1) for batch in crops.split(128))
    return torch.cat([net(x) + net(x.flip(-1)) for x in views])


def mean_feature(net: nn.Module, crops: Tensor) -> Tensor:
    """(128,) mean embedding of aligned crops with margin (uint8), subtracted before cosines are taken."""
    return flip_sum(net, crops).mean(dim=0)


def report(net: nn.Module, teacher: nn.Module, crops: Tensor) -> dict[str, float]:
    """Mean cosine of the student with its teacher on crops of unseen people."""
    cosines = torch.cosine_similarity(flip_sum(net, crops), flip_sum(teacher, crops))
    return {"n": len(crops), "teacher_cosine_mean": float(cosines.mean())}


def train_judge(run: Run) -> Metrics:
    """Distil the judge."""
    training, teacher = run.training, load_mobilefacenet()
    data = load_crops(run.lfw, "train", training.mixed_shards)
    device = run.device.type
    plan = Plan(training.judge_steps, training.rate, training.judge_decay, seed=training.seed, device=device)
    net = distil(data, teacher, plan, training.judge_batch, Checkpoints(cache_folder("judge/run"), run.resume))
    state = {f"net.{name}": tensor.contiguous() for name, tensor in net.state_dict().items()}
    state["mean"] = mean_feature(net, data.crops[: data.photos])
    unseen = load_crops(run.lfw, "dev", 0)
    return run.save("judge", state, report(net, teacher, unseen.crops))
