"""Natural coordinates v of W, in which the styles of random faces are nearly Gaussian (Zhu et al., arXiv 2012.09036).

The last layer of M ends in a leaky ReLU. Before it, styles are almost normally distributed. v whitens them: each
coordinate has unit variance, so |v| says how unusual a face is. P works in v to stay among the faces that the generator
renders well.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as StateDict

import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.nets.mobile_stylegan import SLOPE

GAIN = 2**0.5  # of M's activations


class NaturalSpace:
    """Maps between v (..., 512), about N(0, I) over random faces, axes sorted by variance, and w (..., 512)."""

    def __init__(self, state: StateDict[str, Tensor]) -> None:
        """
        Args:
            state: `natural.mean` (512,); `natural.basis` (512, 512), whose columns are the principal axes, each as
                long as its standard deviation.
        """
        self._mean, self._basis = state["natural.mean"].float(), state["natural.basis"].float()
        self._inverse = torch.linalg.inv(self._basis.double()).float()

    def to_w(self, v: Tensor) -> Tensor:
        """v (..., 512) -> w (..., 512), differentiable."""
        return GAIN * functional.leaky_relu(self._mean + v @ self._basis.T, SLOPE)

    def of_w(self, w: Tensor) -> Tensor:
        """w (..., 512) -> v (..., 512)."""
        before = w / GAIN
        before = torch.where(before < 0, before / SLOPE, before)
        return (before - self._mean) @ self._inverse.T


@torch.no_grad()  # not inference_mode: training computes with what this answers
def natural_state(mapping: Callable[[Tensor], Tensor], count: int = 40_000, seed: int = 0) -> dict[str, Tensor]:
    """The state of NaturalSpace: mean and principal axes of M's last layer over `count` random z."""
    z = torch.randn(count, 512, generator=torch.Generator().manual_seed(seed))
    w = torch.cat([mapping(part) for part in z.split(4096)]) / GAIN
    before = torch.where(w < 0, w / SLOPE, w).double()
    mean = before.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(before.T))
    basis = vectors.flip(1) * values.flip(0).clamp(min=1e-9).sqrt()
    return {"natural.mean": mean.float(), "natural.basis": basis.float()}
