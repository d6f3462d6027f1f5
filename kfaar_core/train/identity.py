"""Fit u, the identity of a photo: linear discriminant analysis of face embeddings, in closed form.

python -m kfaar_core.train identity
python -m kfaar_core.train second
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from kfaar_core.metrics.verification import auc
from kfaar_core.nets.sface import FEATURE, WIDE
from kfaar_core.presets import LAB
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.train.photos import LabelledPhotos, load_photos
from kfaar_core.train.renders import load_renders

if TYPE_CHECKING:
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.recipe import Metrics, Run


def identity_map(
    features: np.ndarray,
    people: np.ndarray,
    dimension: int,
    shrink: float = 0.1,
    reliable: float = 0.0,
    importance: np.ndarray | None = None,
) -> dict[str, Tensor]:
    """Linear discriminants: u = unit(W (E(x) - mu)), where every dimension has unit variance over training photos.

    Args:
        features: (N, D) raw embeddings of training photos.
        people: (N,) identity numbers; people with one photo enter the between-class scatter only.
        dimension: d.
        shrink: ridge on the within-class scatter, in shares of its mean variance.
        reliable: scale each dimension by this power of its between-class share of the variance. Two photos of a person
            then agree better. A wrong key still gives a random direction in all d dimensions, because the keyed
            rotation mixes them.
        importance: (P,) weight of each person, in the order of their numbers; None weights photos equally.

    Returns:
        State of IdentityMap.
    """
    features = features.astype(np.float64)
    people, counts, means = _means(features, people)
    # Nobody counts as more than ten photos: one person has 500 and would dominate the scatter.
    weight = np.minimum(1.0, 10.0 / counts)[people] * (counts[people] > 1)
    share_of = np.ones(len(people)) if importance is None else (importance / counts)[people]
    if importance is not None:
        weight *= importance[people]
    centred = features - means[people]
    within = (centred * weight[:, None]).T @ centred / (weight.sum() * (1 - 1 / counts[counts > 1].mean()))
    within += shrink * np.trace(within) / len(within) * np.eye(len(within))
    between, vectors = scipy.linalg.eigh(np.cov(means.T, aweights=importance), within)
    rows = vectors[:, ::-1][:, :dimension].T
    mean = np.average(features, axis=0, weights=share_of)
    rows /= np.sqrt(np.average(((features - mean) @ rows.T) ** 2, axis=0, weights=share_of))[:, None]
    share = between[::-1][:dimension] / (between[::-1][:dimension] + 1)
    rows *= share[:, None] ** reliable
    return {"identity.mean": torch.from_numpy(mean), "identity.map": torch.from_numpy(rows.copy())}


def balanced_map(
    parts: Sequence[np.ndarray],
    people: np.ndarray,
    dimension: int,
    shrink: float,
    reliable: float,
    importance: np.ndarray | None = None,
) -> dict[str, Tensor]:
    """identity_map of concatenated embeddings, each scaled to the same total variance first.

    Args:
        parts: (N, D_i) embeddings by each encoder.
    """
    features = np.concatenate(parts, axis=1)
    scale = np.concatenate([np.full(part.shape[1], np.sqrt(part.var(axis=0).sum())) for part in parts])
    found = identity_map(features / scale, people, dimension, shrink, reliable, importance)
    return {
        "identity.mean": found["identity.mean"] * torch.from_numpy(scale),
        "identity.map": found["identity.map"] / torch.from_numpy(scale),
    }


def beyond_axis_mean(
    features: np.ndarray, people: np.ndarray, renders: np.ndarray, axis: np.ndarray, ridge: float
) -> np.ndarray:
    """Which people lie above the mean of an axis of the generator, predicted from embeddings by ridge regression.

    Along the first natural axis, where the generator's faces differ most, men and women are separated.

    Args:
        features: (N, D) embeddings of photos. people: (N,) identity numbers.
        renders: (M, D) embeddings of generated faces. axis: (M,) their coordinate along the axis.
        ridge: the penalty, in shares of the mean variance.

    Returns:
        (P,) bool, in the order of the numbers.
    """
    mean = renders.mean(axis=0)
    centred = renders - mean
    square = centred.T @ centred
    square += ridge * np.trace(square) / len(square) * np.eye(len(square))
    along = (_means(features, people)[2] - mean) @ np.linalg.solve(square, centred.T @ (axis - axis.mean()))
    return along > 0


def group_weights(beyond: np.ndarray, strength: float) -> np.ndarray:
    """Weights of people that balance two groups of unequal size.

    LFW is mostly male. With a mean and scale estimated mostly from men, u encodes gender: two women are alike to it,
    and so are their virtual faces.

    Args:
        beyond: (P,) bool, the group of each person.
        strength: 1 gives both groups the same total weight, 0 gives every person the same weight.

    Raises:
        ValueError: one group is empty.
    """
    if beyond.all() or not beyond.any():
        raise ValueError("all people lie on one side")
    return np.where(beyond, beyond.mean(), 1 - beyond.mean()) ** -strength


def _means(features: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Consecutive identity numbers (N,), the number of photos of each person (P,), and their mean features (P, D)."""
    dense = np.unique(people, return_inverse=True)[1]  # the landmarker missed all photos of some people
    counts = np.bincount(dense)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, dense, features)
    return dense, counts, means / counts[:, None]


