"""L_ano: a virtual face is not the person of the photo (Eq. 6)."""

from __future__ import annotations

from torch import Tensor

from kfaar_core.losses.cosine import DIFFERENT, cosine_loss


def anonymity(virtual: Tensor, original: Tensor, margin: float) -> Tensor:
    """L_ano = L_cos(R(G(x1, k1)), R(x1), -1) (Eq. 6); the label is damaged in our text, -1 is what the sentence says.

    Args:
        virtual, original: (N, D) features of R; row n of both belongs to photo n.
        margin: m of L_cos.
    Returns:
        0-dim.
    """
    return cosine_loss(virtual, original, DIFFERENT, margin)
