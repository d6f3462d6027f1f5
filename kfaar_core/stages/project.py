"""Projector P: (z, k) -> z'. Second box of HPVFG (Alg. 1, step 5).

`hashed` conditioning (ours): u = unit(W (E(x) - mu)) is the identity in d dimensions, SHAKE-256 of the key seeds a
rotation O_k, and a key-independent map sends O_k u and a key-seeded nuisance part to the latent. Everything that is
learned thus stands on one side of O_k, and a key that is wrong in one bit is as wrong as any other.

The floor is the linear form of it. Its latent is a w (512 of StyleGAN2's W), so that M is the identity for it; this is
a deviation from the paper, whose P answers a z (listed in paper.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core import key_schedule
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey
from kfaar_core.nets.projector_net import GROUPS, LEADING, BitsNet, HashedNet
from kfaar_core.records import Payload
from kfaar_core.stages.generate import Generator, part
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader


def rotation_of(key: UserKey, dimension: int) -> np.ndarray:
    """O_k: a (d, d) float64 rotation or reflection, uniform over the orthogonal group, fixed by the key alone."""
    return key_schedule.rotation(key, dimension)


@dataclass(frozen=True)
class Projected:
    """What P answers."""

    latent: Tensor  # (3, 512) float32: w of the coarse, middle and fine layers
    space: str  # "w": M is the identity; "z": M follows
    payload: Payload | None = None  # of `hashed`; the other forms do not say


class IdentityMap(LinearReader):
    """u = unit(W (E(x) - mu)): the identity of a photo in d dimensions. It is also I(x) of `hashed` KVFA.

    mu is the mean feature over training people; d is what the security of `hashed` is bounded by.
    """

    def __init__(self, state: Mapping[str, Tensor], first: int = 0) -> None:
        """
        Args:
            state: `identity.mean` (D,), `identity.map` (d, D), D numbers of a recogniser's raw feature.
            first: where in a sight they begin.
        """
        super().__init__(state, "identity", first)


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
        look = key_schedule.normals(key, "nuisance", (self._nuisance.shape[1],))
        w = self._mean + self._payload @ (np.sqrt(d) * turned) + self._nuisance @ look  # (1536,)
        return Projected(latent=torch.from_numpy(w.astype(np.float32)).reshape(3, 512), space="w")


class HashedProjector:
    """P of `hashed`: a trained network draws the face of O_k u; the key draws what the network leaves open."""

    def __init__(self, state: Mapping[str, Tensor], identity: IdentityMap) -> None:
        """state: `net.*` of HashedNet, `natural.*` of NaturalSpace, `look.size` () sds of what the key draws."""
        self._identity, self._space = identity, NaturalSpace(state)
        self._net = hashed_net(state, identity.dimension)
        self._size = float(state["look.size"])

    @torch.inference_mode()
    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """(D,) raw feature of the encoder and a key of any length."""
        d = self._identity.dimension
        u = self._identity(feature)  # (d,)
        code = rotation_of(key, d) @ u
        draw = key_schedule.normals(key, "nuisance", (self._net.look + GROUPS * (512 - LEADING),))
        look, rest = draw[: self._net.look], self._size * draw[self._net.look :].reshape(GROUPS, 512 - LEADING)
        leading = self._net(_row(np.sqrt(d) * code), _row(look))[0]  # (3, 32)
        v = torch.cat((leading, torch.from_numpy(rest).float()), dim=-1)  # (3, 512)
        return Projected(latent=self._space.to_w(v), space="w", payload=Payload(code, u))


def hashed_net(state: Mapping[str, Tensor], dimension: int) -> HashedNet:
    """The network of `hashed` P from its state, `net.*` of HashedNet, in evaluation mode.

    Args:
        dimension: d, how many of its inputs are the code.
    """
    hidden, width = state["net.bend.0.weight"].shape
    net = HashedNet(dimension, width - dimension, hidden).eval().requires_grad_(False)
    net.load_state_dict(part(state, "net."))
    return net


def _row(values: np.ndarray) -> Tensor:
    """(n,) float64 -> (1, n) float32."""
    return torch.from_numpy(values).float()[None]


class BitsProjector:
    """P of `bits`, the paper's: the bits of the key beside z, an MLP, then M. One network for each key length."""

    def __init__(self, states: Mapping[int, Mapping[str, Tensor]], generator: Generator) -> None:
        """
        Args:
            states: by key bits; each `net.*` of BitsNet, `feature.mean` (D,), `feature.scale` (), `truncation` ().
            generator: its M and the mean style.
        """
        self._states, self._generator = states, generator
        self._nets = {bits: bits_net(state, bits) for bits, state in states.items()}

    @torch.inference_mode()
    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """(D,) raw feature of E and a key of 8, 128 or 256 bits.

        Raises:
            BadKey: another length.
        """
        bits = checked_bits(key, self._states)  # (b,) of +-1
        state, mean = self._states[len(bits)], self._generator.w_mean.cpu()
        z = (torch.from_numpy(feature).float() - state["feature.mean"].float()) / float(state["feature.scale"])
        w = self._generator.map(self._nets[len(bits)](z[None], bits[None]).to(self._generator.w_mean.device)).cpu()
        w = mean + float(state["truncation"]) * (w - mean)  # (1, 512)
        return Projected(latent=w.expand(GROUPS, -1).clone(), space="w")


def bits_net(state: Mapping[str, Tensor], bits: int) -> BitsNet:
    """The network of `bits` P for keys of so many bits from its state, `net.*` of BitsNet, in evaluation mode."""
    hidden, width = state["net.layers.0.weight"].shape
    net = BitsNet(width - bits, bits, hidden).eval().requires_grad_(False)
    net.load_state_dict(part(state, "net."))
    return net


def checked_bits(key: UserKey, lengths: Iterable[int]) -> Tensor:
    """The bits of a key as +-1, (b,) float32.

    Raises:
        BadKey: no network for that length.
    """
    if key.bits not in lengths:
        known = ", ".join(map(str, sorted(lengths)))
        raise BadKey(
            got=f"a key of {key.bits} bits, and the form `bits` has networks for {known} bits only",
            mend="take a key of such a length, or the projector hashed",
        )
    return torch.from_numpy(key.signs())