def aligned_with(state: dict[str, Tensor], features: np.ndarray, u: np.ndarray) -> dict[str, Tensor]:
    """The identity map rotated or mirrored so that its outputs lie nearest to u (orthogonal Procrustes).

    Args:
        features: (N, D) inputs of the map. u: (N, d).
    """
    turn, _ = scipy.linalg.orthogonal_procrustes(IdentityMap(state)(features), u)
    return {**state, "identity.map": torch.from_numpy(turn.T) @ state["identity.map"]}


def identity_report(
    state: dict[str, Tensor], features: np.ndarray, people: np.ndarray, beyond: np.ndarray | None = None
) -> dict[str, float]:
    """How well u separates unseen people: genuine pairs are the first two photos of each person.

    Args:
        beyond: (P,) bool, people of the rarer group; adds how similar strangers of this group are.
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


# ---- recipes


def pair_features(data: TrainingData, photos: LabelledPhotos, name: str) -> np.ndarray:
    """(N, D) float32 embeddings of EncoderPair: E, its penultimate activations, the auxiliary encoder.

    Args:
        name: of the photos in the cache.
    """
    wide = data.features(photos, f"{name}-wide", wide=True)
    return np.concatenate([wide, data.auxiliary_features(photos, name)], axis=1)


def rarer_side(data: TrainingData, features: np.ndarray, people: np.ndarray) -> np.ndarray:
    """(P,) bool: who lies above the mean of the generator's first axis, predicted from E's penultimate activations.

    Args:
        features: (N, D) of pair_features.
    """
    shards = data.training.axis_shards
    renders = load_renders("mixed", shards)
    penultimate = data.features(renders, f"renders-mixed-0-{shards}-wide", wide=True)[:, FEATURE:]
    # The first natural coordinate, of the layers that draw the face's shape.
    axis = -data.space.of_w(torch.from_numpy(renders.w))[:, :-1, 0].mean(dim=1).double().numpy()
    return beyond_axis_mean(features[:, FEATURE:WIDE], people, penultimate, axis, data.training.axis_ridge)


def pair_identity(data: TrainingData) -> dict[str, Tensor]:
    """State of IdentityMap of `hashed` in use: u of the encoder pair.

    P was trained with u of E alone, and works with any u because codes come from all directions. This u is aligned with
    that of E, so that E reads from a virtual face the code that refinement put there, and not one that contradicts it.
    """
    features, people, training = pair_features(data, data.photos, "lfw-train"), data.photos.people, data.training
    parts = np.split(features, (FEATURE, WIDE), axis=1)
    weights = group_weights(rarer_side(data, features, people), training.axis_evens)
    d = training.code_dimension
    state = balanced_map(parts, people, d, training.wide_shrink, training.wide_power, weights)
    return aligned_with(state, features, IdentityMap(data.identity)(data.photo_features))


def auxiliary_identity(data: TrainingData) -> dict[str, Tensor]:
    """State of IdentityMap of the auxiliary encoder, aligned with u of E: a code is the same person to both."""
    features, training = data.auxiliary_features(data.photos, "lfw-train"), data.training
    state = identity_map(features, data.photos.people, training.code_dimension, training.second_shrink, reliable=1.0)
    return aligned_with(state, features, IdentityMap(data.identity)(data.photo_features))


def fit_identity(run: Run) -> Metrics:
    """Fit u of `hashed`: the identity of a photo, from E and the auxiliary encoder."""
    data, unseen = run.data, load_photos(run.lfw, "dev")
    if run.preset.encoder != LAB.encoder:  # no auxiliary encoder: u of E alone
        metrics = identity_report(data.identity, data.features(unseen, "lfw-dev"), unseen.people)
        return run.save("identity", {name: tensor.float() for name, tensor in data.identity.items()}, metrics)
    state, features = pair_identity(data), pair_features(data, unseen, "lfw-dev")
    metrics = identity_report(state, features, unseen.people, rarer_side(data, features, unseen.people))
    alone = identity_report(data.identity, data.features(unseen, "lfw-dev"), unseen.people)  # what P was trained with
    metrics |= {f"of_e_alone_{name}": value for name, value in alone.items()}
    return run.save("identity", {name: tensor.float() for name, tensor in state.items()}, metrics)


def fit_auxiliary(run: Run) -> Metrics:
    """Fit u of the auxiliary encoder alone; refinement makes it see the person of the code as well."""
    data, unseen = run.data, load_photos(run.lfw, "dev")
    state = auxiliary_identity(data)
    metrics = identity_report(state, data.auxiliary_features(unseen, "lfw-dev"), unseen.people)
    return run.save("second", {name: tensor.float() for name, tensor in state.items()}, metrics)
