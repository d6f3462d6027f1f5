"""Fit the latent posture correction: which moves of w change pose and expression but not the identity.

python -m kfaar_core.train posture

With rows A (posture from w), J (E's feature from w), C = cov(w), all by ridge regression on labelled renders:
H = (C^-1 + lambda J^T J)^-1 prices a move, and the gain K = H A^T (A H A^T + R)^-1 is the cheapest move that changes
the posture by dy up to the tolerance R. With R = 0 this is the equality form; R keeps weakly controlled shapes from
costing a large move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kfaar_core.stages.correct import posture_vector
from kfaar_core.stages.geometry import euler_degrees
from kfaar_core.train.directions import PostureFit


@dataclass(frozen=True)
class PostureStep:
    """One step of posture correction, as every corrected render takes it."""

    fit: PostureFit
    gain: np.ndarray  # K (1536, 54)
    targets: np.ndarray  # (M, 54) postures of training photos

    def moved(self, w: Tensor, chosen: Tensor | None = None) -> Tensor:
        """w + K (y - A w), where y is the posture of a photo.

        Args:
            w: (N, 3, 512) latents, float32 or float64; gradients go through.
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
    """(m, p) rows that predict centred y (N, m) from centred x (N, p); the ridge is `share` of x's mean variance."""
    gram = x.T @ x / len(x)
    gram[np.diag_indices_from(gram)] += share * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, x.T @ y / len(x)).T


def fit(w: np.ndarray, postures: np.ndarray, features: np.ndarray, share: float = 0.03) -> PostureFit:
    """
    Args:
        w: (N, 3, 512) latents.
        postures: (N, 54) from the teacher.
        features: (N, D) raw features of E of the renders.
        share: ridge strength, chosen on held-out renders.
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


def gain(found: PostureFit, keep: float, tolerance: np.ndarray) -> np.ndarray:
    """K (1536, 54): the cheapest move for each unit of posture.

    Args:
        keep: lambda, how dear a change of identity is; in units of 1 / variance of E's features.
        tolerance: (54,) sd to which each entry of the posture must be met.
    """
    prior = found.covariance + 1e-4 * np.trace(found.covariance) / len(found.covariance) * np.eye(len(found.covariance))
    # Woodbury: H = C - C J^T (I / lambda + J C J^T)^-1 J C, a small inverse instead of a large one.
    cj = prior @ found.identity_rows.T  # (1536, D)
    inner = np.eye(cj.shape[1]) / keep + found.identity_rows @ cj
    ha = prior @ found.rows.T - cj @ np.linalg.solve(inner, cj.T @ found.rows.T)  # H A^T (1536, 54)
    return np.linalg.solve((found.rows @ ha + np.diag(tolerance**2)).T, ha.T).T


def report(found: PostureFit, gain: np.ndarray) -> dict[str, float]:
    """What a unit of asked posture brings, in the linear model: the share met, and the change of identity it costs."""
    met = np.diag(found.rows @ gain)
    cost = np.linalg.norm(found.identity_rows @ gain, axis=0)
    return {
        **{f"{name}_met": float(met[i]) for i, name in enumerate(("yaw", "pitch", "roll"))},
        "shapes_met_mean": float(met[3:].mean()),
        "identity_change_per_10_degrees": float(cost[:3].mean()),
        "identity_change_per_shape": float(cost[3:].mean()),
    }
