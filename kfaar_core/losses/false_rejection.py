"""What KVFA must take for one person: L_per1-2 and L_tot2 (Eq. 21-23, Section IV-C-3)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from kfaar_core.losses.cosine import SAME, cosine_loss
from kfaar_core.losses.total import weighted_sum

TERMS = ("per1", "per2")  # Eq. 21 and 22, as the paper writes them


def right_key(virtual: Tensor, original: Tensor) -> Tensor:
    """L_per1 = L_cos(I(G(x1, k1), k1), I(x1), 1) (Eq. 21).

    Args:
        virtual: (N, D) I(x_v, k1), made and read with k1.
        original: (N, D) I(x); row n belongs to photo n.
    Returns:
        0-dim.
    """
    return cosine_loss(virtual, original, SAME)


def other_photo(first: Tensor, second: Tensor) -> Tensor:
    """L_per2 = L_cos(I(G(x1, k1), k1), I(G(x2, k1), k1), 1) (Eq. 22).

    Args:
        first, second: (N, D) virtual faces of two photos of person n, made and read with key n.
    Returns:
        0-dim.
    """
    return cosine_loss(first, second, SAME)


def false_rejection_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot2 = lambda_per1 L_per1 + lambda_per2 L_per2 (Eq. 23), 0-dim; both by TERMS."""
    return weighted_sum(terms, weights, TERMS)
