"""Small worlds for the lessons of P and KVFA: every part of them does one thing that can be foreseen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kfaar_core.nets.projector_net import GROUPS, LEADING
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader
from kfaar_core.train.directions import PostureFit
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.projector import People, people_of
from kfaar_core.train.proxy import Channel

SPACE = NaturalSpace({"natural.mean": torch.zeros(512), "natural.basis": torch.eye(512)})
LATENT = GROUPS * 512
MOVED = GROUPS * LEADING  # coordinates that P moves


def still() -> PostureStep:
    """Two postures that nothing in w shows: it corrects nothing."""
    nothing = np.zeros((2, LATENT))
    posture = PostureFit(np.zeros(LATENT), np.zeros(2), nothing, nothing, np.zeros((1, 1)))
    return PostureStep(posture, np.zeros((LATENT, 2)), np.zeros((1, 2)))


def channel(rows: Tensor, noise: Tensor, step: PostureStep | None = None) -> Channel:
    """What reads `rows` (S, MOVED) of a face with noise (S, S); without a step it corrects nothing."""
    count = len(rows)
    return Channel(
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
