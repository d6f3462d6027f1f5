"""Surrogate models that replace rendering while P trains on a CPU.

SurrogateRenderer predicts R(G(w)), the embedding of a rendered face, from w; SurrogateEncoder predicts the features
that KVFA extracts from a face after posture correction. A render costs 50 ms and its gradient a second; these cost
microseconds. Both are fitted on cached renders. The encoder adds its residuals as noise, so that P cannot rely on
details that the surrogate does not predict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.projector_net import GROUPS, LEADING
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.posture import PostureStep

INPUTS = 64  # natural coordinates of each layer group that the renderer takes; P moves 32, posture correction all

LatentRenderer = Callable[[Tensor], Tensor]  # natural coordinates (N, 3, INPUTS or more) -> (N, D), unit length


class SurrogateRenderer(nn.Module):
    """Predicts R(G(w)), the embedding of a generated face, without rendering it.

    The leading natural coordinates of w (N, 3, INPUTS or more) -> (N, D), unit length.
    A residual MLP beside a linear layer. The map is far from linear: a model with one hidden layer predicts the faces
    of two photos to be more alike than they are.
    """

    def __init__(self, features: int, hidden: int = 512, blocks: int = 3) -> None:
        super().__init__()
        self.straight = nn.Linear(GROUPS * INPUTS, features)
        self.first = nn.Sequential(nn.Linear(GROUPS * INPUTS, hidden), nn.SiLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.SiLU(), nn.Dropout(0.2))
            for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, features))

    def forward(self, v: Tensor) -> Tensor:
        x = v[..., :INPUTS].flatten(1)
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h)
        return functional.normalize(self.straight(x) + self.last(h), dim=1)


class SurrogateEnsemble(nn.Module):
    """Several SurrogateRenderers as one: the mean of the embeddings (N, D) that they predict, of unit length.

    P, trained against a single one, exploits its errors; the errors of different ones are only partly correlated.
    """

    def __init__(self, members: Iterable[SurrogateRenderer]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, v: Tensor) -> Tensor:
        return functional.normalize(sum(member(v) for member in self.members), dim=1)


def fit_surrogate_renderers(
    v: Tensor, features: Tensor, count: int, epochs: int, seed: int
) -> tuple[SurrogateEnsemble, float]:
    """Train an ensemble on nine renders in ten.

    Args:
        v: (N, 3, INPUTS) natural coordinates. features: (N, D) centred, unit length.
        count: of members.

    Returns:
        The frozen ensemble, and the mean cosine between its predictions and R on the renders left out.
    """
    held = torch.arange(len(v)) % 10 == 0
    inputs, targets = v[~held], features[~held]
    ensemble = SurrogateEnsemble(_trained(inputs, targets, epochs, seed + member) for member in range(count))
    ensemble.eval().requires_grad_(False)
    return ensemble, float((ensemble(v[held]) * features[held]).sum(dim=1).mean())


def _trained(v: Tensor, features: Tensor, epochs: int, seed: int) -> SurrogateRenderer:
    torch.manual_seed(seed)
    net = SurrogateRenderer(features.shape[1])
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


class LatentEncoder(Protocol):
    """w -> the features that KVFA extracts from the corrected face; SurrogateEncoder, or LiveEncoder of train.live."""

    @property
    def space(self) -> NaturalSpace: ...

    @property
    def step(self) -> PostureStep: ...

    @property
    def mean(self) -> Tensor:
        """(S,) of the features."""

    @property
    def scale(self) -> Tensor:
        """(S,) sd of the features."""

    def encode(self, w: Tensor) -> Tensor:
        """Latents (N, 3, 512) of P -> features (N, S) of the corrected faces."""


@dataclass(frozen=True)
class SurrogateEncoder:
    """Posture correction, rendering and feature extraction as one linear map with Gaussian noise."""

    space: NaturalSpace
    step: PostureStep
    rows: Tensor  # (S, 96): features from the leading coordinates of the corrected latent
    offset: Tensor  # (S,)
    noise: Tensor  # (S, S) Cholesky factor of the residuals' covariance
    mean: Tensor  # (S,) of the features
    scale: Tensor  # (S,) sd of the features

    def encode(self, w: Tensor) -> Tensor:
        """Latents (N, 3, 512) of P -> features (N, S) of the corrected faces, with fresh noise."""
        v = self.space.of_w(self.step.moved(w))[..., :LEADING].flatten(1)
        predicted = v @ self.rows.T + self.offset
        return predicted + torch.randn(len(w), len(self.offset)) @ self.noise.T


def fit_surrogate_encoder(space: NaturalSpace, step: PostureStep, v: Tensor, features: Tensor) -> SurrogateEncoder:
    """Ridge regression from natural coordinates to features.

    Args:
        v: (N, 3, 32) of renders that F was not trained on. features: (N, S) of the same renders.
    """
    x = torch.cat((v.flatten(1), torch.ones(len(v), 1)), dim=1).double()
    ridge = 1e-2 * len(v) * torch.eye(x.shape[1]).double()
    solved = torch.linalg.solve(x.T @ x + ridge, x.T @ features.double()).T  # (S, 97)
    residuals = features.double() - x @ solved.T
    # Shrunk towards independent noise (Ledoit and Wolf, 2004): otherwise P puts the code where the noise is
    # underestimated.
    sd = residuals.std(dim=0).clamp(min=1e-6)
    cov = torch.from_numpy(ledoit_wolf((residuals / sd).numpy(), assume_centered=True)[0])
    noise = sd[:, None] * torch.linalg.cholesky(0.7 * cov + 0.3 * torch.eye(len(cov)))
    return SurrogateEncoder(
        space=space,
        step=step,
        rows=solved[:, :-1].float(),
        offset=solved[:, -1].float(),
        noise=noise.float(),
        mean=features.mean(dim=0),
        scale=features.std(dim=0).clamp(min=1e-6),
    )
