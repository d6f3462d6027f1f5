"""Frechet distance between two sets of features (Table V; the paper's FID is this distance on Inception's features)."""

from __future__ import annotations

import numpy as np

from kfaar_core.errors import DataMissing


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance of two normal distributions with the sets' means and covariances (Dowson and Landau, 1982).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); 0 for equal sets, lower is nearer. With few faces it is biased
    upwards: compare it with the distance of two real sets of the same size.

    Args:
        first, second: (N, D) and (M, D) features, N and M at least 2.

    Raises:
        DataMissing: fewer than two faces, or features of different lengths.
    """
    a, b = (np.asarray(features, dtype=np.float64) for features in (first, second))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise DataMissing(got=f"features of shapes {a.shape} and {b.shape}", mend="give two faces or more on each side")
    x, y = (_root(features) for features in (a, b))
    gap = float(np.square(a.mean(axis=0) - b.mean(axis=0)).sum())
    # The singular values of x y^T are the square roots of the eigenvalues of C1 C2.
    shared = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return max(0.0, gap + float(np.square(x).sum() + np.square(y).sum()) - 2 * shared)


def _root(features: np.ndarray) -> np.ndarray:
    """A matrix x with x^T x = the covariance of the features (N, D), of at most D rows."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return centred if len(centred) <= centred.shape[1] else np.linalg.qr(centred)[1]
