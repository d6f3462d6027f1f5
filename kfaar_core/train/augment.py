"""Augmentation: random brightness, contrast, grey, resolution and noise, as saving and resizing cause them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def degrade(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> augmented, in [-1.2, 1.2]; about half of the pictures stay sharp.

    Brightness +-0.15, contrast 0.8-1.2, grey (1 in 10), a round trip through 40-100 % of the size (1 in 2), noise.
    """
    count, _, height, width = pictures.shape

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1)).astype(np.float32)).to(pictures.device)

    x = pictures * draw(0.8, 1.2) + draw(-0.15, 0.15)
    grey = x.mean(dim=1, keepdim=True).expand_as(x)
    x = torch.where(draw(0, 1) < 0.1, grey, x)
    share = float(rng.uniform(0.4, 1.0))  # one size for the whole batch: a single fast resize
    small = functional.interpolate(x, size=(int(height * share), int(width * share)), mode="area")
    back = functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    x = torch.where(draw(0, 1) < 0.5, back, x)
    return (x + _noise(x, rng) * draw(0, 0.04)).clamp(-1.2, 1.2)


def _noise(like: Tensor, rng: np.random.Generator) -> Tensor:
    """(N, 3, H, W) of unit variance; drawn on the GPU where there is one, because NumPy's draws would dominate."""
    if like.is_cuda:
        own = torch.Generator(like.device).manual_seed(int(rng.integers(2**62)))
        return torch.randn(like.shape, generator=own, device=like.device)
    return torch.from_numpy(rng.standard_normal(like.shape, dtype=np.float32))
