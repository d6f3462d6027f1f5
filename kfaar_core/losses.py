"""The losses of the paper: L_cos (Eq. 5), those of P (Eq. 6-10) and those of KVFA (Eq. 17-24).

All features are (N, D) floating point, not necessarily normalised; row n of each belongs to triplet n. Each loss is a
0-dim tensor without a weight. `margin` is m of L_cos. The caller computes the features, from rendered pictures or by a
surrogate network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

SAME, DIFFERENT = 1, -1  # label l of Eq. 5: two features of one identity, or of two
NO_DIRECTION = 1e-6  # a feature shorter than this is not normalised: its cosine is about 0, its gradient finite

# The names of the losses, as the paper writes them.
PROJECTOR_TERMS = ("ano", "syn", "div", "dif")  # Eq. 6-9
MISIDENTIFICATION_TERMS = ("pmis1", "pmis2", "pmis3")  # Eq. 17-19
FALSE_REJECTION_TERMS = ("per1", "per2")  # Eq. 21 and 22
KVFA_TERMS = (*MISIDENTIFICATION_TERMS, *FALSE_REJECTION_TERMS)


def directions(features: Tensor) -> Tensor:
    """Normalise features (N, D) to unit length, in float32 at least. Features shorter than NO_DIRECTION are kept."""
    x = features.to(torch.promote_types(features.dtype, torch.float32))
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # (N, 1)
    return x / torch.where(length > NO_DIRECTION, length, torch.ones_like(length))


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """(N, D) and (N, D) features -> (N,) cosines in [-1, 1], row by row.

    Raises:
        ValueError: the shapes differ or are not (N, D) with N >= 1; broadcasting would hide a mistake.
    """
    if one.shape != other.shape or one.ndim != 2 or len(one) == 0:
        raise ValueError(f"two equal shapes (N, D) with N >= 1 are needed, not {(*one.shape,)} and {(*other.shape,)}")
    return (directions(one) * directions(other)).sum(dim=1)


def cosine_loss(one: Tensor, other: Tensor, label: int, margin: float = 0.0) -> Tensor:
    """L_cos (Eq. 5): 1 - cos for SAME, max(0, cos - m) for DIFFERENT, averaged over the batch.

    Eq. 5 is illegible in our copy of the paper; this is the usual loss of that name. It is symmetric in the features.

    Args:
        label: SAME or DIFFERENT.
        margin: m in [-1, 1); cosines of DIFFERENT features up to m cost nothing. The paper does not give its value.

    Returns:
        0-dim, in [0, 2] for SAME and [0, 1 - m] for DIFFERENT.

    Raises:
        ValueError: another label, or shapes that `cosines` refuses.
    """
    if label not in (SAME, DIFFERENT):
        raise ValueError(f"the label is {SAME} (same) or {DIFFERENT} (different), not {label}")
    cosine = cosines(one, other)
    return (1 - cosine if label == SAME else (cosine - margin).clamp(min=0)).mean()


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float], names: Iterable[str]) -> Tensor:
    """Sum of weight * term over `names`, 0-dim. Other terms and weights are ignored.

    Args:
        terms: name -> loss, 0-dim.
        weights: name -> lambda; 0 for an ablation.
        names: of the terms to add.

    Raises:
        KeyError: a name without a term or without a weight; a missing weight is never taken for 1 or 0.
    """
    return torch.stack([weights[name] * terms[name] for name in names]).sum()


# ---- P (Section IV-B-3)


def anonymity(virtual: Tensor, original: Tensor, margin: float) -> Tensor:
    """L_ano = L_cos(R(G(x1, k1)), R(x1), -1) (Eq. 6): a virtual face is not the person of the photo.

    The label is illegible in our copy of the paper; -1 follows from its sentence.
    """
    return cosine_loss(virtual, original, DIFFERENT, margin)


def synchronism(first_photo: Tensor, second_photo: Tensor) -> Tensor:
    """L_syn = L_cos(R(G(x1, k1)), R(G(x2, k1)), 1) (Eq. 7): two photos under one key become one virtual person."""
    return cosine_loss(first_photo, second_photo, SAME)


def diversity(first_key: Tensor, second_key: Tensor, margin: float) -> Tensor:
    """L_div = L_cos(R(G(x1, k1)), R(G(x1, k2)), -1) (Eq. 8): one photo under two keys becomes two virtual people."""
    return cosine_loss(first_key, second_key, DIFFERENT, margin)


def differentiation(person: Tensor, stranger: Tensor, margin: float) -> Tensor:
    """L_dif = L_cos(R(G(x, k1)), R(G(y, k1)), -1) (Eq. 9): two people under one key become two virtual people."""
    return cosine_loss(person, stranger, DIFFERENT, margin)


@dataclass(frozen=True)
class Faces:
    """Features of R for N triplets (x1, x2 of one person, y of another), each with keys k1, k2; all (N, D)."""

    x1: Tensor  # R(x1), the photo itself
    x1_k1: Tensor  # R(G(x1, k1))
    x2_k1: Tensor  # R(G(x2, k1))
    x1_k2: Tensor  # R(G(x1, k2))
    y_k1: Tensor  # R(G(y, k1))


def projector_terms(faces: Faces, margin: float) -> dict[str, Tensor]:
    """The losses of P (Section IV-B-3), by the names of PROJECTOR_TERMS."""
    return {
        "ano": anonymity(faces.x1_k1, faces.x1, margin),
        "syn": synchronism(faces.x1_k1, faces.x2_k1),
        "div": diversity(faces.x1_k1, faces.x1_k2, margin),
        "dif": differentiation(faces.x1_k1, faces.y_k1, margin),
    }


def projector_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot = lambda_ano L_ano + lambda_syn L_syn + lambda_div L_div + lambda_dif L_dif (Eq. 10)."""
    return weighted_sum(terms, weights, PROJECTOR_TERMS)


