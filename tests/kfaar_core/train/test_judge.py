from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kfaar_core.runtime import stream
from kfaar_core.stages.encode import JUDGE, FaceEncoder
from kfaar_core.stages.tiny import FIVE
from kfaar_core.train import judge as module
from kfaar_core.train.judge import (
    MARGIN,
    AlignedCrops,
    aligned,
    augmented,
    distil,
    flip_sum,
    mean_feature,
    report,
    without_margin,
)
from kfaar_core.train.loop import Checkpoints, Plan


class Sums(nn.Module):
    """Sums of the left half, the right half and everything: mirroring swaps the first two."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=3)
        parts = torch.stack([part.sum(dim=(1, 2, 3)) for part in (left, right, x)], dim=1) / 1000
        return nn.functional.pad(parts, (0, 125))


def faces(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 256, 256, 3) smooth portraits and landmarks with five points in the usual places."""
    y, x = np.mgrid[:256, :256] / 40
    waves = rng.uniform(0.5, 2, (count, 3, 2))
    planes = [[np.sin(a * x + b * y) for a, b in face] for face in waves]
    landmarks = np.full((count, 478, 3), 0.5)
    for corner, point in zip((33, 133, 362, 263, 1, 61, 291), FIVE[[0, 0, 1, 1, 2, 3, 4]], strict=True):
        landmarks[:, corner, :2] = point
    return (127 + 100 * np.array(planes)).transpose(0, 2, 3, 1).astype(np.uint8), landmarks


def crops(rng: np.random.Generator, count: int = 4) -> torch.Tensor:
    return torch.from_numpy(rng.integers(0, 256, (count, 3, 128, 112), dtype=np.uint8))


def test_without_its_margin_a_crop_is_what_the_judge_sees(rng):
    pictures, landmarks = faces(rng, 2)
    wide = aligned(pictures, landmarks)
    assert wide.shape == (2, 128, 112, 3)
    judge = FaceEncoder(Sums(), JUDGE, torch.zeros(1), torch.device("cpu"), flip=True)
    for one, picture, points in zip(wide, pictures, landmarks, strict=True):
        inner = one[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(int)
        assert np.abs(inner - judge.align(picture, points * 256)).mean() < 1
    assert without_margin(torch.from_numpy(wide).permute(0, 3, 1, 2)).shape == (2, 3, 112, 96)


def test_a_face_and_its_mirror_image_have_one_feature(rng):
    some = crops(rng, 130)  # more than a batch
    found = flip_sum(Sums(), some)
    assert found.shape == (130, 128)
    torch.testing.assert_close(flip_sum(Sums(), some.flip(-1)), found, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(flip_sum(Sums(), some[125:]), found[125:], atol=1e-4, rtol=1e-4)


def test_the_mean_feature_is_that_of_the_judge(rng):
    some = crops(rng, 130)
    judge = FaceEncoder(Sums(), JUDGE, torch.zeros(1), torch.device("cpu"), flip=True)
    expected = judge.embed_crops(without_margin(some).float() / 127.5 - 1).mean(dim=0)
    torch.testing.assert_close(mean_feature(Sums(), some), expected, atol=1e-4, rtol=1e-4)


def test_augmentation_follows_its_step(rng):
    some = crops(rng)
    first, again, later = augmented(some, 1, 5), augmented(some, 1, 5), augmented(some, 1, 6)
    assert first.shape == (4, 3, 112, 96) and torch.equal(first, again) and not torch.equal(first, later)
    assert not torch.equal(first, augmented(some, 2, 5))


class Still:
    """Draws no mirror image, and every normal number at `sds` standard deviations."""

    def __init__(self, *sds: float) -> None:
        self.sds = list(sds)

    def random(self, count: int) -> np.ndarray:
        return np.ones(count)

    def normal(self, mean: float, sd: float, size: object) -> np.ndarray:
        return np.full(size, mean + sd * self.sds.pop(0))


@pytest.mark.parametrize("turns", [0, 10])
def test_a_turned_view_keeps_shapes(monkeypatch, turns):
    """A dot 20 px right of the centre is seen 20 px away, turned by 3 degrees a step, in the middle of the crop."""
    monkeypatch.setattr(module, "stream", lambda *_: Still(turns, 0, 0))
    monkeypatch.setattr(module, "degrade", lambda x, _: x)
    crop = torch.zeros(1, 3, 128, 112, dtype=torch.uint8)
    crop[:, :, 62:66, 74:78] = 255  # centre (76, 64); the crop's is (56, 64)
    seen = (augmented(crop, 0, 0)[0, 0] + 1) / 2
    weight = seen / seen.sum()
    x = float(weight.sum(dim=0) @ (torch.arange(96) + 0.5)) - 48
    y = float(weight.sum(dim=1) @ (torch.arange(112) + 0.5)) - 56
    angle = np.deg2rad(3 * turns)  # the view turns clockwise, so that the dot moves the other way
    assert (x, y) == pytest.approx((20 * np.cos(angle), -20 * np.sin(angle)), abs=0.1)


class Watched(Sums):
    """Keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shown.append(x.float())
        return super().forward(x)


def distilled(data: AlignedCrops, folder: Path, steps: int = 2, teacher: nn.Module | None = None) -> nn.Module:
    plan = Plan(steps=steps, checkpoint_s=1e9, seed=3)
    return distil(data, teacher or Sums(), plan, 2, Checkpoints(folder))


def test_distilling_again_gives_the_same_network(rng, tmp_path):
    data = AlignedCrops(crops(rng), photos=4)
    first, again = (distilled(data, tmp_path) for _ in range(2))
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_teacher_looks_at_the_view_of_the_step(rng, tmp_path):
    data, teacher = AlignedCrops(crops(rng), photos=4), Watched()
    distilled(data, tmp_path, teacher=teacher)
    order = stream(3, "judge epoch 0").permutation(4)
    views = [augmented(data.crops[torch.from_numpy(order[2 * i : 2 * i + 2])], 3, i) for i in range(2)]
    for seen, view in zip(teacher.shown, views, strict=True):
        torch.testing.assert_close(seen, view)


def test_a_student_learns_what_its_teacher_says(rng, tmp_path):
    data = AlignedCrops(torch.from_numpy(aligned(*faces(rng, 8))).permute(0, 3, 1, 2).contiguous(), photos=8)
    before, after = (report(distilled(data, tmp_path, steps), Sums(), data.crops) for steps in (1, 12))
    assert after["teacher_cosine_mean"] > before["teacher_cosine_mean"] + 0.2


def test_report_of_a_student_that_is_its_teacher(rng):
    found = report(Sums(), Sums(), crops(rng, 130))
    assert found == pytest.approx({"n": 130, "teacher_cosine_mean": 1.0}, abs=1e-5)
