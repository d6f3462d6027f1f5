"""The method `mask`: the face is painted over in one grey. No key, nothing to read back."""

from __future__ import annotations

import numpy as np

from kfaar_core.methods.base import Method, MethodNetworks, SharedStages
from kfaar_core.stages.encode import GREY
from kfaar_core.stages.obscure import HullEditor


def change(pixels: np.ndarray, across: float) -> np.ndarray:
    """One grey everywhere."""
    return np.full_like(pixels, GREY)


def build(shared: SharedStages) -> MethodNetworks:
    """Only E, which no step needs but the comparison of photos does."""
    return MethodNetworks(encoder=shared.encoder, editor=HullEditor(change))


METHOD = Method(
    name="mask",
    label="mask (grey)",
    about="the face painted over in one grey; no key",
    order=22,
    build=build,
    keyed=False,
    readable=False,
    corrects_posture=False,
    in_place=True,
)
