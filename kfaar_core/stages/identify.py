"""The parts of KVFA that methods share: reader F, identity I(x), and the comparison of Alg. 2 (Section IV-C-2).

A method's Identifier maps features of pictures to identity vectors that are compared by cosine. The identifiers of
single methods are in kfaar_core/methods.
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
    """u = unit(W (E(x) - mu)): the identity vector of a photo, (d,). It is I(x) of every method here.

    mu is the mean embedding over training people. d bounds the security of methods whose key is a rotation.
    """

    def __init__(self, state: Mapping[str, Tensor], first: int = 0) -> None:
        """
        Args:
            state: `identity.mean` (D,) and `identity.map` (d, D), where D is the length of the embedding.
            first: index of the embedding's first entry in a feature vector.
        """
        super().__init__(state, "identity", first)


def reader_net(state: Mapping[str, Tensor]) -> ReaderNet:
    """The network of the reader F from its state dict (float16 or float32), in evaluation mode."""
    hidden, axes = state["hidden.0.weight"].shape
    textures = state["texture_axes"].shape[1]
    net = ReaderNet(len(state["last.bias"]), textures, axes - textures, hidden)
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return net.eval().requires_grad_(False)


class FaceReader:
    """Reader F: predicts styles and code of a virtual face. E's embedding of the masked face may precede them."""

    def __init__(self, state: Mapping[str, Tensor], device: torch.device, encoder: FaceEncoder | None = None) -> None:
        """
        Args:
            state: `net.*` of ReaderNet.
            device: F is moved there.
            encoder: E, to embed the masked face as well (grey outside the face); None leaves that out.
        """
        self.net, self._device = reader_net(part(state, "net.")).to(device), device
        self._encoder = encoder
        self._face = MeanFace(self.net.mean_shape.cpu().numpy())

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """Read one face.

        Args:
            picture: (H, W, 3) uint8.
            landmarks: (478, 2 or 3) px.

        Returns:
            float32: 96 styles and the code (d,); before them E's embedding (D,) if an encoder was given.
        """
        view = self._face.view(picture, landmarks)
        texture, shape = image.to_float(view.texture), torch.from_numpy(view.shape)[None]
        read = self.net(texture.to(self._device), shape.to(self._device))[0].float().cpu().numpy()
        if self._encoder is None:
            return read
        return np.concatenate([self._encoder.embed(picture, landmarks, masked=True), read])


def features_of(encoder: Encoder, reader: FaceReader | None, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The features that KVFA compares: the embedding by E, then the outputs of FaceReader.

    Args:
        encoder: E; its embedding identifies the person of a photo.
        reader: F, which decodes virtual faces; None leaves its outputs out.
        picture: (H, W, 3) uint8.
        landmarks: (478, 2 or 3) px.

    Returns:
        (S,) float32.
    """
    embedding = encoder.embed(picture, landmarks)
    return embedding if reader is None else np.concatenate([embedding, reader(picture, landmarks)])


class Identifier(Protocol):
    """Interface of the identifier I: maps features (features_of) to unit vectors that are compared by cosine."""

    @property
    def dimension(self) -> int:
        """d: the length of an identity vector."""

    def original(self, features: np.ndarray) -> np.ndarray:
        """Identity of a photo, I(x): features (..., S) -> (..., d)."""

    def virtual(self, features: np.ndarray, key: UserKey) -> np.ndarray:
        """Identity of a virtual face under a key, I(x_v, k): features (..., S) -> (..., d)."""

    def keyless(self, features: np.ndarray) -> np.ndarray:
        """Identities of a virtual face without a key, I(x_v) (Eq. 11): features (S,) -> R read-outs (R, d)."""


class RotationIdentifier:
    """Identifier for keys that are rotations: I(x) = u, and I(x_v, k) = O_k^T h(x_v).

    h(x_v) is the code decoded from the virtual face; O_k^T is the inverse rotation of the key.

    No learned layer follows O_k^T. A wrong key therefore gives a random direction: its cosine with I(x) is distributed
    as that of a random direction in d dimensions, whatever h has learned.
    """

    def __init__(self, identity: IdentityMap, reader: Callable[[np.ndarray], np.ndarray]) -> None:
        """
        Args:
            identity: I(x) for photos.
            reader: h, features (..., S) -> the code (..., d) of unit length.
        """
        self._identity, self._reader = identity, reader

    @property
    def dimension(self) -> int:
        return self._identity.dimension

    def original(self, features: np.ndarray) -> np.ndarray:
        return self._identity(features)

    def virtual(self, features: np.ndarray, key: UserKey) -> np.ndarray:
        return self._reader(features) @ rotation(key, self.dimension)  # rows times O_k: O_k^T applied to each

    def keyless(self, features: np.ndarray) -> np.ndarray:
        """(2, d): the identity as if x_v were a photo, and the code without rotation."""
        return np.stack([self.original(features), self._reader(features)])


def compare(
    identifier: Identifier,
    virtual: np.ndarray,
    original: np.ndarray,
    key: UserKey | None,
    threshold: float,
) -> Verdict:
    """Decide whether a virtual face and an original one belong to the same person (Alg. 2).

    Without a key, I(x_v) is compared with I(x) (Condition 1: they should differ). With the key, I(x_v, k) is compared
    with I(x) (Condition 2: they should agree).

    Args:
        identifier: I of the method.
        virtual, original: (S,) features of x_v and x.
        key: None uses the key-less read-out that is most similar to the original.
        threshold: cosine from which the faces count as the same person.
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
