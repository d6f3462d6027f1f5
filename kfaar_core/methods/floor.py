"""The method `floor`: a linear baseline fitted in closed form, d = 32.

The identity u, rotated by the key's matrix O_k, is written to the directions of W that the reader decodes best. The
other directions get noise seeded by the key. P outputs a w and skips the mapping network M. The paper's P outputs a z;
paper.py lists this deviation.
"""

from __future__ import annotations

import numpy as np
import torch

from kfaar_core.key_schedule import normals, rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.stages import tiny
from kfaar_core.stages.identify import IdentityMap, RotationIdentifier
from kfaar_core.stages.linear import LinearReader
from kfaar_core.weights import our_weight


class FloorProjector:
    """The projector P: a linear map of the rotated identity O_k u, and of noise that the key seeds."""

    def __init__(self, state: State, identity: IdentityMap) -> None:
        """
        Args:
            state: `latent.mean` (1536,), `payload` (1536, d), `nuisance` (1536, m), all in units of w.
            identity: gives u.
        """
        self._identity = identity
        self._mean = state["latent.mean"].double().numpy()
        self._payload = state["payload"].double().numpy()
        self._nuisance = state["nuisance"].double().numpy()

    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """Map the embedding (D,) by E and a key of any length to a latent."""
        d = self._payload.shape[1]
        code = rotation(key, d) @ self._identity(feature)  # (d,)
        noise = normals(key, "nuisance", (self._nuisance.shape[1],))
        w = self._mean + self._payload @ (np.sqrt(d) * code) + self._nuisance @ noise  # (1536,)
        return Projected(latent=torch.from_numpy(w.astype(np.float32)).reshape(3, 512))


def build(shared: SharedStages) -> MethodNetworks:
    """Load P, I and u from one file of matrices."""
    state = shared.load("floor")
    identity = IdentityMap(state)
    return MethodNetworks(
        encoder=shared.encoder,
        identity=identity,
        projector=FloorProjector(state, identity),
        identifier=RotationIdentifier(identity, LinearReader(state, "reader")),
    )


def tiny_weights(_name: str) -> State:
    """Random weights for the preset tiny, with the tensor names of the real ones."""

    def random(seed: int, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=tiny.seeded(seed))

    return {
        **tiny.identity_state(),
        "latent.mean": torch.zeros(1536),
        "payload": random(6, 1536, tiny.DIMENSION),
        "nuisance": random(7, 1536, 4),
        "reader.mean": torch.zeros(tiny.FEATURES),
        "reader.map": random(8, tiny.DIMENSION, tiny.FEATURES),
    }


LIMITS = "Linear, in 32 dimensions: the method to be beaten, not one to protect anybody with."
METHOD = Method(
    name="floor",
    label="linear (floor)",
    about="linear maps fitted in closed form, d = 32: the baseline that trained methods must beat",
    limits=LIMITS,
    order=1,
    build=build,
    tiny_weights=tiny_weights,
    registers=(our_weight("floor", limits=LIMITS),),
    weights=lambda _bits: ("floor",),
    networks=lambda _bits: ("floor",),
    random_directions=True,
)
