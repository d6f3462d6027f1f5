"""KVFA: I(x), I(x_v, k) and I(x_v) (Alg. 2; Section IV-C-2).

`hashed` reading: h takes the picture's feature to the payload it carries, O_k^T turns it back. Only normalisation
follows O_k^T, so that a wrong key leaves a random direction: its cosine with I(x) follows the law of a random direction
in d dimensions, whatever h has learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core import image
from kfaar_core.keys import UserKey
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.records import Verdict
from kfaar_core.stages.encode import Recogniser
from kfaar_core.stages.face_view import MeanFace
from kfaar_core.stages.generate import part
from kfaar_core.stages.linear import LinearReader, unit
from kfaar_core.stages.project import IdentityMap, checked_bits, rotation_of


def reader_net(state: Mapping[str, Tensor]) -> ReaderNet:
    """F of its state, float16 or float32, in evaluation mode."""
    hidden, axes = state["hidden.0.weight"].shape
    textures = state["texture_axes"].shape[1]
    net = ReaderNet(len(state["last.bias"]), textures, axes - textures, hidden)
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return net.eval().requires_grad_(False)


class FaceReader:
    """F: what it reads of a face, the styles of the picture first and then the code; E of the face alone before it."""

    def __init__(self, state: Mapping[str, Tensor], device: torch.device, encoder: Recogniser | None = None) -> None:
        """
        Args:
            state: `net.*` of ReaderNet.
            encoder: E, if it shall look as well: at the face alone, so that identity must show there.
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
        return np.concatenate([self._encoder.raw_of(picture, landmarks, masked=True), read])


class Identifier(Protocol):
    """I: sights -> identities that can be compared by cosine.

    A sight (S,) begins with the encoder's raw feature of the whole picture, and goes on with what FaceReader sees.
    """

    @property
    def dimension(self) -> int:
        """d."""

    def original(self, sight: np.ndarray) -> np.ndarray:
        """I(x): (..., S) -> (..., d), no key."""

    def virtual(self, sight: np.ndarray, key: UserKey) -> np.ndarray:
        """I(x_v, k): (..., S) -> (..., d)."""

    def keyless(self, sight: np.ndarray) -> np.ndarray:
        """I(x_v): (R, d), every read-out open to someone without a key (Eq. 11)."""


class BothViews:
    """h of `hashed`, and beside it the code as E sees it in the whole picture: its errors are partly others."""

    def __init__(self, face: LinearReader, whole: LinearReader, share: float) -> None:
        """
        Args:
            face: it weighs what E and F see of the face by how well each tells the code.
            share: of the whole picture; it must stay small, since the surrounding is no part of the face.
        """
        self._face, self._whole, self._share = face, whole, share

    def __call__(self, sight: np.ndarray) -> np.ndarray:
        """(..., S) -> (..., d) of unit length."""
        return unit(self._face(sight) + self._share * self._whole(sight))


class KeyedRecogniser:
    """I of the floor and of `hashed`: I(x) = u, and I(x_v, k) = O_k^T h, the code of x_v turned back by the key."""

    def __init__(self, identity: IdentityMap, reader: Callable[[np.ndarray], np.ndarray]) -> None:
        """reader: h, (..., S) -> (..., d) of unit length."""
        self._identity, self._reader = identity, reader

    @property
    def dimension(self) -> int:
        return self._identity.dimension

    def original(self, sight: np.ndarray) -> np.ndarray:
        return self._identity(sight)

    def virtual(self, sight: np.ndarray, key: UserKey) -> np.ndarray:
        return self._reader(sight) @ rotation_of(key, self.dimension)  # rows times O_k are O_k^T applied to each

    def keyless(self, sight: np.ndarray) -> np.ndarray:
        """As a photo, and the payload itself."""
        return np.stack([self.original(sight), self._reader(sight)])


class BitsRecogniser:
    """I of `bits`, the paper's: an MLP takes the sight of x_v and the bits of the key (Alg. 2, Condition 2)."""

    def __init__(self, identity: IdentityMap, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """
        Args:
            states: by key bits; of KeyedNet.
        """
        self._identity = identity
        self._nets = {}
        for bits, state in states.items():
            hidden, width = state["layers.0.weight"].shape
            net = KeyedNet(width - bits, bits, identity.dimension, hidden).eval().requires_grad_(False)
            net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
            self._nets[bits] = net

    @property
    def dimension(self) -> int:
        return self._identity.dimension

    def original(self, sight: np.ndarray) -> np.ndarray:
        return self._identity(sight)

    def virtual(self, sight: np.ndarray, key: UserKey) -> np.ndarray:
        return self._answer(sight, checked_bits(key, self._nets))

    def keyless(self, sight: np.ndarray) -> np.ndarray:
        """As a photo, and through each network with a key of zeros, which is neither of +-1."""
        blank = [self._answer(sight, torch.zeros(bits)) for bits in self._nets]
        return np.stack([self.original(sight), *blank])

    @torch.inference_mode()
    def _answer(self, sight: np.ndarray, bits: Tensor) -> np.ndarray:
        read = torch.from_numpy(np.atleast_2d(sight)).float()
        found = self._nets[len(bits)](read, bits.expand(len(read), -1)).double().numpy()
        return unit(found.reshape(*sight.shape[:-1], -1))


def verdict(
    recogniser: Identifier,
    virtual: np.ndarray,
    original: np.ndarray,
    key: UserKey | None,
    threshold: float,
) -> Verdict:
    """Compare a virtual face with an original one; Condition 1 without a key, Condition 2 with one (Alg. 2).

    Args:
        virtual, original: (S,) sights.
        key: None compares the most similar of the key-less read-outs.
    """
    reference = recogniser.original(original)
    if key is None:
        cosine = float(np.max(recogniser.keyless(virtual) @ reference))
        compared = "I(x) with I(x_v), no key"
    else:
        cosine = float(recogniser.virtual(virtual, key) @ reference)
        compared = "I(x) with I(x_v, k)"
    return Verdict(
        cosine=cosine,
        threshold=threshold,
        same_person=cosine >= threshold,
        dimension=recogniser.dimension,
        compared=compared,
        key_used=key is not None,
    )
