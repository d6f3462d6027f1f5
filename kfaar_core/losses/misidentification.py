"""What KVFA must not take for one person: L_pmis1-3 and L_tot1 (Eq. 17-20, Section IV-C-3)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from kfaar_core.losses.cosine import DIFFERENT, cosine_loss
from kfaar_core.losses.total import weighted_sum

TERMS = ("pmis1", "pmis2", "pmis3")  # Eq. 17-19, as the paper writes them


def without_key(virtual: Tensor, original: Tensor, margin: float) -> Tensor:
    """L_pmis1 = L_cos(I(G(x1, k1)), I(x1), -1) (Eq. 17); the label is damaged in our text, -1 is what it says in words.

    Args:
        virtual: (N, D) I(x_v), read without a key.
        original: (N, D) I(x); row n belongs to photo n.
        margin: m of L_cos.
    Returns:
        0-dim.
    """
    return cosine_loss(virtual, original, DIFFERENT, margin)


def wrong_key(virtual: Tensor, original: Tensor, margin: float) -> Tensor:
    """L_pmis2 = L_cos(I(G(x1, k1), k2), I(x1), -1) (Eq. 18).

    Args:
        virtual: (N, D) I(x_v, k2), made with k1 and read with k2.
        original: (N, D) I(x); row n belongs to photo n.
        margin: m of L_cos.
    Returns:
        0-dim.
    """
    return cosine_loss(virtual, original, DIFFERENT, margin)


def other_person(person: Tensor, stranger: Tensor, margin: float) -> Tensor:
    """L_pmis3 = L_cos(I(G(x, k1), k1), I(G(y, k1), k1), -1) (Eq. 19).

    Args:
        person, stranger: (N, D) I(x_v, k1) and I(y_v, k1), made and read with key n in row n.
        margin: m of L_cos.
    Returns:
        0-dim.
    """
    return cosine_loss(person, stranger, DIFFERENT, margin)


def misidentification_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot1 = lambda_pmis1 L_pmis1 + lambda_pmis2 L_pmis2 + lambda_pmis3 L_pmis3 (Eq. 20), 0-dim; both by TERMS."""
    return weighted_sum(terms, weights, TERMS)
