"""The method `mask`: the face is painted over in one grey. No key, and nothing to read back."""

from __future__ import annotations

import numpy as np

from kfaar_core.methods.obscured import obscured
from kfaar_core.stages.encode import GREY


def change(pixels: np.ndarray, across: float) -> np.ndarray:
    """One grey everywhere."""
    return np.full_like(pixels, GREY)


METHOD = obscured("mask", "mask (grey)", "the face painted over in one grey", 22, change)
