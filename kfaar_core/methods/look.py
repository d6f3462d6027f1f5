"""The method `look`: the key draws the person that everybody sees, and refinement writes the code into finer features.

All photos under one key are to show a person of the same sex, age, hair, skin, light and background. P draws that
person from the key alone: either sex, ages and skins spread over a range. Refinement then makes the code
(methods.rotated) readable while a coarse copy of the picture stays as it was (presets.Hold). Identity and KVFA are
those of `hashed`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.special import ndtr

from kfaar_core.key_schedule import normals, rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.methods.rotated import WEIGHTS, networks
from kfaar_core.methods.rotated import tiny_weights as rotated_tiny_weights
from kfaar_core.nets.projector_net import GROUPS
from kfaar_core.presets import Looks
from kfaar_core.records import Payload
from kfaar_core.stages import tiny
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.weights import our_weight


class LookLaw:
    """Draws a person from a key: of many random persons the one nearest to the sex, age and skin that the key wants."""

    def __init__(self, axes: State, looks: Looks) -> None:
        """
        Args:
            axes: `axes.rows` (3, 512), `axes.mean` and `axes.sd` (3,) predict sex, age and skin from natural
                coordinates; `skin.range` (2,) lightest and darkest CIE L that are drawn.
            looks: spread and number of the candidates, range of the ages.
        """
        self._rows, self._mean, self._sd, self._skins = (
            axes[name].double().numpy() for name in ("axes.rows", "axes.mean", "axes.sd", "skin.range")
        )
        self._looks = looks

    def wanted(self, key: UserKey) -> np.ndarray:
        """(3,) what the key wants: a logit of male, one sd above or below 0; years; CIE L of the skin."""
        sex, age, skin = ndtr(normals(key, "look: wanted", (3,)))
        younger, older = self._looks.ages
        darker, lighter = self._skins
        male = 1 if sex < 0.5 else -1
        return np.array([male * self._sd[0], younger + age * (older - younger), darker + skin * (lighter - darker)])

    def predicted(self, persons: np.ndarray) -> np.ndarray:
        """(N, 512) natural coordinates -> (N, 3) logit of male, years, CIE L of the skin."""
        return persons @ self._rows.T + self._mean

    def __call__(self, key: UserKey) -> np.ndarray:
        """(512,) natural coordinates of the key's person."""
        persons = self._looks.spread * normals(key, "look: persons", (self._looks.candidates, 512))
        gaps = (self.predicted(persons) - self.wanted(key)) / self._sd
        person: np.ndarray = persons[np.square(gaps).sum(axis=1).argmin()]
        return person


class LookProjector:
    """The projector P: the key's person, and the code that refinement writes into the face."""

    def __init__(self, space: NaturalSpace, identity: IdentityMap, law: LookLaw) -> None:
        self._space, self._identity, self._law = space, identity, law

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        u = self._identity(feature)
        person = torch.from_numpy(self._law(key)).float().expand(GROUPS, 512)
        return Projected(
            latent=self._space.to_w(person), payload=Payload(rotation(key, self._identity.dimension) @ u, u)
        )


def build(shared: SharedStages) -> MethodNetworks:
    """Load P, I, F and the refiner."""
    looks = shared.preset.looks
    law = LookLaw(shared.load("looks"), looks)
    descent = replace(shared.preset.descent, auxiliary_weight=looks.auxiliary_weight)
    return networks(
        shared, lambda state, identity: LookProjector(NaturalSpace(state), identity, law), descent, looks.hold
    )


def tiny_weights(name: str) -> State:
    """Random weights for the preset tiny, with the tensor names of the real ones."""
    if name != "looks":
        return rotated_tiny_weights(name)
    return {
        "axes.rows": torch.randn(3, 512, generator=tiny.seeded(13)) / 20,
        "axes.mean": torch.tensor([0.0, 40.0, 55.0]),
        "axes.sd": torch.ones(3),
        "skin.range": torch.tensor([30.0, 75.0]),
    }


METHOD = Method(
    name="look",
    label="look from the key (look)",
    about="the key draws the person that everybody sees; refinement writes the code into finer features",
    limits="New, and measured on few people so far. The key reads less than in `hashed`, and a large turn of the head "
    "changes the person.",
    order=2,
    build=build,
    tiny_weights=tiny_weights,
    registers=(
        our_weight(
            "looks",
            limits="Linear predictions from the generator's coordinates, labelled by a small network that knows two "
            "sexes. They choose among random faces and say nothing about real people.",
            data="generated faces, labelled by @vladmandic/face-api (MIT)",
        ),
    ),
    weights=lambda _bits: (*WEIGHTS, "looks"),
    networks=lambda _bits: ("kvfa", "looks"),
    refines=True,
    needs_refinement=True,
    random_directions=True,
    random_key_max=5e-5,  # as in hashed
)
