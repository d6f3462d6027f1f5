"""Linear read-outs of features: u of a photo (the identity), h of a virtual face (the code)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def unit(x: np.ndarray) -> np.ndarray:
    """x / |x| along the last axis: vectors of unit length."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class LinearReader:
    """A linear map with normalisation: unit(W (s - mu)), where s is a slice of D entries of a feature vector."""

    def __init__(self, state: Mapping[str, Tensor], name: str, first: int = 0) -> None:
        """
        Args:
            state: `<name>.mean` (D,), `<name>.map` (d, D).
            name: prefix of the two tensors.
            first: index of the slice's first entry in the feature vector.
        """
        self._counts = slice(first, first + len(state[f"{name}.mean"]))
        self._mean = state[f"{name}.mean"].double().numpy()
        self._map = state[f"{name}.map"].double().numpy()

    @property
    def mean(self) -> np.ndarray:
        """mu (D,) float64."""
        return self._mean

    @property
    def rows(self) -> np.ndarray:
        """W (d, D) float64."""
        return self._map

    @property
    def width(self) -> int:
        """D: the number of feature entries that are read."""
        return len(self._mean)

    @property
    def dimension(self) -> int:
        """d: the length of the output."""
        return self._map.shape[0]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(..., S) features -> (..., d) float64, unit length."""
        return unit((features[..., self._counts] - self._mean) @ self._map.T)

    def tensor(self, features: Tensor) -> Tensor:
        """(N, S) features -> (N, d) float32, not normalised, differentiable."""
        mean, rows = (torch.from_numpy(values).to(features) for values in (self._mean, self._map))
        return (features[:, self._counts] - mean) @ rows.T
