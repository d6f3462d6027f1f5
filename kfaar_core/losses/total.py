"""The weighted sum that every total loss of the paper is (Eq. 10, 20, 23)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float], names: Iterable[str]) -> Tensor:
    """Sum of weight * term over the names, 0-dim; other terms and weights are not looked at.

    Args:
        terms: unweighted 0-dim losses.
        weights: lambda; 0 is an ablation.

    Raises:
        KeyError: a name without a term or without a weight; a forgotten weight must not become 1 or 0.
    """
    return torch.stack([weights[name] * terms[name] for name in names]).sum()
