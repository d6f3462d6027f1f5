"""Fit the latent posture correction: changes of w that move pose and expression but not the identity.

python -m kfaar_core.train posture

Ridge regression on labelled renders gives the rows A (posture from w), J (E's embedding from w) and C = cov(w).
H = (C^-1 + lambda J^T J)^-1 weighs a change of w by how unlikely it is and how much identity it costs. The gain
K = H A^T (A H A^T + R)^-1 is the cheapest change that moves the posture by dy up to the tolerance R. R = 0 asks for
exactly dy; R > 0 keeps blendshapes that w hardly controls from causing large changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kfaar_core.stages.correct import posture_vector
from kfaar_core.stages.geometry import euler_degrees
from kfaar_core.train.settings import Correction, Training

if TYPE_CHECKING:
    from kfaar_core.train.recipe import Metrics, Run


@dataclass(frozen=True)
class PostureFit:
    """Regression rows and covariance over N labelled renders."""

    latent_mean: np.ndarray  # (1536,)
    posture_mean: np.ndarray  # (54,)
    rows: np.ndarray  # A (54, 1536)
    identity_rows: np.ndarray  # J (D, 1536)
    covariance: np.ndarray  # C (1536, 1536)


@dataclass(frozen=True)
class PostureStep:
    """One step of posture correction towards the posture of a training photo."""

    fit: PostureFit
    gain: np.ndarray  # K (1536, 54)
    targets: np.ndarray  # (M, 54) postures of training photos

    def moved(self, w: Tensor, chosen: Tensor | None = None) -> Tensor:
        """w + K (y - A w), where y is the posture of a photo.

        Args:
            w: (N, 3, 512) latents, float32 or float64; differentiable.
            chosen: (N,) int64 rows of the targets; None draws them from torch's global stream.

        Returns:
            (N, 3, 512), of w's dtype.
        """
        if chosen is None:
            chosen = torch.randint(len(self.targets), (len(w),))
        wanted = torch.from_numpy(self.targets)[chosen]
        fit = (self.fit.latent_mean, self.fit.posture_mean, self.fit.rows, self.gain)
        latent_mean, posture_mean, rows, gain = (torch.from_numpy(values).to(w.dtype) for values in fit)
        flat = w.flatten(1)  # (N, 1536)
        gap = wanted.to(w.dtype) - posture_mean - (flat - latent_mean) @ rows.T  # (N, 54)
        return (flat + gap @ gain.T).reshape(w.shape)


def postures_of(rotation: np.ndarray, blendshapes: np.ndarray) -> np.ndarray:
    """(N, 3, 3) and (N, 52) labels -> (N, 54) float64 posture vectors."""
    return posture_vector(euler_degrees(torch.from_numpy(rotation)).numpy(), blendshapes)


def ridge(x: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    """Ridge regression: (m, p) rows that predict centred y (N, m) from centred x (N, p).

    Args:
        share: the penalty, in shares of x's mean variance.
    """
    gram = x.T @ x / len(x)
    gram[np.diag_indices_from(gram)] += share * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, x.T @ y / len(x)).T


def fit_rows(w: np.ndarray, postures: np.ndarray, features: np.ndarray, share: float = 0.03) -> PostureFit:
    """A, J and C.

    Args:
        w: (N, 3, 512) latents.
        postures: (N, 54) labels.
        features: (N, D) raw embeddings of E.
        share: of the ridge penalty, chosen on held-out renders.
    """
    x = w.reshape(len(w), -1).astype(np.float64)
    mean = x.mean(axis=0)
    x = x - mean
    return PostureFit(
        latent_mean=mean,
        posture_mean=postures.mean(axis=0),
        rows=ridge(x, postures - postures.mean(axis=0), share),
        identity_rows=ridge(x, features - features.mean(axis=0), share),
        covariance=x.T @ x / len(x),
    )


def fit_with_noise(
    w: np.ndarray, postures: np.ndarray, features: np.ndarray, training: Training
) -> tuple[PostureFit, np.ndarray]:
    """A, J and C, and the (D, D) covariance of E's embeddings around J's prediction. Arguments as in fit_rows."""
    fit = fit_rows(w, postures, features, training.latent_ridge)
    centred = w.reshape(len(w), -1) - fit.latent_mean
    return fit, np.cov((features - features.mean(axis=0) - centred @ fit.identity_rows.T).T)


def gain(fit: PostureFit, keep: float, tolerance: np.ndarray) -> np.ndarray:
    """K (1536, 54): the cheapest change of w for each unit of posture.

    Args:
        keep: lambda, the weight of a change of identity, in units of 1 / variance of E's embedding.
        tolerance: (54,) sd to which each entry of the posture must be met.
    """
    prior = fit.covariance + 1e-4 * np.trace(fit.covariance) / len(fit.covariance) * np.eye(len(fit.covariance))
    # Woodbury: H = C - C J^T (I / lambda + J C J^T)^-1 J C, a small inverse instead of a large one.
    cj = prior @ fit.identity_rows.T  # (1536, D)
    inner = np.eye(cj.shape[1]) / keep + fit.identity_rows @ cj
    ha = prior @ fit.rows.T - cj @ np.linalg.solve(inner, cj.T @ fit.rows.T)  # H A^T (1536, 54)
    return np.linalg.solve((fit.rows @ ha + np.diag(tolerance**2)).T, ha.T).T


def weighted_gain(fit: PostureFit, noise: np.ndarray, correction: Correction) -> np.ndarray:
    """K (1536, 54) for one set of weights. Identity is measured in sds of the noise, so that `keep` has no unit.

    Args:
        noise: (D, D) covariance of E's embeddings around J's prediction.
    """
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    tolerance = np.full(54, correction.shape_tolerance)
    tolerance[:3] = correction.angle_tolerance
    # Fine styles hold colour and background; a correction that hardly moves them leaves the scene as it is.
    reach = np.repeat(correction.group_reach, fit.rows.shape[1] // len(correction.group_reach))
    covariance = fit.covariance * np.outer(reach, reach)
    whitened = replace(fit, identity_rows=whiten @ fit.identity_rows, covariance=covariance)
    return gain(whitened, correction.keep, tolerance)


def posture_report(fit: PostureFit, gain: np.ndarray) -> dict[str, float]:
    """In the linear model: the share of a requested change that is reached, and the change of identity it causes."""
    met = np.diag(fit.rows @ gain)
    cost = np.linalg.norm(fit.identity_rows @ gain, axis=0)
    return {
        **{f"{name}_met": float(met[i]) for i, name in enumerate(("yaw", "pitch", "roll"))},
        "shapes_met_mean": float(met[3:].mean()),
        "identity_change_per_10_degrees": float(cost[:3].mean()),
        "identity_change_per_shape": float(cost[3:].mean()),
    }


def fit_posture(run: Run) -> Metrics:
    """Fit the gain of the posture correction, and the rows that predict a posture from a latent.

    From mixed renders and from renders of P: far from the mean face the same change turns a head further. With a gain
    from mixed renders alone, one face of P in twelve ended more than six degrees away.
    """
    faces, features = run.data.correction_examples()
    w = np.concatenate([each.w for each in faces])
    postures = np.concatenate([postures_of(each.rotation, each.blendshapes) for each in faces])
    fit, noise = fit_with_noise(w, postures, np.concatenate(features), run.training)
    k = weighted_gain(fit, noise, run.training.correction)
    metrics = posture_report(fit, k)
    run.save("posture", {"gain": torch.from_numpy(k.astype(np.float32))}, metrics)
    return run.save("posture_rows", {"rows": torch.from_numpy(fit.rows.astype(np.float32))}, metrics)
