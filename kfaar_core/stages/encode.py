"""Encoder E and judge R: portrait + landmarks -> face features. First box of HPVFG: z = E(x) (Alg. 1, step 4).

Both recognisers see an upright crop that five landmarks place on a fixed template. All cosines are of features centred
with a mean fitted on training people: raw cosines between strangers are high for some recognisers.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core import image
from kfaar_core.stages.detect import five_points

# dlib's frame, 150 px with a padding of 0.25: eye corners and the base of the nose (landmark numbers, then x, y in px).
DLIB_LANDMARKS = (263, 362, 33, 133, 2)
DLIB_TEMPLATE = 100 * np.array(
    [
        [1.1095675, 0.4634982],
        [0.8960605, 0.4789674],
        [0.3705751, 0.4637275],
        [0.5840851, 0.4790640],
        [0.7401123, 0.8777976],
    ]
)
# The judge's frame, 112 x 96 px (h x w): the five points of its teacher's training crops.
JUDGE_TEMPLATE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)


@dataclass(frozen=True)
class Alignment:
    """How a recogniser wants its faces."""

    size: tuple[int, int]  # px, width x height
    template: np.ndarray  # (P, 2) px
    landmarks: tuple[int, ...] | None  # which of the 478; None: the five points of stages.detect

    def to_source(self, landmarks: np.ndarray) -> np.ndarray:
        """(2, 3) map from the aligned crop to the picture in which `landmarks` (478, 2+) are measured, in px."""
        points = five_points(landmarks) if self.landmarks is None else landmarks[list(self.landmarks), :2]
        return image.similarity(self.template, points)


DLIB = Alignment(size=(150, 150), template=DLIB_TEMPLATE, landmarks=DLIB_LANDMARKS)
JUDGE = Alignment(size=(96, 112), template=JUDGE_TEMPLATE, landmarks=None)


class Recogniser:
    """A face recogniser with its alignment and its training mean."""

    def __init__(self, net: nn.Module, alignment: Alignment, mean: Tensor, device: torch.device, flip: bool) -> None:
        """
        Args:
            net: (N, 3, h, w) in [-1, 1] -> (N, D).
            mean: (D,) mean feature over training people; subtracted before normalising.
            flip: add the feature of the mirrored crop.
        """
        self.alignment, self._flip = alignment, flip
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self._net = net.eval().requires_grad_(False)
        self._mean = mean.to(device)

    def mirrored(self) -> Recogniser:
        """The same network that adds the feature of the mirrored crop."""
        twin = copy(self)
        twin._flip = True
        return twin

    def align(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks (478, 2+) in px -> the aligned crop (h, w, 3) uint8."""
        return image.warp(picture, self.alignment.to_source(landmarks), self.alignment.size)

    def raw(self, crops: Tensor) -> Tensor:
        """(N, 3, h, w) aligned crops in [-1, 1] -> (N, D) features as the network gives them."""
        features = self._net(crops)
        return features + self._net(crops.flip(-1)) if self._flip else features

    def features(self, crops: Tensor) -> Tensor:
        """(N, 3, h, w) aligned crops in [-1, 1] -> (N, D) centred features of unit length."""
        return functional.normalize(self.raw(crops) - self._mean, dim=1)

    @torch.inference_mode()
    def raw_of(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32 as the network gives it."""
        crop = image.to_float(self.align(picture, landmarks))
        return self.raw(crop.to(self._mean.device))[0].cpu().numpy()

    @torch.inference_mode()
    def of(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32, centred, unit length."""
        crop = image.to_float(self.align(picture, landmarks))
        return self.features(crop.to(self._mean.device))[0].cpu().numpy()
