"""The method `pixelate`: the face as a mosaic of large squares. No key, and nothing to read back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kfaar_core.methods.base import Method
from kfaar_core.methods.obscured import obscured
from kfaar_core.stages.obscure import strength
from kfaar_core.stages.pixelate import mosaic

BLOCKS = 8  # squares across the face's width  [design]


def method(blocks: float) -> Method:
    """The method with this number of squares across the face's width."""

    def change(pixels: np.ndarray, across: float) -> np.ndarray:
        height, width = pixels.shape[:2]
        return mosaic(pixels, *(max(1, round(length * blocks / across)) for length in (width, height)))

    return obscured(
        "pixelate" if blocks == BLOCKS else f"pixelate-{blocks:g}",
        f"pixelate ({blocks:g} squares across)",
        f"the face as a mosaic, {blocks:g} squares across its width",
        21,
        change,
    )


METHOD = replace(
    method(BLOCKS), variant=lambda text: method(strength(text, 1, 200)), argument="BLOCKS across the face's width"
)
