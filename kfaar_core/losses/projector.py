"""What P is trained for: the four losses of HPVFG and their weighted sum L_tot (Eq. 6-10, Section IV-B-3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from kfaar_core.losses.anonymity import anonymity
from kfaar_core.losses.differentiation import differentiation
from kfaar_core.losses.diversity import diversity
from kfaar_core.losses.synchronism import synchronism
from kfaar_core.losses.total import weighted_sum

TERMS = ("ano", "syn", "div", "dif")  # Eq. 6-9, as the paper writes them


@dataclass(frozen=True)
class Faces:
    """Features of R for N triplets (x1, x2 of one person, y of another), each with keys k1, k2; all (N, D).

    Where R looks is the caller's choice: at pictures of the generator, or through a network that stands for both.
    """

    x1: Tensor  # R(x1), the photo itself
    x1_k1: Tensor  # R(G(x1, k1))
    x2_k1: Tensor  # R(G(x2, k1))
    x1_k2: Tensor  # R(G(x1, k2))
    y_k1: Tensor  # R(G(y, k1))


def projector_terms(seen: Faces, margin: float) -> dict[str, Tensor]:
    """The unweighted losses by the names of TERMS, each 0-dim.

    Args:
        margin: m of L_cos, for the three that push apart.
    """
    return {
        "ano": anonymity(seen.x1_k1, seen.x1, margin),
        "syn": synchronism(seen.x1_k1, seen.x2_k1),
        "div": diversity(seen.x1_k1, seen.x1_k2, margin),
        "dif": differentiation(seen.x1_k1, seen.y_k1, margin),
    }


def projector_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_tot = lambda_ano L_ano + lambda_syn L_syn + lambda_div L_div + lambda_dif L_dif (Eq. 10).

    Args:
        terms: from `projector_terms`; what else is in it is not looked at.
        weights: lambda by the names of TERMS.
    Returns:
        0-dim.
    """
    return weighted_sum(terms, weights, TERMS)
