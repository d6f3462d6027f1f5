"""Projector P: (z, k) -> z'. Second box of HPVFG (Alg. 1, step 5).

`hashed` conditioning (ours): u = unit(W (E(x) - mu)) is the identity in d dimensions, SHAKE-256 of the key seeds a
rotation O_k, and a key-independent map sends O_k u and a key-seeded nuisance part to the latent. Everything that is
learned thus stands on one side of O_k, and a key that is wrong in one bit is as wrong as any other.

The floor is the linear form of it. Its latent is a w (512 of StyleGAN2's W), so that M is the identity for it; this is
a deviation from the paper, whose P answers a z (listed in paper.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.errors import BadSetting
from kfaar_core.keys import UserKey

PROJECTORS = ("floor", "hashed", "bits")  # `hashed` and `bits` are trained networks


def rotation_of(key: UserKey, dimension: int) -> np.ndarray:
    """O_k: a (d, d) float64 rotation or reflection, uniform over the orthogonal group, fixed by the key alone.

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q is Haar-distributed (Mezzadri, 2007).
    """
    gauss = key.rng("rotation").standard_normal((dimension, dimension))
    q, r = np.linalg.qr(gauss)
    return q * np.sign(np.diag(r))


@dataclass(frozen=True)
class Projected:
    """What P answers."""

    latent: Tensor  # (3, 512) float32: w of the coarse, middle and fine layers
    space: str  # "w": M is the identity; "z": M follows


class IdentityMap:
    """u = unit(W (E(x) - mu)): the identity of a photo in d dimensions. It is also I(x) of `hashed` KVFA."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        """state: `identity.mean` (D,), `identity.map` (d, D)."""
        self._mean = state["identity.mean"].double().numpy()
        self._map = state["identity.map"].double().numpy()

    @property
    def mean(self) -> np.ndarray:
        """mu (D,) float64: E's mean feature over training people."""
        return self._mean

    @property
    def width(self) -> int:
        """D: how many numbers E gives."""
        return self._map.shape[1]

    @property
    def dimension(self) -> int:
        """d: what the security of `hashed` is bounded by."""
        return self._map.shape[0]

    def __call__(self, feature: np.ndarray) -> np.ndarray:
        """(..., D) raw features of E -> (..., d) float64 of unit length."""
        u = (feature - self._mean) @ self._map.T
        return u / np.linalg.norm(u, axis=-1, keepdims=True)


class Projector(Protocol):
    """P: what FloorProjector is, and the trained networks are."""

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """
        Args:
            feature: (D,) z = E(x), raw.
            key: of a length that the form knows.

        Raises:
            BadKey: a length it does not know.
        """


class FloorProjector:
    """P of the floor: the best-read directions of W carry O_k u, the rest a look that the key draws."""

    def __init__(self, state: Mapping[str, Tensor], identity: IdentityMap) -> None:
        """state: `latent.mean` (1536,), `payload` (1536, d), `nuisance` (1536, m); both in units of w."""
        self._identity = identity
        self._mean = state["latent.mean"].double().numpy()
        self._payload = state["payload"].double().numpy()
        self._nuisance = state["nuisance"].double().numpy()

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """(D,) raw feature of E and a key of any length."""
        d = self._payload.shape[1]
        turned = rotation_of(key, d) @ self._identity(feature)  # (d,)
        look = key.rng("nuisance").standard_normal(self._nuisance.shape[1])
        w = self._mean + self._payload @ (np.sqrt(d) * turned) + self._nuisance @ look  # (1536,)
        return Projected(latent=torch.from_numpy(w.astype(np.float32)).reshape(3, 512), space="w")


def check_projector(name: str) -> str:
    """The name itself.

    Raises:
        BadSetting: an unknown projector, or one whose networks are not trained yet.
    """
    if name not in PROJECTORS:
        raise BadSetting(got=f"the projector {name!r}", mend=f"choose one of {', '.join(PROJECTORS)}")
    if name != "floor":
        raise BadSetting(
            got=f"the projector {name!r}, whose networks are not trained yet",
            mend="use the projector floor",
        )
    return name
