"""L_syn: two photos of a person under one key become one virtual person (Eq. 7)."""

from __future__ import annotations

from torch import Tensor

from kfaar_core.losses.cosine import SAME, cosine_loss


def synchronism(first_photo: Tensor, second_photo: Tensor) -> Tensor:
    """L_syn = L_cos(R(G(x1, k1)), R(G(x2, k1)), 1) (Eq. 7).

    Args:
        first_photo, second_photo: (N, D) features of R; row n of both is person n under key n.
    Returns:
        0-dim.
    """
    return cosine_loss(first_photo, second_photo, SAME)
