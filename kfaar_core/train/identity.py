"""Fit u, the identity of a photo: linear discriminants of E's features, in closed form.

python -m kfaar_core.train identity
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kfaar_core.metrics.verification import auc
from kfaar_core.stages.project import IdentityMap


def identity_map(
    features: np.ndarray, people: np.ndarray, dimension: int, shrink: float = 0.1, reliable: float = 0.0
) -> dict[str, Tensor]:
    """Linear discriminants of E's features: u = unit(W (E(x) - mu)), every dimension of unit variance on train.

    Args:
        features: (N, D) raw features of training photos.
        people: (N,) identity numbers; people with one photo serve the between-class part alone.
        shrink: ridge on the within-class scatter, in shares of its mean variance.
        reliable: let each dimension count by this power of the share of its variance that people differ by. The keyed
            rotation makes every direction of u alike, so that a wrong key stays a random direction of all d, while two
            photos of one person agree better.
    """
    features = features.astype(np.float64)
    people = np.unique(people, return_inverse=True)[1]  # without the numbers of people whose photos all were missed
    counts = np.bincount(people)
    means = np.stack([features[people == person].mean(axis=0) for person in range(len(counts))])
    # A person counts as at most ten photos, so that nobody's 500 photos rule the scatter.
    weight = np.minimum(1.0, 10.0 / counts)[people] * (counts[people] > 1)
    away = features - means[people]
    within = (away * weight[:, None]).T @ away / (weight.sum() * (1 - 1 / counts[counts > 1].mean()))
    within += shrink * np.trace(within) / len(within) * np.eye(len(within))
    between, vectors = scipy.linalg.eigh(np.cov(means.T), within)
    rows = vectors[:, ::-1][:, :dimension].T
    mean = features.mean(axis=0)
    rows /= ((features - mean) @ rows.T).std(axis=0)[:, None]
    share = between[::-1][:dimension] / (between[::-1][:dimension] + 1)
    rows *= share[:, None] ** reliable
    return {"identity.mean": torch.from_numpy(mean), "identity.map": torch.from_numpy(rows.copy())}


def balanced_map(
    features: np.ndarray, first: int, people: np.ndarray, dimension: int, shrink: float, reliable: float
) -> dict[str, Tensor]:
    """identity_map of features in two parts, of which neither counts for more because its numbers are larger or more.

    Args:
        first: how many numbers the first part has.
    """
    parts = features[:, :first], features[:, first:]
    scale = np.concatenate([np.full(part.shape[1], np.sqrt(part.var(axis=0).sum())) for part in parts])
    found = identity_map(features / scale, people, dimension, shrink, reliable)
    return {
        "identity.mean": found["identity.mean"] * torch.from_numpy(scale),
        "identity.map": found["identity.map"] / torch.from_numpy(scale),
    }


def turned_towards(state: dict[str, Tensor], features: np.ndarray, u: np.ndarray) -> dict[str, Tensor]:
    """An identity map whose answers are turned or mirrored to lie nearest to u (orthogonal Procrustes).

    Args:
        features: (N, D) that the map takes. u: (N, d).
    """
    turn, _ = scipy.linalg.orthogonal_procrustes(IdentityMap(state)(features), u)
    return {**state, "identity.map": torch.from_numpy(turn.T) @ state["identity.map"]}


def identity_report(state: dict[str, Tensor], features: np.ndarray, people: np.ndarray) -> dict[str, float]:
    """How u tells unseen people apart: the first two photos of each, and the first ones of all."""
    u = IdentityMap(state)(features)
    pairs = [np.flatnonzero(people == person)[:2] for person in np.unique(people) if np.sum(people == person) > 1]
    first, second = np.array(pairs).T
    cosines = u[first] @ u[second].T
    genuine, impostor = np.diag(cosines), cosines[~np.eye(len(cosines), dtype=bool)]
    return {
        "dev_people": len(pairs),
        "two_photos_cosine_mean": float(genuine.mean()),
        "strangers_cosine_sd": float(impostor.std()),
        "auc": auc(genuine, impostor),
    }
