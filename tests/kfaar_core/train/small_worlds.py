"""Small stand-ins for the networks and data of training: each does one thing that a test can foresee."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kfaar_core.nets.projector_net import GROUPS, LEADING
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader
from kfaar_core.train.posture import PostureFit, PostureStep
from kfaar_core.train.projector import People, people_of
from kfaar_core.train.surrogates import SurrogateEncoder, SurrogateRenderer

SPACE = NaturalSpace({"natural.mean": torch.zeros(512), "natural.basis": torch.eye(512)})
LATENT = GROUPS * 512
MOVED = GROUPS * LEADING  # coordinates that P moves


def still() -> PostureStep:
    """A posture correction that changes nothing."""
    nothing = np.zeros((2, LATENT))
    posture = PostureFit(np.zeros(LATENT), np.zeros(2), nothing, nothing, np.zeros((1, 1)))
    return PostureStep(posture, np.zeros((LATENT, 2)), np.zeros((1, 2)))


def encoder_of(rows: Tensor, noise: Tensor, step: PostureStep | None = None) -> SurrogateEncoder:
    """Features `rows` (S, MOVED) of a latent plus noise (S, S); without a step it corrects no posture."""
    count = len(rows)
    return SurrogateEncoder(
        space=SPACE,
        step=step or still(),
        rows=rows,
        offset=torch.zeros(count),
        noise=noise,
        mean=torch.zeros(count),
        scale=torch.ones(count),
    )


def crowd(rng: np.random.Generator, photos: tuple[int, ...] = (2, 3, 1, 4, 2), width: int = 6, d: int = 4) -> People:
    """As many photos of each person as are named; a person is a direction."""
    owners = np.repeat(np.arange(len(photos)), photos)
    features = 5 + rng.standard_normal((len(photos), width))[owners] + 0.05 * rng.standard_normal((len(owners), width))
    return people_of(features, 10 * owners, reader_of(features, rng.standard_normal((d, width))))


def reader_of(features: np.ndarray, rows: np.ndarray) -> LinearReader:
    """u of rows (d, D) about the mean of features (N, D)."""
    state = {"identity.mean": torch.from_numpy(features.mean(axis=0)), "identity.map": torch.from_numpy(rows)}
    return LinearReader(state, "identity")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def frozen_renderer(features: int = 6) -> SurrogateRenderer:
    torch.manual_seed(5)
    return SurrogateRenderer(features, hidden=16).eval().requires_grad_(False)


def log_of(folder: Path) -> dict[str, float]:
    with (folder / "log.csv").open(newline="") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items()}
