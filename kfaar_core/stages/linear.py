"""Linear read-outs of what the networks see: u of a photo (stages.project), h of a virtual face (stages.recognise)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def unit(x: np.ndarray) -> np.ndarray:
    """x / |x| along the last axis."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class LinearReader:
    """unit(W (s - mu)), s D numbers in a row of what it is given."""

    def __init__(self, state: Mapping[str, Tensor], name: str, first: int = 0) -> None:
        """
        Args:
            state: `<name>.mean` (D,), `<name>.map` (d, D).
            first: where in a sight those D numbers begin.
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
        """D: how many numbers of a sight count."""
        return len(self._mean)

    @property
    def dimension(self) -> int:
        """d."""
        return self._map.shape[0]

    def __call__(self, sight: np.ndarray) -> np.ndarray:
        """(..., S) -> (..., d) float64 of unit length."""
        return unit((sight[..., self._counts] - self._mean) @ self._map.T)

    def tensor(self, sight: Tensor) -> Tensor:
        """(N, S) -> (N, d) float32, not normalised; differentiable."""
        mean, rows = (torch.from_numpy(values).to(sight) for values in (self._mean, self._map))
        return (sight[:, self._counts] - mean) @ rows.T
