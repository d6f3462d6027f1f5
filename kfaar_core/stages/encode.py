"""Encoder E and judge R: portrait + landmarks -> face features. First box of HPVFG: z = E(x) (Alg. 1, step 4).

Both recognisers see an upright crop that five landmarks place on a fixed template. All cosines are of features centred
with a mean fitted on training people: raw cosines between strangers are high for some recognisers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core import image
from kfaar_core.stages.detect import five_points

# Five points in a crop of 112 x 96 px (h x w), as SphereFace placed them and most recognisers since; the judge's frame.
TEMPLATE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)
GREY = 128  # level beyond a masked face


@dataclass(frozen=True)
class Alignment:
    """How a recogniser wants its faces."""

    size: tuple[int, int]  # px, width x height
    template: np.ndarray  # (5, 2) px, where the five points of stages.detect shall lie

    def to_source(self, landmarks: np.ndarray) -> np.ndarray:
        """(2, 3) map from the aligned crop to the picture in which `landmarks` (478, 2+) are measured, in px."""
        return image.similarity(self.template, five_points(landmarks))

    def outside(self, landmarks: np.ndarray) -> np.ndarray:
        """(h, w) bool, true beyond the hull of landmarks (478, 2) in px of the aligned crop."""
        return image.hull_mask(landmarks, self.size) == 0


SFACE = Alignment(size=(112, 112), template=TEMPLATE + np.array([8, 0]))  # E's: 8 px more on either side
JUDGE = Alignment(size=(96, 112), template=TEMPLATE)
# The second recogniser's: where the five points lie on average in dlib's own frame, which other landmarks define.
DLIB = Alignment(
    size=(150, 150), template=np.array([[47.7, 47.4], [100.4, 47.3], [73.8, 81.3], [50.7, 105.3], [97.8, 105.3]])
)


class Recogniser:
    """A face recogniser with its alignment and its training mean."""

    def __init__(self, net: nn.Module, alignment: Alignment, mean: Tensor, device: torch.device, flip: bool) -> None:
        """
        Args:
            net: (N, 3, h, w) in [-1, 1] -> (N, D).
            mean: (D,) mean feature over training people; subtracted before normalising.
            flip: add the feature of the mirrored crop.
        """
        self.alignment, self.device, self._flip = alignment, device, flip
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.net = net.eval().requires_grad_(False)
        self._mean = mean.to(device)

    def align(self, picture: np.ndarray, landmarks: np.ndarray, masked: bool = False) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks (478, 2+) in px -> the aligned crop (h, w, 3) uint8.

        Args:
            masked: grey beyond the face, so that hair, clothes and background count for nothing.
        """
        to_source = self.alignment.to_source(landmarks)
        crop = image.warp(picture, to_source, self.alignment.size)
        if masked:
            crop[self.alignment.outside(image.apply(image.invert(to_source), landmarks[:, :2]))] = GREY
        return crop

    def raw(self, crops: Tensor, halved: bool = False) -> Tensor:
        """(N, 3, h, w) aligned crops in [-1, 1] -> (N, D) features as the network gives them.

        Args:
            halved: where the mirrored crop counts, take its feature to be that of the crop, for half the work.
        """
        features = self.net(crops)
        if not self._flip:
            return features
        return 2 * features if halved else features + self.net(crops.flip(-1))

    def features(self, crops: Tensor) -> Tensor:
        """(N, 3, h, w) aligned crops in [-1, 1] -> (N, D) centred features of unit length."""
        return functional.normalize(self.raw(crops) - self._mean, dim=1)

    @torch.inference_mode()
    def raw_of(self, picture: np.ndarray, landmarks: np.ndarray, masked: bool = False) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32 as the network gives it; `masked` as in align."""
        crop = image.to_float(self.align(picture, landmarks, masked))
        return self.raw(crop.to(self.device))[0].cpu().numpy()

    @torch.inference_mode()
    def of(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32, centred, unit length."""
        crop = image.to_float(self.align(picture, landmarks))
        return self.features(crop.to(self.device))[0].cpu().numpy()


class Encoder(Protocol):
    """E: what Recogniser and EncoderPair are."""

    def raw_of(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32 as the networks give it."""


@dataclass(frozen=True)
class EncoderPair:
    """E and a second recogniser, one behind the other: their errors about a person are partly others."""

    first: Recogniser
    second: Recogniser

    def raw_of(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D1 + D2,) float32, both as the networks give them."""
        return np.concatenate([each.raw_of(picture, landmarks) for each in (self.first, self.second)])
