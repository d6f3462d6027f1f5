"""Stand-ins for rendering while P trains on a CPU: v -> R(G(w)), and v -> what F reads after posture correction.

A render costs 50 ms and its gradient a second; these cost microseconds, and are fitted on cached renders. What they
cannot tell is kept as noise, so that P trusts them only as far as they go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.projector_net import GROUPS, LEADING
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.posture import PostureStep

SEEN = 64  # natural coordinates of each layer group that a proxy looks at: P moves 32 of them, a posture all


class FeatureProxy(nn.Module):
    """R(G(w)) from the leading natural coordinates: (N, 3, SEEN or more) -> (N, D), of unit length.

    What a face shows is far from linear in its style: with one hidden layer, two photos' faces seem alike that are not.
    """

    def __init__(self, features: int, hidden: int = 512, blocks: int = 3) -> None:
        super().__init__()
        self.straight = nn.Linear(GROUPS * SEEN, features)
        self.first = nn.Sequential(nn.Linear(GROUPS * SEEN, hidden), nn.SiLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU(), nn.Dropout(0.2))
            for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, features))

    def forward(self, v: Tensor) -> Tensor:
        x = v[..., :SEEN].flatten(1)
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return functional.normalize(self.straight(x) + self.last(h), dim=1)


class Proxies(nn.Module):
    """The mean of several proxies: P finds what one of them is wrong about, and they are not wrong alike."""

    def __init__(self, members: Iterable[FeatureProxy]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, v: Tensor) -> Tensor:
        return functional.normalize(sum(member(v) for member in self.members), dim=1)


def fit_proxies(v: Tensor, features: Tensor, count: int, epochs: int, seed: int) -> tuple[Proxies, float]:
    """The proxies and the mean cosine of their mean with R on one render in ten, which they did not see.

    Args:
        v: (N, 3, SEEN). features: (N, D) centred, unit length.
    """
    held = torch.arange(len(v)) % 10 == 0
    seen, aims = v[~held], features[~held]
    members = Proxies(_fitted(seen, aims, epochs, seed + member) for member in range(count))
    members.eval().requires_grad_(False)
    return members, float((members(v[held]) * features[held]).sum(dim=1).mean())


def _fitted(v: Tensor, features: Tensor, epochs: int, seed: int) -> FeatureProxy:
    torch.manual_seed(seed)
    net = FeatureProxy(features.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    steps = max(1, epochs * len(v) // 256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(len(v), (256,))
        loss = 1 - (net(v[chosen]) * features[chosen]).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net


class Reading(Protocol):
    """What a lesson of P needs to know of the way from styles to KVFA; the channel below, or train.through."""

    @property
    def space(self) -> NaturalSpace: ...

    @property
    def step(self) -> PostureStep: ...

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
