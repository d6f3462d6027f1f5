"""What the trainings of P share (Section IV-B-3): people, the objective, and terms beside the losses of Eq. 6-10.

Only P is trained, on people of LFW-train with fresh keys at every step. On a CPU, R(G(w)) is predicted by surrogate
models (train.surrogates); on a GPU faces are rendered (train.live). Terms of ours beside the paper's:

    read     the code can still be read from the corrected face
    natural  no natural coordinate of a style leaves the range of real faces
    seen     E sees the person of the code (`hashed`)
    wrong    another key reads something else (`bits`, whose network could ignore the key; a rotation cannot)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.losses import projector_total
from kfaar_core.stages.linear import LinearReader
from kfaar_core.train.loop import Plan
from kfaar_core.train.surrogates import LatentEncoder, LatentRenderer


@dataclass(frozen=True)
class People:
    """Training photos by person."""

    identity: Tensor  # (N, d) u of each photo
    feature: Tensor  # (N, D) z of each photo, about unit variance
    recognised: Tensor  # (N, D) R of each photo, centred, unit length
    pairs: list[Tensor]  # photo indices of each person with two or more photos
    feature_mean: Tensor  # (D,)
    feature_scale: Tensor  # (): z = (E(x) - mean) / scale
    rows: Tensor  # (d, D): u = unit(rows R)

    def triplets(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Indices (count,) of photos x1, x2 of one person and y of another."""
        persons = torch.randint(len(self.pairs), (count,))
        others = (persons + torch.randint(1, len(self.pairs), (count,))) % len(self.pairs)
        two = [self.pairs[person][torch.randperm(len(self.pairs[person]))[:2]] for person in persons]
        y = [self.pairs[other][torch.randint(len(self.pairs[other]), (1,))] for other in others]
        first, second = torch.stack(two).T
        return first, second, torch.cat(y)

    def without(self, persons: np.ndarray) -> People:
        """The same without the people of these indices in `pairs`."""
        excluded = set(persons.tolist())
        return replace(self, pairs=[photos for person, photos in enumerate(self.pairs) if person not in excluded])


def people_of(features: np.ndarray, persons: np.ndarray, identity: LinearReader) -> People:
    """
    Args:
        features: (N, D) raw embeddings of E. persons: (N,) identity numbers.
        identity: u, centred with the mean of the features.
    """
    mean, scale = features.mean(axis=0), features.std()
    centred = torch.from_numpy((features - mean).astype(np.float32))
    index = np.unique(persons, return_inverse=True)[1]
    groups = [torch.from_numpy(np.flatnonzero(index == person)) for person in range(index.max() + 1)]
    return People(
        identity=torch.from_numpy(identity(features).astype(np.float32)),
        feature=centred / float(scale),
        recognised=functional.normalize(centred, dim=1),
        pairs=[group for group in groups if len(group) > 1],
        feature_mean=torch.from_numpy(mean.astype(np.float32)),
        feature_scale=torch.tensor(float(scale)),
        rows=torch.from_numpy(identity.rows.astype(np.float32)),
    )


@dataclass(frozen=True)
class ProjectorInputs:
    """What P is trained with."""

    people: People
    renderer: LatentRenderer  # natural coordinates -> R(G(w))
    encoder: LatentEncoder  # w -> the features that KVFA extracts from the corrected face
    device: str = "cpu"  # where faces are rendered during training


def projector_plan(steps: int, rate: float, seed: int, device: str) -> Plan:
    """The plan of a training of P; bfloat16 on a GPU."""
    return Plan(steps=steps, rate=rate, decay=0.0, seed=seed, bfloat16=device == "cuda", device=device)


def objective(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot (Eq. 10) plus our own weighted terms, those that are present."""
    ours = (weights[name] * terms[name] for name in ("read", "seen", "wrong", "natural") if name in terms)
    return sum(ours, projector_total(terms, weights))


def unnatural(v: Tensor, limit: float) -> Tensor:
    """Mean squared excess of natural coordinates beyond `limit` sds, 0-dim."""
    return functional.relu(v.abs() - limit).square().mean()
