"""L_cos, the cosine embedding loss that every other loss is made of (Eq. 5, Section IV-B-3)."""

from __future__ import annotations

import torch
from torch import Tensor

SAME, DIFFERENT = 1, -1  # l of Eq. 5: what two features are to become, one identity or two
NO_DIRECTION = 1e-6  # a feature shorter than this points nowhere: its cosine is 0, its gradient stays finite


def directions(features: Tensor) -> Tensor:
    """(N, D) -> (N, D) of unit length, in float32 at least; what points nowhere keeps its length."""
    x = features.to(torch.promote_types(features.dtype, torch.float32))
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # (N, 1)
    return x / torch.where(length > NO_DIRECTION, length, torch.ones_like(length))


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """(N, D) and (N, D) features, floating point, of any length -> (N,) cosines in [-1, 1], row by row.

    Raises:
        ValueError: the shapes differ or are not (N, D) with N >= 1; broadcasting would hide a mistake.
    """
    if one.shape != other.shape or one.ndim != 2 or len(one) == 0:
        raise ValueError(f"two equal shapes (N, D) with N >= 1 are needed, not {(*one.shape,)} and {(*other.shape,)}")
    return (directions(one) * directions(other)).sum(dim=1)


def cosine_loss(one: Tensor, other: Tensor, label: int, margin: float = 0.0) -> Tensor:
    """L_cos (Eq. 5): 1 - cos for SAME, max(0, cos - m) for DIFFERENT, averaged over the batch.

    The text of Eq. 5 is damaged where we read it; this is the usual loss of that name. It is symmetric in the features.

    Args:
        one, other: (N, D) features, floating point, of any length.
        label: SAME or DIFFERENT.
        margin: m in [-1, 1), a cosine: features of two identities at most this alike cost nothing. The paper does not
            give it.
    Returns:
        0-dim, in [0, 2] for SAME and [0, 1 - m] for DIFFERENT.

    Raises:
        ValueError: another label, or shapes that `cosines` refuses.
    """
    if label not in (SAME, DIFFERENT):
        raise ValueError(f"the label is {SAME} (same) or {DIFFERENT} (different), not {label}")
    cosine = cosines(one, other)
    return (1 - cosine if label == SAME else (cosine - margin).clamp(min=0)).mean()
