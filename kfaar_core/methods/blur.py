"""The method `blur`: Gaussian blur of the face, the most widely used protection. No key, and nothing to read back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from kfaar_core.methods.base import Method
from kfaar_core.methods.obscured import obscured
from kfaar_core.stages.obscure import strength

SIGMA = 0.1  # standard deviation of the Gaussian, as a share of the face's width  [design]


def method(sigma: float) -> Method:
    """The method with this standard deviation, as a share of the face's width."""

    def change(pixels: np.ndarray, across: float) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma * across)))

    return obscured(
        "blur" if sigma == SIGMA else f"blur-{sigma:g}",
        f"blur ({sigma:g} of the face's width)",
        f"Gaussian blur of the face, standard deviation {sigma:g} of its width",
        20,
        change,
    )


METHOD = replace(
    method(SIGMA), variant=lambda text: method(strength(text, 0.005, 1)), argument="SIGMA, a share of the face's width"
)
