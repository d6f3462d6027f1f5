"""Interface of a method: how identity and key become a latent (P), and how a virtual face is identified (I).

A method is one file in this folder that defines METHOD, an object with its projector P, its identifier I, its weights,
key lengths, limits and targets. Menus, help texts, model cards and tables are made from this object. Methods import
stages, never each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.keys import UserKey
from kfaar_core.nets.mobile_stylegan import Synthesis
from kfaar_core.presets import Preset
from kfaar_core.records import Payload
from kfaar_core.stages.encode import Encoder, FaceEncoder
from kfaar_core.stages.generate import Generator
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.identify import FaceReader, Identifier, IdentityMap
from kfaar_core.stages.refine import Refiner
from kfaar_core.targets import Target
from kfaar_core.weights import Weight

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Projected:
    """Output of the projector P: a latent, and what refinement must make readable."""

    latent: Tensor  # (3, 512) float32: w of the coarse, middle and fine layers
    payload: Payload | None = None  # targets of refinement; None if the method does not refine


class Projector(Protocol):
    """Interface of the projector P: (z, k) -> z', embedding and key -> latent. Second box of HPVFG (Alg. 1, step 5)."""

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """Map an embedding and a key to a latent.

        Args:
            feature: (D,) z = E(x), neither centred nor normalised.
            key: of a length that the method supports.

        Raises:
            BadKey: a key length that the method does not support.
        """


@dataclass(frozen=True, kw_only=True)
class SharedStages:
    """The loaded stages of a preset that every method may use, and a function that loads further weights."""

    preset: Preset
    device: torch.device
    load: Callable[[str], State]  # name of registered weights -> their state dict
    encoder: FaceEncoder  # E
    generator: Generator  # M and G
    geometry: GeometryReader
    posture_gain: Tensor  # (1536, 54) of the posture correction
    auxiliary: Callable[[], FaceEncoder] | None = None  # loads the auxiliary encoder; None if the preset has none
    low_band: Callable[[torch.dtype], Synthesis] | None = None  # G with gradients; None if the preset does not refine


@dataclass(frozen=True, kw_only=True)
class MethodNetworks:
    """The loaded networks of one method. The reader and the refiner are optional."""

    encoder: Encoder  # E, as the method uses it for photos
    identity: IdentityMap  # the linear map from an embedding to the identity u of a photo
    projector: Projector  # P: identity and key -> latent
    identifier: Identifier  # I: features -> identity
    reader: FaceReader | None = None  # F of KVFA, which decodes virtual faces; None if the method has none
    refiner: Refiner | None = None  # None if the method does not refine


def _any_length(_bits: int) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)  # one object a method: it is its own key
class Method:
    """The complete description of one method."""

    name: str  # of its file, and the value of --method
    label: str  # in menus
    about: str  # one sentence for help texts and the About tab
    limits: str = ""  # known limitations of its networks, for their model cards
    order: int = 100  # position in menus and tables
    build: Callable[[SharedStages], MethodNetworks]
    tiny_weights: Callable[[str], State] | None = None  # random weights by registered name, for the preset tiny
    registers: tuple[Weight, ...] = ()  # weights that this method adds to the registry
    weights: Callable[[int], tuple[str, ...]] = _any_length  # key bits -> names of all weights that such keys need
    networks: Callable[[int], tuple[str, ...]] = _any_length  # key bits -> those of P and KVFA, for model cards
    key_lengths: tuple[int, ...] = ()  # bits, each with its own networks and threshold; empty: any length
    random_directions: bool = False  # a wrong key gives a random direction in d dimensions (Eq. 12)
    random_key_max: float | None = None  # largest share of random keys that the threshold may accept, by that law
    targets: Mapping[str, Target | None] = field(default_factory=dict)  # that differ from kfaar_core.targets

    def all_weights(self) -> tuple[str, ...]:
        """The names of the weights for all key lengths, without repetition."""
        return tuple(dict.fromkeys(name for bits in self.key_lengths or (256,) for name in self.weights(bits)))
