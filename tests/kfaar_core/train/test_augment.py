from __future__ import annotations

import numpy as np
import torch

from kfaar_core.train.augment import degrade


def smooth(count: int) -> torch.Tensor:
    ramp = torch.linspace(-0.5, 0.5, 32)
    return torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), 0 * ramp.expand(32, 32)]).repeat(
        count, 1, 1, 1
    )


def test_the_same_stream_gives_the_same_damage():
    pictures = smooth(3)
    kept = pictures.clone()
    first, again = (degrade(pictures, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(pictures, kept)
    assert not torch.equal(first, degrade(pictures, np.random.default_rng(5)))
    assert first.shape == pictures.shape and first.dtype == torch.float32


def test_damage_stays_within_what_is_stated():
    found = degrade(torch.ones(200, 3, 8, 8), np.random.default_rng(0))
    assert found.max() <= 1.2
    means = degrade(torch.full((200, 3, 16, 16), 0.5), np.random.default_rng(1)).mean(dim=(1, 2, 3))
    # contrast 0.8-1.2 of 0.5, then brightness +-0.15, then noise that averages out
    assert 0.24 < means.min() < 0.35 and 0.65 < means.max() < 0.76
    assert abs(means.mean() - 0.5) < 0.04


def test_about_one_in_ten_turns_grey():
    found = degrade(smooth(400), np.random.default_rng(2))
    spread = found.mean(dim=(2, 3)).std(dim=1) + (found[:, 0] - found[:, 1]).mean(dim=1).std(dim=1)
    assert 0.04 < float((spread < 0.03).float().mean()) < 0.18


def test_about_half_lose_detail():
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 - 0.5
    rng = np.random.default_rng(6)
    found = degrade(checks.expand(300, 3, 32, 32) * 1.0, rng)
    contrast = found.std(dim=(1, 2, 3))
    blurred = float((contrast < 0.3).float().mean())
    assert 0.4 < blurred < 0.6
