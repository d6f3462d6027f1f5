"""L_div: one photo under two keys becomes two virtual people (Eq. 8)."""

from __future__ import annotations

from torch import Tensor

from kfaar_core.losses.cosine import DIFFERENT, cosine_loss


def diversity(first_key: Tensor, second_key: Tensor, margin: float) -> Tensor:
    """L_div = L_cos(R(G(x1, k1)), R(G(x1, k2)), -1) (Eq. 8).

    Args:
        first_key, second_key: (N, D) features of R; row n of both is photo n.
        margin: m of L_cos.
    Returns:
        0-dim.
    """
    return cosine_loss(first_key, second_key, DIFFERENT, margin)
