"""Fit the method `floor`: identity map, payload directions and linear reader, all in closed form.

python -m kfaar_core.train floor

An identity can only be read back if it shows in the picture. J predicts E's embedding from w, S is the covariance of
the residuals, and w -> w + K (y - A w) is the posture correction. The payload takes the directions z of w = mean + L z
with the best signal-to-noise ratio after correction: the leading right singular vectors of S^-1/2 J (I - K A) L.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kfaar_core.errors import DataMissing
from kfaar_core.nets.projector_net import GROUPS
from kfaar_core.runtime import stream
from kfaar_core.train.artefacts import cosine_report
from kfaar_core.train.identity import identity_map
from kfaar_core.train.photos import LabelledPhotos
from kfaar_core.train.posture import PostureFit, PostureStep, fit_with_noise, postures_of, ridge, weighted_gain
from kfaar_core.train.renders import SHARD, Renders, Samples, load_renders
from kfaar_core.train.settings import Training

if TYPE_CHECKING:
    from kfaar_core.train.recipe import Metrics, Run


@dataclass(frozen=True)
class Directions:
    """Directions of w that carry the payload and the key's noise."""

    mean: np.ndarray  # (1536,)
    payload: np.ndarray  # (1536, d): one unit is one sd of w along it
    nuisance: np.ndarray  # (1536, m): all other directions


@dataclass(frozen=True)
class FloorFit:
    """Everything that is fitted before the posed renders are made."""

    step: PostureStep
    directions: Directions
    identity: dict[str, Tensor]  # state of IdentityMap


def payload_directions(
    fit: PostureFit, features_noise: np.ndarray, gain: np.ndarray, targets: np.ndarray, training: Training
) -> Directions:
    """The directions of the payload and all others.

    Args:
        features_noise: (D, D) covariance of E's embeddings of renders around J's prediction.
        gain: (1536, 54) K of the posture correction.
        targets: (N, 54) postures of training photos, which the correction brings in.
        training: its `dimension` is d; `amplitude` and `truncation` are the sds of w along the payload and along all
            other directions, in sds of the renders' w.
    """
    values, vectors = np.linalg.eigh(fit.covariance)
    kept = values > values.max() * 1e-4
    spread = vectors[:, kept] * np.sqrt(values[kept])  # L (1536, r)
    moved = fit.identity_rows @ gain  # E's change for each unit of posture (D, 54)
    noise = features_noise + moved @ np.cov(targets.T) @ moved.T
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    signal = whiten @ (fit.identity_rows - moved @ fit.rows) @ spread
    basis = np.linalg.svd(signal, full_matrices=True)[2].T  # (r, r)
    return Directions(
        mean=fit.latent_mean,
        payload=training.amplitude * spread @ basis[:, : training.dimension],
        nuisance=training.truncation * spread @ basis[:, training.dimension :],
    )


def fit_directions(
    training: Training, faces: Renders, face_features: np.ndarray, photos: LabelledPhotos, photo_features: np.ndarray
) -> FloorFit:
    """Posture correction, identity map and payload directions from mixed renders and training photos.

    Args:
        face_features: (N, D) raw embeddings of E of the renders. photo_features: the same of the photos.
    """
    postures = postures_of(faces.rotation, faces.blendshapes)
    fit, noise = fit_with_noise(faces.w, postures, face_features, training)
    gain = weighted_gain(fit, noise, training.posed_correction)
    targets = postures_of(photos.rotation, photos.blendshapes)
    return FloorFit(
        step=PostureStep(fit, gain, targets),
        directions=payload_directions(fit, noise, gain, targets, training),
        identity=identity_map(photo_features, photos.people, training.dimension, training.identity_shrink),
    )


def posed_styles(directions: Directions, step: PostureStep, rng: np.random.Generator, count: int) -> Samples:
    """Faces of `floor`: a random payload and noise, then a step towards the posture of a training photo."""
    dimension = directions.payload.shape[1]
    payload = rng.standard_normal((count, dimension))
    payload /= np.linalg.norm(payload, axis=1, keepdims=True)
    noise = rng.standard_normal((count, directions.nuisance.shape[1]))
    w = directions.mean + np.sqrt(dimension) * payload @ directions.payload.T + noise @ directions.nuisance.T
    chosen = torch.from_numpy(rng.integers(0, len(step.targets), count))
    moved = step.moved(torch.from_numpy(w).unflatten(1, (GROUPS, 512)), chosen)
    return Samples(moved.float().numpy(), payload.astype(np.float32))


def posed_sampler(run: Run) -> partial[Samples]:
    """Draws the renders that the reader is fitted on."""
    return partial(posed_styles, run.data.floor.directions, run.data.floor.step)


def check_posed(floor: FloorFit, posed: Renders, seed: int) -> None:
    """The reader must be fitted on renders whose payload lies along the directions of this fit.

    Raises:
        DataMissing: the cached renders were made with other settings.
    """
    again = posed_styles(floor.directions, floor.step, stream(seed, "posed 0"), SHARD)
    nearest = np.abs(again.w - posed.w[0]).max(axis=(1, 2)).min()  # faces that the landmarker missed are not cached
    if nearest > 1e-3:
        raise DataMissing(
            got="the posed renders in the cache were made with other training settings",
            mend="delete the folder renders-posed in the cache and run: python -m kfaar_core.train renders posed",
        )


def fit_reader(features: np.ndarray, payload: np.ndarray, share: float = 0.003) -> dict[str, Tensor]:
    """h of `floor`: ridge from E's embeddings of corrected renders (N, D) to their unit payload (N, d)."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    rows = ridge(features - mean, payload - payload.mean(axis=0), share)
    return {"reader.mean": torch.from_numpy(mean), "reader.map": torch.from_numpy(rows)}


def directions_state(directions: Directions) -> dict[str, Tensor]:
    """The float32 tensors that methods.floor loads."""
    return {
        "latent.mean": torch.from_numpy(directions.mean.astype(np.float32)),
        "payload": torch.from_numpy(directions.payload.astype(np.float32)),
        "nuisance": torch.from_numpy(directions.nuisance.astype(np.float32)),
    }


def reader_report(reader: dict[str, Tensor], features: np.ndarray, payload: np.ndarray) -> dict[str, float]:
    """Cosines between the payload and what h reads from unseen posed renders."""
    read = (features - reader["reader.mean"].numpy()) @ reader["reader.map"].numpy().T
    return cosine_report(read, payload, "payload")


def fit_floor(run: Run) -> Metrics:
    """Fit the linear method `floor`: identity map, payload directions, reader."""
    training, floor = run.training, run.data.floor
    posed = load_renders("posed", training.posed_shards)
    check_posed(floor, posed, training.seed)
    features = run.data.features(posed, "renders-posed")
    train = np.arange(len(features)) % 8 > 0  # one render in eight tests the reader
    reader = fit_reader(features[train], posed.payload[train], training.reader_ridge)
    state = {**floor.identity, **directions_state(floor.directions), **reader}
    metrics = reader_report(reader, features[~train], posed.payload[~train])
    halves = {name: tensor.half() for name, tensor in state.items()}
    return run.save("floor", halves, metrics, as_bytes=["nuisance"])