# ---- KVFA (Section IV-C-3)


def without_key(virtual: Tensor, original: Tensor, margin: float) -> Tensor:
    """L_pmis1 = L_cos(I(G(x1, k1)), I(x1), -1) (Eq. 17): without a key, a virtual face is not the person.

    The label is illegible in our copy of the paper; -1 follows from its sentence.
    """
    return cosine_loss(virtual, original, DIFFERENT, margin)


def wrong_key(virtual: Tensor, original: Tensor, margin: float) -> Tensor:
    """L_pmis2 = L_cos(I(G(x1, k1), k2), I(x1), -1) (Eq. 18): with a wrong key, a virtual face is not the person."""
    return cosine_loss(virtual, original, DIFFERENT, margin)


def other_person(person: Tensor, stranger: Tensor, margin: float) -> Tensor:
    """L_pmis3 = L_cos(I(G(x, k1), k1), I(G(y, k1), k1), -1) (Eq. 19): with the right key, two people stay two."""
    return cosine_loss(person, stranger, DIFFERENT, margin)


def misidentification_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot1 = lambda_pmis1 L_pmis1 + lambda_pmis2 L_pmis2 + lambda_pmis3 L_pmis3 (Eq. 20)."""
    return weighted_sum(terms, weights, MISIDENTIFICATION_TERMS)


def right_key(virtual: Tensor, original: Tensor) -> Tensor:
    """L_per1 = L_cos(I(G(x1, k1), k1), I(x1), 1) (Eq. 21): with the right key a virtual face is the person."""
    return cosine_loss(virtual, original, SAME)


def other_photo(first: Tensor, second: Tensor) -> Tensor:
    """L_per2 = L_cos(I(G(x1, k1), k1), I(G(x2, k1), k1), 1) (Eq. 22): so are the virtual faces of two photos."""
    return cosine_loss(first, second, SAME)


def false_rejection_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot2 = lambda_per1 L_per1 + lambda_per2 L_per2 (Eq. 23)."""
    return weighted_sum(terms, weights, FALSE_REJECTION_TERMS)


@dataclass(frozen=True)
class Identities:
    """Identities by I for N triplets (x1, x2 of one person, y of another), each with keys k1, k2; all (N, D)."""

    x1: Tensor  # I(x1), the photo itself, which takes no key
    x1_none: Tensor  # I(G(x1, k1)), without a key
    x1_k2: Tensor  # I(G(x1, k1), k2), the wrong key
    x1_k1: Tensor  # I(G(x1, k1), k1), the right key, as in the two below
    x2_k1: Tensor  # I(G(x2, k1), k1)
    y_k1: Tensor  # I(G(y, k1), k1)


def kvfa_terms(identity: Identities, margin: float) -> dict[str, Tensor]:
    """The losses of KVFA (Section IV-C-3), by the names of KVFA_TERMS."""
    return {
        "pmis1": without_key(identity.x1_none, identity.x1, margin),
        "pmis2": wrong_key(identity.x1_k2, identity.x1, margin),
        "pmis3": other_person(identity.x1_k1, identity.y_k1, margin),
        "per1": right_key(identity.x1_k1, identity.x1),
        "per2": other_photo(identity.x1_k1, identity.x2_k1),
    }


def kvfa_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot = L_tot1 + L_tot2 (Eq. 24)."""
    return misidentification_total(terms, weights) + false_rejection_total(terms, weights)
