"""Encoder E and judge R: portrait + landmarks -> face features. First box of HPVFG: z = E(x) (Alg. 1, step 4).

A face encoder sees an upright crop: five landmarks are aligned to a fixed template. Cosines are always of centred
features (the mean is fitted on training people), because raw cosines between strangers are high for some networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core import image, weights
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.nets.sface import SFace, WideSFace
from kfaar_core.stages.generate import part
from kfaar_core.stages.locate import five_points

# Five points in a crop of 112 x 96 px (h x w), as SphereFace placed them and most recognisers since; the judge's frame.
TEMPLATE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)
GREY = 128  # level beyond a masked face


@dataclass(frozen=True)
class Alignment:
    """The crop that a face encoder expects."""

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
# The auxiliary encoder's: where the five points lie on average in dlib's own frame, which other landmarks define.
DLIB = Alignment(
    size=(150, 150), template=np.array([[47.7, 47.4], [100.4, 47.3], [73.8, 81.3], [50.7, 105.3], [97.8, 105.3]])
)


class FaceEncoder:
    """A face recognition network with its alignment and its training mean: E, the auxiliary encoder, or the judge."""

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
            masked: grey outside the face, so that hair, clothes and background have no influence.
        """
        to_source = self.alignment.to_source(landmarks)
        crop = image.warp(picture, to_source, self.alignment.size)
        if masked:
            crop[self.alignment.outside(image.apply(image.invert(to_source), landmarks[:, :2]))] = GREY
        return crop

    def embed_crops(self, crops: Tensor, skip_flip: bool = False) -> Tensor:
        """(N, 3, h, w) aligned crops in [-1, 1] -> (N, D) features as the network gives them.

        Args:
            skip_flip: take the mirrored crop's feature to be that of the crop, for half the work.
        """
        features = self.net(crops)
        if not self._flip:
            return features
        return 2 * features if skip_flip else features + self.net(crops.flip(-1))

    def embed_crops_normalised(self, crops: Tensor) -> Tensor:
        """(N, 3, h, w) aligned crops in [-1, 1] -> (N, D) centred features of unit length."""
        return functional.normalize(self.embed_crops(crops) - self._mean, dim=1)

    @torch.inference_mode()
    def embed(self, picture: np.ndarray, landmarks: np.ndarray, masked: bool = False) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32 as the network gives it; `masked` as in align."""
        crop = image.to_float(self.align(picture, landmarks, masked))
        return self.embed_crops(crop.to(self.device))[0].cpu().numpy()

    @torch.inference_mode()
    def embed_normalised(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32, centred, unit length."""
        crop = image.to_float(self.align(picture, landmarks))
        return self.embed_crops_normalised(crop.to(self.device))[0].cpu().numpy()


class Encoder(Protocol):
    """E: what FaceEncoder and EncoderPair are."""

    def embed(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D,) float32 as the networks give it."""


@dataclass(frozen=True)
class EncoderPair:
    """E and an auxiliary encoder, concatenated: their errors are only partly correlated."""

    main: FaceEncoder
    auxiliary: FaceEncoder

    def embed(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks in px -> (D1 + D2,) float32, both as the networks give them."""
        return np.concatenate([each.embed(picture, landmarks) for each in (self.main, self.auxiliary)])


def load_encoder(device: torch.device, mean: Tensor | None = None) -> FaceEncoder:
    """E of the preset `lab`: SFace; the mirrored face counts as well.

    Args:
        mean: (128,) to centre by; None leaves features as they are, since linear readers centre them.
    """
    net = SFace()
    net.load_state_dict(weights.load("sface"))
    return FaceEncoder(net, SFACE, torch.zeros(1) if mean is None else mean, device, flip=True)


def load_auxiliary_encoder(device: torch.device) -> FaceEncoder:
    """The encoder beside E: dlib's; the mirrored face counts as well."""
    net = DlibResnet()
    net.load_state_dict(weights.load("dlib_resnet"))
    return FaceEncoder(net, DLIB, torch.zeros(1), device, flip=True)


def widened(encoder: FaceEncoder) -> FaceEncoder:
    """E's embedding concatenated with its penultimate activations (nets.sface); the network is shared."""
    assert isinstance(encoder.net, SFace)
    return FaceEncoder(WideSFace(encoder.net), encoder.alignment, torch.zeros(1), encoder.device, flip=True)


def encoder_of(
    net: nn.Module, alignment: Alignment, state: Mapping[str, Tensor], device: torch.device, flip: bool
) -> FaceEncoder:
    """A face encoder from its state: the network, under `net.` where a training mean stands beside it."""
    inner = part(state, "net.") or {name: tensor.float() for name, tensor in state.items()}
    net.load_state_dict(inner)
    mean = state["mean"].float() if "mean" in state else torch.zeros(1)
    return FaceEncoder(net, alignment, mean, device, flip)
