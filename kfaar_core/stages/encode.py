"""Face encoders, E and the judge R: picture + landmarks -> embedding. First box of HPVFG: z = E(x) (Alg. 1, step 4).

The input of a face encoder is an aligned crop: five landmarks are mapped to a fixed template. Embeddings are centred
(by the mean over training people) before cosines are taken, because raw cosines between strangers are high for some
networks.
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

# Five points in a crop of 112 x 96 px (h x w), the template of SphereFace and of most face encoders since.
TEMPLATE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)
GREY = 128  # grey level of masked pixels


@dataclass(frozen=True)
class Alignment:
    """The crop that a face encoder expects."""

    size: tuple[int, int]  # px, width x height
    template: np.ndarray  # (5, 2) px, positions of the five points (stages.locate.five_points) in the crop

    def to_source(self, landmarks: np.ndarray) -> np.ndarray:
        """The (2, 3) similarity from px of the aligned crop to px of the picture, from its landmarks (478, 2 or 3)."""
        return image.similarity(self.template, five_points(landmarks))

    def outside(self, landmarks: np.ndarray) -> np.ndarray:
        """(h, w) bool, true outside the convex hull of landmarks (478, 2) in px of the aligned crop."""
        return image.hull_mask(landmarks, self.size) == 0


SFACE = Alignment(size=(112, 112), template=TEMPLATE + np.array([8, 0]))  # E's: 8 px more on either side
JUDGE = Alignment(size=(96, 112), template=TEMPLATE)
# The square of face-api around eyes and mouth: from the eyes to the mouth it is 0.45 of its side, and the mean of eyes
# and mouth is at half its width and 0.43 of its height.
_SIDE = 112
_EYES, _MOUTH = TEMPLATE[:2].mean(axis=0), TEMPLATE[3:].mean(axis=0)
_MIDDLE = (2 * _EYES + _MOUTH) / 3
_SCALE = 0.45 * _SIDE / float(_MOUTH[1] - _EYES[1])
ATTRIBUTES = Alignment((_SIDE, _SIDE), (TEMPLATE - _MIDDLE) * _SCALE + np.array([0.5, 0.43]) * _SIDE)
# The auxiliary encoder's. dlib aligns by other landmarks; this is the mean position of the five points in its crops.
DLIB = Alignment(
    size=(150, 150), template=np.array([[47.7, 47.4], [100.4, 47.3], [73.8, 81.3], [50.7, 105.3], [97.8, 105.3]])
)
# FaceNet's. It was trained on MTCNN's boxes with a margin, not on aligned faces; this is the mean position of the five
# points in such crops of the example photos (margin 14 px), made symmetrical.
FACENET = Alignment(size=(160, 160), template=np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]))


class FaceEncoder:
    """A face recognition network with its alignment and mean embedding: E, the auxiliary encoder, or the judge."""

    def __init__(self, net: nn.Module, alignment: Alignment, mean: Tensor, device: torch.device, flip: bool) -> None:
        """
        Args:
            net: (N, 3, h, w) in [-1, 1] -> (N, D).
            alignment: of the crops that `net` expects.
            mean: (D,) mean embedding over training people, subtracted before normalising.
            device: the network is moved there.
            flip: add the embedding of the mirrored crop.
        """
        self.alignment, self.device, self._flip = alignment, device, flip
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.net = net.eval().requires_grad_(False)
        self._mean = mean.to(device)

    def align(self, picture: np.ndarray, landmarks: np.ndarray, masked: bool = False) -> np.ndarray:
        """Crop a picture to the encoder's alignment.

        Args:
            picture: (H, W, 3) uint8.
            landmarks: (478, 2 or 3) px of the picture.
            masked: fill everything outside the face with grey, to remove hair, clothes and background.

        Returns:
            (h, w, 3) uint8.
        """
        to_source = self.alignment.to_source(landmarks)
        crop = image.warp(picture, to_source, self.alignment.size)
        if masked:
            crop[self.alignment.outside(image.apply(image.invert(to_source), landmarks[:, :2]))] = GREY
        return crop

    def embed_crops(self, crops: Tensor, skip_flip: bool = False) -> Tensor:
        """Embed aligned crops: (N, 3, h, w) in [-1, 1] -> (N, D), neither centred nor normalised.

        Args:
            skip_flip: double the embedding of the crop in place of embedding the mirrored crop too; halves the cost.
        """
        features = self.net(crops)
        if not self._flip:
            return features
        return 2 * features if skip_flip else features + self.net(crops.flip(-1))

    def embed_crops_normalised(self, crops: Tensor) -> Tensor:
        """Embed aligned crops: (N, 3, h, w) in [-1, 1] -> (N, D), centred, unit length."""
        return functional.normalize(self.embed_crops(crops) - self._mean, dim=1)

    @torch.inference_mode()
    def embed(self, picture: np.ndarray, landmarks: np.ndarray, masked: bool = False) -> np.ndarray:
        """Embed one picture: (D,) float32, neither centred nor normalised. Arguments as in `align`."""
        crop = image.to_float(self.align(picture, landmarks, masked))
        return self.embed_crops(crop.to(self.device))[0].cpu().numpy()

    @torch.inference_mode()
    def embed_normalised(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Embed one picture: (D,) float32, centred, unit length. Arguments as in `align`."""
        crop = image.to_float(self.align(picture, landmarks))
        return self.embed_crops_normalised(crop.to(self.device))[0].cpu().numpy()


