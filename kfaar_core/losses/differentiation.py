"""L_dif: two people under one key become two virtual people (Eq. 9)."""

from __future__ import annotations

from torch import Tensor

from kfaar_core.losses.cosine import DIFFERENT, cosine_loss


def differentiation(person: Tensor, stranger: Tensor, margin: float) -> Tensor:
    """L_dif = L_cos(R(G(x, k1)), R(G(y, k1)), -1) (Eq. 9).

    Args:
        person, stranger: (N, D) features of R; row n of both is under key n.
        margin: m of L_cos.
    Returns:
        0-dim.
    """
    return cosine_loss(person, stranger, DIFFERENT, margin)
