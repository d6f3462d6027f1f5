"""Interface of a method: how a photo and a key become a virtual face, and how that face is identified (I).

A method is one file in this folder that defines METHOD, an object with its weights, key lengths, limits, targets and
what it can do. Menus, help texts, model cards and tables are made from this object. Methods import stages, never each
other.

A method makes faces in one of two ways. With a projector P, embedding and key become a latent, which is rendered and
given the photo's posture. With an Editor, the photo itself is changed, as blur does. The identifier I, which reads the
identity from a virtual face, is optional: what cannot be read is skipped by the tables that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.errors import BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.presets import LAB, Preset
from kfaar_core.records import Payload, Photo
from kfaar_core.stages.compiled import Compiler
from kfaar_core.stages.encode import Encoder, FaceEncoder
from kfaar_core.stages.generate import Generator, Synthesize
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.identify import FaceReader, Identifier, IdentityMap
from kfaar_core.stages.locate import LocatedFace
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


class Editor(Protocol):
    """Interface of a method that changes the photo itself instead of generating a face."""

    def __call__(self, photo: Photo, face: LocatedFace, key: UserKey) -> np.ndarray:
        """Change one face of a photo.

        Args:
            face: which one, and where it is.
            key: may be ignored, see Method.keyed.

        Returns:
            (H, W, 3) uint8: the photo with the face changed, scaled or not; or, in another aspect ratio, a portrait.

        Raises:
            NoFaceFound: there is no picture of this photo.
        """


class Blend(Protocol):
    """Interface of style mixing: the latent that P gives, mixed with what the photo itself shows."""

    def __call__(self, latent: Tensor, photo: Photo, face: LocatedFace) -> Tensor:
        """(3, 512) latent of P, the photo and its face -> (3, 512) latent that is rendered."""


@dataclass(frozen=True, kw_only=True)
class SharedStages:
    """The loaded stages of a preset that every method may use, and a function that loads further weights."""

    preset: Preset
    device: torch.device
    load: Callable[[str], State]  # name of registered weights -> their state dict
    encoder: FaceEncoder  # E
    generator: Generator  # M and G
    geometry: GeometryReader
    auxiliary: Callable[[], FaceEncoder] | None = None  # loads the auxiliary encoder; None if the preset has none
    low_band: Callable[[torch.dtype], Synthesize] | None = None  # G with gradients: (w+, side) -> picture
    compiler: Compiler | None = None  # for the networks of `lab` on a CPU


class Lacking:
    """Stands for P, I or u of a method that has none: whoever asks it for anything is told so."""

    def __getattr__(self, name: str) -> Any:
        """
        Raises:
            BadSetting: always. Names with underscores are Python's own questions.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        self()

    def __call__(self, *_: object) -> Any:
        """
        Raises:
            BadSetting: always.
        """
        raise BadSetting(
            got="a method from whose virtual faces nobody can be read back",
            mend=f"choose another, such as {LAB.method}",
        )


LACKING: Any = Lacking()


@dataclass(frozen=True, kw_only=True)
class MethodNetworks:
    """The loaded networks of one method: an editor or a projector, and what else it has."""

    encoder: Encoder  # E, as the method uses it for photos
    projector: Projector = LACKING  # P: identity and key -> latent
    editor: Editor | None = None  # in place of P and everything after it
    blend: Blend | None = None  # changes the latent of P
    identity: IdentityMap = LACKING  # the linear map from an embedding to the identity u of a photo
    identifier: Identifier = LACKING  # I: features -> identity
    reader: FaceReader | None = None  # F of KVFA, which decodes virtual faces; None if the method has none
    refiner: Refiner | None = None  # None if the method does not refine
    content: str = ""  # hash of files, besides weights, that the faces depend on


def _any_length(_bits: int) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True, eq=False)  # one object a method: it is its own key
class Method:
    """The complete description of one method.

    A method of value `NAME:ARGUMENT`, such as a strength or a folder, is what `variant` of NAME answers for ARGUMENT.
    """

    name: str  # of its file, and the value of --method; of a variant, its part of file names
    label: str  # in menus
    about: str  # one sentence for help texts and the About tab
    limits: str = ""  # known limitations of its networks, for their model cards
    order: int = 100  # position in menus and tables
    build: Callable[[SharedStages], MethodNetworks]
    keyed: bool = True  # the key changes the virtual face
    readable: bool = True  # with the key, I reads the photo's identity from the virtual face
    refines: bool = False  # the face is refined until it can be read
    needs_refinement: bool = False  # nobody can be read from a face that was not refined
    corrects_posture: bool = True  # a generated face gets the photo's head pose and expression
    in_place: bool = False  # the photo is edited: face and surroundings stay where they are
    variant: Callable[[str], Method] | None = None  # the method of --method NAME:ARGUMENT
    argument: str = ""  # what ARGUMENT is, for help texts; empty without variants
    needs_argument: bool = False  # NAME alone is no method
    not_for: Mapping[str, str] = field(default_factory=dict)  # table -> why this method has no such table
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