class Encoder(Protocol):
    """Interface of E, implemented by FaceEncoder and EncoderPair."""

    def embed(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks (478, 2 or 3) in px -> (D,) float32, neither centred nor normalised."""


@dataclass(frozen=True)
class EncoderPair:
    """Two face encoders whose embeddings are concatenated. Their errors are only partly correlated."""

    main: FaceEncoder
    auxiliary: FaceEncoder

    def embed(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks (478, 2 or 3) px -> (D1 + D2,) float32, not centred, not normalised."""
        return np.concatenate([each.embed(picture, landmarks) for each in (self.main, self.auxiliary)])


def load_encoder(device: torch.device, mean: Tensor | None = None) -> FaceEncoder:
    """E of the preset `lab`: SFace, with the embedding of the mirrored crop added.

    Args:
        mean: (128,) mean embedding. None subtracts nothing; linear readers centre the embedding themselves.
    """
    net = SFace()
    net.load_state_dict(weights.load("sface"))
    return FaceEncoder(net, SFACE, torch.zeros(1) if mean is None else mean, device, flip=True)


def load_auxiliary_encoder(device: torch.device) -> FaceEncoder:
    """The auxiliary encoder: dlib's ResNet, with the embedding of the mirrored crop added."""
    net = DlibResnet()
    net.load_state_dict(weights.load("dlib_resnet"))
    return FaceEncoder(net, DLIB, torch.zeros(1), device, flip=True)


def widened(encoder: FaceEncoder) -> FaceEncoder:
    """E with its penultimate activations concatenated to the embedding (nets.sface). Shares E's network."""
    assert isinstance(encoder.net, SFace)
    return FaceEncoder(WideSFace(encoder.net), encoder.alignment, torch.zeros(1), encoder.device, flip=True)


def encoder_of(
    net: nn.Module, alignment: Alignment, state: Mapping[str, Tensor], device: torch.device, flip: bool
) -> FaceEncoder:
    """Build a face encoder from a state dict.

    Args:
        state: the tensors of `net`; or these under `net.` and `mean` (D,), the mean embedding.
    """
    inner = part(state, "net.") or {name: tensor.float() for name, tensor in state.items()}
    net.load_state_dict(inner)
    mean = state["mean"].float() if "mean" in state else torch.zeros(1)
    return FaceEncoder(net, alignment, mean, device, flip)
