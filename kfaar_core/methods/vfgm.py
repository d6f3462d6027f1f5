"""The method `vfgm`: style mixing of the photo with a virtual person, re-implemented from the description of VFGM.

The photo is inverted to a latent (stages.invert). Its coarse layers, which draw head pose and the shape of the face,
are kept; the middle and fine layers are those of a random person that the key seeds. The face looks like somebody else
in the photo's pose. Nothing protects the features: what the coarse layers hold of the person stays. The original
inverts with a trained network and mixes in StyleGAN2; here it is MobileStyleGAN and gradient descent.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kfaar_core.key_schedule import normals
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages
from kfaar_core.records import Photo
from kfaar_core.stages.generate import Generator, truncated
from kfaar_core.stages.invert import Inverter
from kfaar_core.stages.locate import LocatedFace

TRUNCATION = 0.7  # a usual one for this generator  [design]


class VirtualPerson:
    """P: a random person whom the key seeds, the same for every photo."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """The latent of the key's person; the embedding (D,) by E changes nothing."""
        z = torch.from_numpy(normals(key, "vfgm", (1, 512))).float()
        return Projected(truncated(self._generator, z, TRUNCATION)[0].expand(3, 512).clone())


class CoarseOfPhoto:
    """Style mixing: the coarse layers of the inverted photo, the middle and fine ones of P."""

    def __init__(self, inverter: Inverter) -> None:
        self._inverter = inverter

    def __call__(self, latent: Tensor, photo: Photo, face: LocatedFace) -> Tensor:
        return torch.cat((self._inverter(photo, face)[:1].to(latent), latent[1:]))


def build(shared: SharedStages) -> MethodNetworks:
    """E, the generator, and the generator with gradients."""
    assert shared.low_band is not None  # every preset that generates has it
    inverter = Inverter(shared.low_band(torch.float32), shared.encoder, shared.generator.w_mean)
    inverter.groups = shared.generator.groups
    return MethodNetworks(
        encoder=shared.encoder, projector=VirtualPerson(shared.generator), blend=CoarseOfPhoto(inverter)
    )


METHOD = Method(
    name="vfgm",
    label="VFGM (re-implemented)",
    about="the photo's coarse styles with the middle and fine styles of a person that the key seeds; the features stay "
    "unprotected; re-implemented on MobileStyleGAN from the description",
    order=13,
    build=build,
    readable=False,
    corrects_posture=False,
)
