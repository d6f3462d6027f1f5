"""What the closed forms over labelled renders find: rows from w, and directions of w."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PostureFit:
    """Ridge rows and covariance, from N labelled renders."""

    latent_mean: np.ndarray  # (1536,)
    posture_mean: np.ndarray  # (54,)
    rows: np.ndarray  # A (54, 1536)
    identity_rows: np.ndarray  # J (D, 1536)
    covariance: np.ndarray  # C (1536, 1536)


@dataclass(frozen=True)
class Directions:
    """Where the payload goes, in units of w."""

    mean: np.ndarray  # (1536,)
    payload: np.ndarray  # (1536, d): one unit is one sd of w along it
    nuisance: np.ndarray  # (1536, m): the rest
