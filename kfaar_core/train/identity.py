"""Fit u, the identity of a photo: linear discriminants of recognisers' features, in closed form.

python -m kfaar_core.train identity
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kfaar_core.metrics.verification import auc
from kfaar_core.stages.identify import IdentityMap


def identity_map(
    features: np.ndarray,
    people: np.ndarray,
    dimension: int,
    shrink: float = 0.1,
    reliable: float = 0.0,
    importance: np.ndarray | None = None,
) -> dict[str, Tensor]:
    """Linear discriminants of features: u = unit(W (E(x) - mu)), every dimension of unit variance on train.

    Args:
        features: (N, D) raw features of training photos.
        people: (N,) identity numbers; people with one photo serve the between-class part alone.
        shrink: ridge on the within-class scatter, in shares of its mean variance.
        reliable: let each dimension count by this power of the share of its variance that people differ by. The keyed
            rotation makes every direction of u alike, so that a wrong key stays a random direction of all d, while two
            photos of one person agree better.
        importance: (P,) how much each person counts, in the order of their numbers; None counts photos alike.
    """
    features = features.astype(np.float64)
    people, counts, means = _means(features, people)
    # A person counts as at most ten photos, so that nobody's 500 photos rule the scatter.
    weight = np.minimum(1.0, 10.0 / counts)[people] * (counts[people] > 1)
    share_of = np.ones(len(people)) if importance is None else (importance / counts)[people]
    if importance is not None:
        weight *= importance[people]
    away = features - means[people]
    within = (away * weight[:, None]).T @ away / (weight.sum() * (1 - 1 / counts[counts > 1].mean()))
    within += shrink * np.trace(within) / len(within) * np.eye(len(within))
    between, vectors = scipy.linalg.eigh(np.cov(means.T, aweights=importance), within)
    rows = vectors[:, ::-1][:, :dimension].T
    mean = np.average(features, axis=0, weights=share_of)
    rows /= np.sqrt(np.average(((features - mean) @ rows.T) ** 2, axis=0, weights=share_of))[:, None]
    share = between[::-1][:dimension] / (between[::-1][:dimension] + 1)
    rows *= share[:, None] ** reliable
    return {"identity.mean": torch.from_numpy(mean), "identity.map": torch.from_numpy(rows.copy())}


def balanced_map(
    features: np.ndarray,
    widths: Sequence[int],
    people: np.ndarray,
    dimension: int,
    shrink: float,
    reliable: float,
    importance: np.ndarray | None = None,
) -> dict[str, Tensor]:
    """identity_map of features in parts, of which none counts for more because its numbers are larger or more.

    Args:
        widths: how many numbers each part has.
    """
    parts = np.split(features, np.cumsum(widths)[:-1], axis=1)
    scale = np.concatenate([np.full(part.shape[1], np.sqrt(part.var(axis=0).sum())) for part in parts])
    found = identity_map(features / scale, people, dimension, shrink, reliable, importance)
    return {
        "identity.mean": found["identity.mean"] * torch.from_numpy(scale),
        "identity.map": found["identity.map"] / torch.from_numpy(scale),
    }


def beyond_the_middle(
    features: np.ndarray, people: np.ndarray, renders: np.ndarray, axis: np.ndarray, ridge: float
) -> np.ndarray:
    """Who lies on the far side of an axis of the generator.

    The natural axis along which its faces differ most tells men from women.

    Args:
        features: (N, D) of photos. people: (N,) identity numbers.
        renders: (M, D) the same features of the generator's faces. axis: (M,) where each of those lies.
        ridge: of the map from features to the axis, in shares of their mean variance.

    Returns:
        (P,) bool, in the order of the numbers.
    """
    middle = renders.mean(axis=0)
    seen = renders - middle
    square = seen.T @ seen
    square += ridge * np.trace(square) / len(square) * np.eye(len(square))
    along = (_means(features, people)[2] - middle) @ np.linalg.solve(square, seen.T @ (axis - axis.mean()))
    return along > 0


def evened(beyond: np.ndarray, evens: float) -> np.ndarray:
    """How much each person shall count, so that the fewer on one side count more nearly as the others do.

    Of LFW's people most are men. With a mean and a scale that are men's, two women are alike to u because they are
    women, and so are their virtual faces.

    Args:
        beyond: (P,) bool.
        evens: 1 lets both sides count alike, 0 lets every person.

    Raises:
        ValueError: all people lie on one side.
    """
    if beyond.all() or not beyond.any():
        raise ValueError("all people lie on one side")
    return np.where(beyond, beyond.mean(), 1 - beyond.mean()) ** -evens


def _means(features: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People numbered without holes (N,), how many photos each has (P,), and their mean features (P, D)."""
    dense = np.unique(people, return_inverse=True)[1]  # without the numbers of people whose photos all were missed
    counts = np.bincount(dense)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, dense, features)
    return dense, counts, means / counts[:, None]


def turned_towards(state: dict[str, Tensor], features: np.ndarray, u: np.ndarray) -> dict[str, Tensor]:
    """An identity map whose answers are turned or mirrored to lie nearest to u (orthogonal Procrustes).

    Args:
        features: (N, D) that the map takes. u: (N, d).
    """
    turn, _ = scipy.linalg.orthogonal_procrustes(IdentityMap(state)(features), u)
    return {**state, "identity.map": torch.from_numpy(turn.T) @ state["identity.map"]}


def identity_report(
    state: dict[str, Tensor], features: np.ndarray, people: np.ndarray, beyond: np.ndarray | None = None
) -> dict[str, float]:
    """How u tells unseen people apart: the first two photos of each, and the first ones of all.

    Args:
        beyond: (P,) bool; who lies on the rarer side, in the order of the numbers: how alike they are is told as well.
    """
    u = IdentityMap(state)(features)
    rarer: dict[str, float] = {}
    if beyond is not None:
        own = u[np.unique(people, return_index=True)[1][beyond]]
        alike = (own @ own.T)[~np.eye(len(own), dtype=bool)]
        rarer = {"rarer_side_people": len(own), "rarer_side_strangers_cosine_mean": float(alike.mean())}
    pairs = [np.flatnonzero(people == person)[:2] for person in np.unique(people) if np.sum(people == person) > 1]
    first, second = np.array(pairs).T
    cosines = u[first] @ u[second].T
    genuine, impostor = np.diag(cosines), cosines[~np.eye(len(cosines), dtype=bool)]
    return {
        "dev_people": len(pairs),
        "two_photos_cosine_mean": float(genuine.mean()),
        "strangers_cosine_sd": float(impostor.std()),
        "auc": auc(genuine, impostor),
        **rarer,
    }
