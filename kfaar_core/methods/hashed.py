"""The method `hashed`, the default: trained networks behind a rotation that the key seeds, d = 64.

A trained network, which does not get the key itself, maps the code (methods.rotated) and key-seeded noise to the
latent. The face is refined.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kfaar_core.key_schedule import normals, rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.methods.rotated import WEIGHTS, networks, tiny_weights
from kfaar_core.nets.projector_net import GROUPS, LEADING, HashedNet
from kfaar_core.records import Payload
from kfaar_core.stages.generate import part
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.stages.latent import NaturalSpace


class HashedProjector:
    """The projector P: a network maps the code O_k u to leading natural coordinates of w; the key seeds the rest."""

    def __init__(self, state: State, identity: IdentityMap) -> None:
        """
        Args:
            state: `net.*` of HashedNet, `natural.*` of NaturalSpace, `look.size` (), the standard deviation of the
                coordinates that the key seeds.
            identity: gives u.
        """
        self._identity, self._space = identity, NaturalSpace(state)
        self._net = hashed_net(state, identity.dimension)
        self._size = float(state["look.size"])

    @torch.inference_mode()
    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """Map the embedding (D,) by the encoder pair and a key of any length to a latent and its payload."""
        d = self._identity.dimension
        u = self._identity(feature)  # (d,)
        code = rotation(key, d) @ u
        draw = normals(key, "nuisance", (self._net.noise + GROUPS * (512 - LEADING),))
        noise, rest = draw[: self._net.noise], self._size * draw[self._net.noise :].reshape(GROUPS, 512 - LEADING)
        leading = self._net(_row(np.sqrt(d) * code), _row(noise))[0]  # (3, 32)
        v = torch.cat((leading, torch.from_numpy(rest).float()), dim=-1)  # (3, 512)
        return Projected(latent=self._space.to_w(v), payload=Payload(code, u))


def hashed_net(state: State, dimension: int) -> HashedNet:
    """The projector's network, in evaluation mode.

    Args:
        state: `net.*` of HashedNet.
        dimension: d, the number of its inputs that are the code.
    """
    hidden, width = state["net.bend.0.weight"].shape
    net = HashedNet(dimension, width - dimension, hidden).eval().requires_grad_(False)
    net.load_state_dict(part(state, "net."))
    return net


def _row(values: np.ndarray) -> Tensor:
    """(n,) float64 -> (1, n) float32."""
    return torch.from_numpy(values).float()[None]


def build(shared: SharedStages) -> MethodNetworks:
    """Load P, I, F and the refiner."""
    return networks(shared, HashedProjector, shared.preset.descent)


METHOD = Method(
    name="hashed",
    label="trained, hashed key (hashed)",
    about="trained networks behind a rotation that the key seeds, d = 64, refined until KVFA reads the code",
    order=2,
    build=build,
    tiny_weights=tiny_weights,
    weights=lambda _bits: WEIGHTS,
    networks=lambda _bits: ("projector_hashed", "kvfa"),
    refines=True,
    random_directions=True,
    # The threshold accepts at most this share of random directions, whatever the dev people would allow. It is half of
    # the target of 1e-4, to leave a margin for the sampling error of a test with random keys. (`floor` has too few
    # dimensions for this rule: it would reject most of its own faces. The keys of `bits` follow no law.) [design]
    random_key_max=5e-5,
)
