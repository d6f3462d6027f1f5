"""What a method is: one way to turn a photo's identity and a key into a virtual face, and to read it back.

A method is one file in this folder that defines METHOD. Everything that is true of that method alone stands there: its
projector P, its identifier I, its weights, key lengths, limits and targets. Menus, help texts, model cards and tables
read the same object. Methods import stages, never each other.
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
    """What P answers."""

    latent: Tensor  # (3, 512) float32: w of the coarse, middle and fine layers
    payload: Payload | None = None  # what refinement shall make readable; None where the method does not refine


class Projector(Protocol):
    """P: (z, k) -> z'. Second box of HPVFG (Alg. 1, step 5)."""

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """
        Args:
            feature: (D,) z = E(x), raw.
            key: of a length that the method knows.

        Raises:
            BadKey: a length that it does not know.
        """


@dataclass(frozen=True, kw_only=True)
class SharedStages:
    """What every method may build on: the loaded stages of a preset and a way to load more weights."""

    preset: Preset
    device: torch.device
    load: Callable[[str], State]  # the weights of a registered name
    encoder: FaceEncoder  # E
    generator: Generator  # M and G
    geometry: GeometryReader
    posture_gain: Tensor  # (1536, 54) of the posture correction
    auxiliary: Callable[[], FaceEncoder] | None = None  # loads the auxiliary encoder; None where a preset has none
    low_band: Callable[[torch.dtype], Synthesis] | None = None  # G for gradients; None where a preset does not refine


@dataclass(frozen=True, kw_only=True)
class MethodNetworks:
    """The loaded parts of one method. Only a method that refines has a reader and a refiner."""

    encoder: Encoder  # E as this method reads photos
    identity: IdentityMap  # u
    projector: Projector  # P
    identifier: Identifier  # I
    reader: FaceReader | None = None  # F
    refiner: Refiner | None = None


def _any_length(_bits: int) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)  # one object a method: it is its own key
class Method:
    """One method, as everything outside this folder sees it."""

    name: str  # of its file, as in --method
    label: str  # in menus
    about: str  # one sentence for help texts and the About tab
    limits: str = ""  # what its networks are not good for; goes into their model cards
    order: int = 100  # place in menus and tables
    build: Callable[[SharedStages], MethodNetworks]
    tiny_weights: Callable[[str], State] | None = None  # random weights by registered name, for the preset tiny
    registers: tuple[Weight, ...] = ()  # weights that come with this method
    weights: Callable[[int], tuple[str, ...]] = _any_length  # key bits -> every weight that such keys need
    networks: Callable[[int], tuple[str, ...]] = _any_length  # key bits -> those of P and KVFA, whose cards name misses
    key_lengths: tuple[int, ...] = ()  # bits, each with networks and a threshold of its own; empty: any length
    random_directions: bool = False  # a wrong key leaves a random direction in d dimensions (Eq. 12)
    random_key_max: float | None = None  # share of random keys that its threshold accepts at most, by that law
    targets: Mapping[str, Target | None] = field(default_factory=dict)  # where they differ from kfaar_core.targets

    def all_weights(self) -> tuple[str, ...]:
        """Every weight of every key length."""
        return tuple(dict.fromkeys(name for bits in self.key_lengths or (256,) for name in self.weights(bits)))
