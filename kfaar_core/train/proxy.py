"""Stand-ins for rendering while P trains on a CPU: v -> R(G(w)), and v -> what F reads after posture correction.

A render costs 50 ms and its gradient a second; these cost microseconds, and are fitted on cached renders. What they
cannot tell is kept as noise, so that P trusts them only as far as they go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.projector_net import GROUPS, LEADING
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.posture import PostureStep


class FeatureProxy(nn.Module):
    """R(G(w)) from the leading natural coordinates: (N, 3, 32 or more) -> (N, D), of unit length."""

    def __init__(self, features: int, hidden: int = 768) -> None:
        super().__init__()
        self.straight = nn.Linear(GROUPS * LEADING, features)
        self.bend = nn.Sequential(
            nn.Linear(GROUPS * LEADING, hidden), nn.SiLU(), nn.Dropout(0.2), nn.Linear(hidden, features)
        )

    def forward(self, v: Tensor) -> Tensor:
        x = v[..., :LEADING].flatten(1)
        return functional.normalize(self.straight(x) + self.bend(x), dim=1)


def fit_proxy(v: Tensor, features: Tensor, epochs: int = 40, seed: int = 0) -> tuple[FeatureProxy, float]:
    """The proxy and its mean cosine with R on the tenth of the renders that it did not see.

    Args:
        v: (N, 3, 32). features: (N, D) centred, unit length.
    """
    torch.manual_seed(seed)
    held = len(v) // 10
    net = FeatureProxy(features.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    steps = epochs * (len(v) - held) // 256
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(held, len(v), (256,))
        loss = 1 - (net(v[chosen]) * features[chosen]).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval().requires_grad_(False)
    return net, float((net(v[:held]) * features[:held]).sum(dim=1).mean())


class Reading(Protocol):
    """What a lesson of P needs to know of the way from styles to KVFA; the channel below, or train.through."""

    @property
    def space(self) -> NaturalSpace: ...

    @property
    def mean(self) -> Tensor:
        """(S,) of readings."""

    @property
    def scale(self) -> Tensor:
        """(S,) sd of readings."""

    def read(self, w: Tensor) -> Tensor:
        """w (N, 3, 512) as P made it -> the reading (N, S) of the corrected face."""


@dataclass(frozen=True)
class Channel:
    """What happens to styles between P and F: posture correction, rendering, reading; all linear, with noise."""

    space: NaturalSpace
    step: PostureStep
    rows: Tensor  # (S, 96): F's reading from the leading coordinates of the face it sees
    offset: Tensor  # (S,)
    noise: Tensor  # (S, S) Cholesky factor of what the rows cannot tell
    mean: Tensor  # (S,) of readings
    scale: Tensor  # (S,) sd of readings

    def read(self, w: Tensor) -> Tensor:
        """w (N, 3, 512) as P made it -> F's reading (N, S) of the corrected face."""
        v = self.space.of_w(self.step.moved(w))[..., :LEADING].flatten(1)
        clean = v @ self.rows.T + self.offset
        return clean + torch.randn(len(w), len(self.offset)) @ self.noise.T


def fit_channel(space: NaturalSpace, step: PostureStep, v: Tensor, readings: Tensor) -> Channel:
    """
    Args:
        v: (N, 3, 32) of renders that F did not see in training. readings: (N, S) of F.
    """
    x = torch.cat((v.flatten(1), torch.ones(len(v), 1)), dim=1).double()
    ridge = 1e-2 * len(v) * torch.eye(x.shape[1]).double()
    solved = torch.linalg.solve(x.T @ x + ridge, x.T @ readings.double()).T  # (S, 97)
    away = readings.double() - x @ solved.T
    # Shrunk towards independent noise (Ledoit and Wolf, 2004): P would put the code where the noise only seems small.
    spread = away.std(dim=0).clamp(min=1e-6)
    cov = torch.from_numpy(ledoit_wolf((away / spread).numpy(), assume_centered=True)[0])
    noise = spread[:, None] * torch.linalg.cholesky(0.7 * cov + 0.3 * torch.eye(len(cov)))
    return Channel(
        space=space,
        step=step,
        rows=solved[:, :-1].float(),
        offset=solved[:, -1].float(),
        noise=noise.float(),
        mean=readings.mean(dim=0),
        scale=readings.std(dim=0).clamp(min=1e-6),
    )
