"""What KVFA is trained for: the five losses of I and their sum L_tot (Eq. 17-24, Section IV-C-3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from kfaar_core.losses import false_rejection, misidentification
from kfaar_core.losses.false_rejection import false_rejection_total, other_photo, right_key
from kfaar_core.losses.misidentification import misidentification_total, other_person, without_key, wrong_key

TERMS = (*misidentification.TERMS, *false_rejection.TERMS)


@dataclass(frozen=True)
class Readings:
    """What I reads for N triplets (x1, x2 of one person, y of another), each with keys k1, k2; all (N, D)."""

    x1: Tensor  # I(x1), the photo itself, which takes no key
    x1_none: Tensor  # I(G(x1, k1)), without a key
    x1_k2: Tensor  # I(G(x1, k1), k2), the wrong key
    x1_k1: Tensor  # I(G(x1, k1), k1), the right key, as in the two below
    x2_k1: Tensor  # I(G(x2, k1), k1)
    y_k1: Tensor  # I(G(y, k1), k1)


def recogniser_terms(read: Readings, margin: float) -> dict[str, Tensor]:
    """The unweighted losses by the names of TERMS (Eq. 17-19, 21, 22), each 0-dim.

    Args:
        margin: m of L_cos, for the three that push apart.
    """
    return {
        "pmis1": without_key(read.x1_none, read.x1, margin),
        "pmis2": wrong_key(read.x1_k2, read.x1, margin),
        "pmis3": other_person(read.x1_k1, read.y_k1, margin),
        "per1": right_key(read.x1_k1, read.x1),
        "per2": other_photo(read.x1_k1, read.x2_k1),
    }


def recogniser_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot = L_tot1 + L_tot2 (Eq. 24).

    Args:
        terms: from `recogniser_terms`; what else is in it is not looked at.
        weights: lambda by the names of TERMS.
    Returns:
        0-dim.
    """
    return misidentification_total(terms, weights) + false_rejection_total(terms, weights)
