"""The method `ivfg`: key-driven identities without posture correction, re-implemented from the description of IVFG.

Yuan et al.'s identifiable virtual face generator gives every person and key a virtual identity: photos of one person
under one key give one virtual person, who is recognised among virtual faces only. The virtual face does not follow the
photo's head pose. Here, u of the photo under rotations that the key seeds is the input z of MobileStyleGAN, so that
the distance of two z is that of the two u. Neither the networks nor the training of the original are used.
"""

from __future__ import annotations

import numpy as np
import torch

from kfaar_core.key_schedule import normals
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.stages import tiny
from kfaar_core.stages.generate import Generator, truncated
from kfaar_core.stages.identify import IdentityMap

TRUNCATION = 0.7  # a usual one for this generator  [design]
Z = 512  # length of z


class RotatedIdentity:
    """P: z' = sqrt(512) Q_k u, with orthonormal columns Q_k that the key seeds; M follows, then truncation."""

    def __init__(self, identity: IdentityMap, generator: Generator) -> None:
        self._identity, self._generator = identity, generator

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """Map the embedding (D,) by E and a key of any length to a latent."""
        u = self._identity(feature)
        q, r = np.linalg.qr(normals(key, "ivfg", (Z, len(u))))
        z = np.sqrt(Z) * (q * np.sign(np.diag(r))) @ u  # (512,) as long as a random z; the signs depend on the LAPACK
        w = truncated(self._generator, torch.from_numpy(z).float()[None], TRUNCATION)[0]
        return Projected(w.expand(3, 512).clone())


def build(shared: SharedStages) -> MethodNetworks:
    """E, u and the generator."""
    identity = IdentityMap(shared.load("projector_hashed"))
    return MethodNetworks(
        encoder=shared.encoder, projector=RotatedIdentity(identity, shared.generator), identity=identity
    )


def tiny_weights(_name: str) -> State:
    """Random weights for the preset tiny."""
    return tiny.identity_state()


METHOD = Method(
    name="ivfg",
    label="IVFG (re-implemented)",
    about="a virtual identity for each person and key, in a random head pose, recognised among virtual faces only; "
    "re-implemented on MobileStyleGAN from the description",
    order=11,
    build=build,
    tiny_weights=tiny_weights,
    weights=lambda _bits: ("projector_hashed",),
    readable=False,
    corrects_posture=False,
)
