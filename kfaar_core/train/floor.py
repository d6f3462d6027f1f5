"""Fit the linear floor: identity map, payload directions and reader, all in closed form.

python -m kfaar_core.train floor

Identity can only be read back from what the picture shows. With J (E's feature from w), the noise S of what J cannot
tell and the posture correction w -> w + K (y - A w), the payload goes into the directions z of w = mean + L z that
stand out most from that noise after correction: the leading right singular vectors of S^-1/2 J (I - K A) L.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kfaar_core.errors import DataMissing
from kfaar_core.runtime import stream
from kfaar_core.train.directions import Directions, PostureFit
from kfaar_core.train.identity import identity_map
from kfaar_core.train.photos import LabelledPhotos
from kfaar_core.train.posture import PostureStep, fit, gain, postures_of, ridge
from kfaar_core.train.renders import SHARD, Renders, posed_styles
from kfaar_core.train.settings import Correction, Training


def directions(
    found: PostureFit,
    features_noise: np.ndarray,
    gain: np.ndarray,
    targets: np.ndarray,
    dimension: int,
    amplitude: float,
    truncation: float,
) -> Directions:
    """
    Args:
        found: from train.posture.
        features_noise: (D, D) covariance of E's features of renders around the linear prediction.
        gain: (1536, 54) K of the posture correction.
        targets: (N, 54) postures of training photos, which the correction brings in.
        dimension: d.
        amplitude: sd of w along each payload direction, in sds of the renders' w.
        truncation: the same for all other directions.
    """
    values, vectors = np.linalg.eigh(found.covariance)
    kept = values > values.max() * 1e-4
    spread = vectors[:, kept] * np.sqrt(values[kept])  # L (1536, r)
    moved = found.identity_rows @ gain  # E's change for each unit of posture (D, 54)
    noise = features_noise + moved @ np.cov(targets.T) @ moved.T
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    signal = whiten @ (found.identity_rows - moved @ found.rows) @ spread
    basis = np.linalg.svd(signal, full_matrices=True)[2].T  # (r, r)
    return Directions(
        mean=found.latent_mean,
        payload=amplitude * spread @ basis[:, :dimension],
        nuisance=truncation * spread @ basis[:, dimension:],
    )


def fit_reader(features: np.ndarray, payload: np.ndarray, share: float = 0.003) -> dict[str, Tensor]:
    """h of the floor: ridge from E's features of corrected renders (N, D) to the unit payload (N, d) they carry."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    rows = ridge(features - mean, payload - payload.mean(axis=0), share)
    return {"reader.mean": torch.from_numpy(mean), "reader.map": torch.from_numpy(rows)}


def directions_state(found: Directions) -> dict[str, Tensor]:
    """What stages.project loads, as float32."""
    return {
        "latent.mean": torch.from_numpy(found.mean.astype(np.float32)),
        "payload": torch.from_numpy(found.payload.astype(np.float32)),
        "nuisance": torch.from_numpy(found.nuisance.astype(np.float32)),
    }


@dataclass(frozen=True)
class Fitted:
    """Everything that is fitted before the posed renders are made."""

    step: PostureStep  # that corrected renders take
    noise: np.ndarray  # (D, D) of E's features of renders around the linear prediction
    directions: Directions
    identity: dict[str, Tensor]


def priced_gain(found: PostureFit, noise: np.ndarray, price: Correction) -> np.ndarray:
    """The gain (1536, 54) of a correction; identity is counted in sds of what J cannot tell, so `keep` has no unit.

    Args:
        noise: (D, D) covariance of E's features of renders around the linear prediction.
    """
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    tolerance = np.full(54, price.shape_tolerance)
    tolerance[:3] = price.angle_tolerance
    # Fine styles hold colour and background; a correction that hardly moves them leaves the scene alone.
    reach = np.repeat(price.group_reach, found.rows.shape[1] // len(price.group_reach))
    covariance = found.covariance * np.outer(reach, reach)
    return gain(
        replace(found, identity_rows=whiten @ found.identity_rows, covariance=covariance), price.keep, tolerance
    )


def fit_posture(
    w: np.ndarray, postures: np.ndarray, features: np.ndarray, training: Training
) -> tuple[PostureFit, np.ndarray]:
    """The rows from w, and the (D, D) covariance of E's features around what the rows tell.

    Args:
        w: (N, 3, 512). postures: (N, 54). features: (N, D) raw of E.
    """
    found = fit(w, postures, features, training.latent_ridge)
    away = w.reshape(len(w), -1) - found.latent_mean
    return found, np.cov((features - features.mean(axis=0) - away @ found.identity_rows.T).T)


def fit_all(
    training: Training, faces: Renders, face_features: np.ndarray, photos: LabelledPhotos, photo_features: np.ndarray
) -> Fitted:
    """Posture rows, gain, identity map and payload directions from mixed renders and training photos.

    Args:
        face_features: (N, D) raw features of E of the renders. photo_features: the same of the photos.
    """
    found, noise = fit_posture(faces.w, postures_of(faces.rotation, faces.blendshapes), face_features, training)
    moves = priced_gain(found, noise, training.posed_correction)
    targets = postures_of(photos.rotation, photos.blendshapes)
    return Fitted(
        step=PostureStep(found, moves, targets),
        noise=noise,
        directions=directions(
            found, noise, moves, targets, training.dimension, training.amplitude, training.truncation
        ),
        identity=identity_map(photo_features, photos.people, training.dimension, training.identity_shrink),
    )


def check_posed(fitted: Fitted, posed: Renders, seed: int) -> None:
    """The reader must learn from renders that carry the payload where the projector will put it.

    Raises:
        DataMissing: the cached renders were made with other settings.
    """
    again = posed_styles(fitted.directions, fitted.step, stream(seed, "posed 0"), SHARD)
    nearest = np.abs(again.w - posed.w[0]).max(axis=(1, 2)).min()  # a face that the teacher missed is not in the cache
    if nearest > 1e-3:
        raise DataMissing(
            got="the posed renders in the cache were made with other training settings",
            mend="delete the folder renders-posed in the cache and run: python -m kfaar_core.train renders posed",
        )


def report(reader: dict[str, Tensor], features: np.ndarray, payload: np.ndarray) -> dict[str, float]:
    """How well h reads unseen posed renders: cosine with the payload."""
    read = (features - reader["reader.mean"].numpy()) @ reader["reader.map"].numpy().T
    cosines = (read * payload).sum(axis=1) / np.linalg.norm(read, axis=1) / np.linalg.norm(payload, axis=1)
    return {"n": len(cosines), "payload_cosine_mean": float(cosines.mean()), "payload_cosine_sd": float(cosines.std())}
