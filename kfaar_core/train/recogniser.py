"""Train the judge: distil a MobileFaceNet teacher into nets.judge_net on LFW-train photos and generated faces.

python -m kfaar_core.train recogniser
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core import image
from kfaar_core.files import cache_folder
from kfaar_core.nets.judge_net import INPUT, JudgeNet
from kfaar_core.runtime import stream
from kfaar_core.stages.encode import JUDGE
from kfaar_core.stages.locate import five_points
from kfaar_core.train.augment import degrade
from kfaar_core.train.loop import Plan, train
from kfaar_core.train.photos import SIDE, load_photos
from kfaar_core.train.renders import load_renders

log = logging.getLogger(__name__)

CPU = torch.device("cpu")
MARGIN = 8  # px around the aligned crop, for shifted and turned views


@dataclass(frozen=True)
class Lesson:
    """Aligned crops with a margin: those of photos, then those of generated faces."""

    crops: Tensor  # (N, 3, 128, 112) uint8
    photos: int  # how many of them are photos


def aligned(pictures: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(N, 256, 256, 3) portraits, landmarks in portrait sides -> (N, 128, 112, 3) crops with the margin."""
    size = (INPUT[1] + 2 * MARGIN, INPUT[0] + 2 * MARGIN)
    maps = [image.similarity(JUDGE.template + MARGIN, five_points(points * SIDE)) for points in landmarks]
    return np.stack([image.warp(p, m, size) for p, m in zip(pictures, maps, strict=True)])


def centre(crops: Tensor) -> Tensor:
    """Cut the margin off."""
    return crops[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]


def prepare(data: Path, part: str, renders: int | None) -> Lesson:
    """Crops of one part of LFW (and of generated faces), cached."""
    path = cache_folder("judge") / f"crops-{data.stem}-{part}-{renders}.npz"
    if not path.exists():
        photos = load_photos(data, part)
        crops = [aligned(photos.pictures, photos.landmarks)]
        if renders != 0:
            faces = load_renders("mixed", renders)
            crops.append(aligned(faces.pictures, faces.landmarks))
        partial = path.with_suffix(".part.npz")
        np.savez(partial, crops=np.concatenate(crops).transpose(0, 3, 1, 2), photos=len(crops[0]))
        partial.rename(path)
    found = np.load(path)
    return Lesson(torch.from_numpy(found["crops"]), int(found["photos"]))


def augmented(crops: Tensor, seed: int, step: int) -> Tensor:
    """(B, 3, 128, 112) uint8 -> (B, 3, 112, 96) float in [-1, 1]: mirrored, moved, relit and degraded."""
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


def distil(
    lesson: Lesson,
    teacher: nn.Module,
    plan: Plan,
    batch: int,
    seed: int,
    folder: Path,
    resume: bool,
    device: torch.device = CPU,
) -> JudgeNet:
    """Train a JudgeNet to point where the teacher points, and to keep its pattern of similarities.

    The teacher sees the very view that the student sees (Beyer et al., arXiv 2106.05237): what a dark or blurred view
    takes from the teacher, the student need not guess.
    """
    torch.manual_seed(seed)
    net = JudgeNet().to(device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this form
    teacher = teacher.to(device)
    crops = lesson.crops.to(device)
    per_epoch = len(crops) // batch

    def losses(step: int) -> dict[str, Tensor]:
        epoch, place = divmod(step, per_epoch)
        order = stream(seed, f"judge epoch {epoch}").permutation(len(crops))
        chosen = torch.from_numpy(order[place * batch : (place + 1) * batch]).to(device)
        x = augmented(crops[chosen], seed, step).to(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            features = net(x)
            with torch.no_grad():
                taught = teacher(x)
        ours, theirs = functional.normalize(features.float(), dim=1), functional.normalize(taught.float(), dim=1)
        pattern = (ours @ ours.T - theirs @ theirs.T).square().mean()
        return {"direction": 1 - (ours * theirs).sum(dim=1).mean(), "pattern": 4 * pattern}

    train(net, losses, plan, folder, resume)
    teacher.to(CPU)
    return net.cpu()


@torch.inference_mode()
def both_ways(net: nn.Module, crops: Tensor) -> Tensor:
    """Features of aligned crops with margin (N, 3, 128, 112) uint8, each with its mirror image's: (N, 128)."""
    views = (centre(batch.float() / 127.5 - 1) for batch in crops.split(128))
    return torch.cat([net(x) + net(x.flip(-1)) for x in views])


def mean_feature(net: nn.Module, crops: Tensor) -> Tensor:
    """(128,) mean feature of aligned crops with margin (uint8): the centre for all cosines."""
    return both_ways(net, crops).mean(dim=0)


def report(net: nn.Module, teacher: nn.Module, crops: Tensor) -> dict[str, float]:
    """Mean cosine of the student with its teacher on crops of unseen people."""
    cosines = torch.cosine_similarity(both_ways(net, crops), both_ways(teacher, crops))
    return {"n": len(crops), "teacher_cosine_mean": float(cosines.mean())}
