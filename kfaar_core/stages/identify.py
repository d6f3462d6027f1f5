"""KVFA's parts that methods share: F, I(x), and the comparison of Alg. 2 (Section IV-C-2).

A method's Identifier turns features of pictures into identities that can be compared by cosine. What is true of one
method alone stands in its file in kfaar_core/methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core import image
from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.records import Verdict
from kfaar_core.stages.encode import Encoder, FaceEncoder
from kfaar_core.stages.face_view import MeanFace
from kfaar_core.stages.generate import part
from kfaar_core.stages.linear import LinearReader


class IdentityMap(LinearReader):
    """u = unit(W (E(x) - mu)): the identity of a photo in d dimensions, and I(x) of every method here.

    mu is the mean feature over training people; d bounds the security of methods whose key is a rotation.
    """

    def __init__(self, state: Mapping[str, Tensor], first: int = 0) -> None:
        """
        Args:
            state: `identity.mean` (D,), `identity.map` (d, D), D numbers of an encoder's raw feature.
            first: where in a feature vector they begin.
        """
        super().__init__(state, "identity", first)


def reader_net(state: Mapping[str, Tensor]) -> ReaderNet:
    """F of its state, float16 or float32, in evaluation mode."""
    hidden, axes = state["hidden.0.weight"].shape
    textures = state["texture_axes"].shape[1]
    net = ReaderNet(len(state["last.bias"]), textures, axes - textures, hidden)
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return net.eval().requires_grad_(False)


class FaceReader:
    """F: reads a face's styles and code; where E looks as well, E's embedding of the face alone comes first."""

    def __init__(self, state: Mapping[str, Tensor], device: torch.device, encoder: FaceEncoder | None = None) -> None:
        """
        Args:
            state: `net.*` of ReaderNet.
            encoder: E, if it embeds the face alone as well (grey outside), so that identity must show in the face.
        """
        self.net, self._device = reader_net(part(state, "net.")).to(device), device
        self._encoder = encoder
        self._face = MeanFace(self.net.mean_shape.cpu().numpy())

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 and its landmarks (478, 2+) in px -> (96 + d,) float32, or (D + 96 + d,) where E looks."""
        view = self._face.view(picture, landmarks)
        texture, shape = image.to_float(view.texture), torch.from_numpy(view.shape)[None]
        read = self.net(texture.to(self._device), shape.to(self._device))[0].float().cpu().numpy()
        if self._encoder is None:
            return read
        return np.concatenate([self._encoder.embed(picture, landmarks, masked=True), read])


def features_of(encoder: Encoder, reader: FaceReader | None, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What KVFA reads from a face: (S,) float32 from (H, W, 3) uint8 and landmarks (478, 2+) in its px.

    E's raw feature, which says who a photo shows, then what FaceReader reads of a virtual face.
    """
    embedding = encoder.embed(picture, landmarks)
    return embedding if reader is None else np.concatenate([embedding, reader(picture, landmarks)])


class Identifier(Protocol):
    """I: features of pictures (features_of) -> identities that can be compared by cosine."""

    @property
    def dimension(self) -> int:
        """d."""

    def original(self, features: np.ndarray) -> np.ndarray:
        """I(x): (..., S) -> (..., d), no key."""

    def virtual(self, features: np.ndarray, key: UserKey) -> np.ndarray:
        """I(x_v, k): (..., S) -> (..., d)."""

    def keyless(self, features: np.ndarray) -> np.ndarray:
        """I(x_v): (R, d), every read-out open to someone without a key (Eq. 11)."""


class RotationIdentifier:
    """I(x) = u, and I(x_v, k) = O_k^T h(x_v): the code of x_v, rotated back by the key.

    Only normalisation follows O_k^T, so that a wrong key leaves a random direction: its cosine with I(x) follows the
    law of a random direction in d dimensions, whatever h has learned.
    """

    def __init__(self, identity: IdentityMap, reader: Callable[[np.ndarray], np.ndarray]) -> None:
        """reader: h, (..., S) -> (..., d) of unit length."""
        self._identity, self._reader = identity, reader

    @property
    def dimension(self) -> int:
        return self._identity.dimension

    def original(self, features: np.ndarray) -> np.ndarray:
        return self._identity(features)

    def virtual(self, features: np.ndarray, key: UserKey) -> np.ndarray:
        return self._reader(features) @ rotation(key, self.dimension)  # rows times O_k: O_k^T applied to each

    def keyless(self, features: np.ndarray) -> np.ndarray:
        """As a photo, and the code itself."""
        return np.stack([self.original(features), self._reader(features)])


def compare(
    identifier: Identifier,
    virtual: np.ndarray,
    original: np.ndarray,
    key: UserKey | None,
    threshold: float,
) -> Verdict:
    """Compare a virtual face with an original one; Condition 1 without a key, Condition 2 with one (Alg. 2).

    Args:
        virtual, original: (S,) features.
        key: None compares the most similar of the key-less read-outs.
    """
    reference = identifier.original(original)
    if key is None:
        cosine = float(np.max(identifier.keyless(virtual) @ reference))
        compared = "I(x) with I(x_v), no key"
    else:
        cosine = float(identifier.virtual(virtual, key) @ reference)
        compared = "I(x) with I(x_v, k)"
    return Verdict(
        cosine=cosine,
        threshold=threshold,
        same_person=cosine >= threshold,
        dimension=identifier.dimension,
        compared=compared,
        key_used=key is not None,
    )
