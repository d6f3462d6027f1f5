"""The method `bits`, as in the paper (Alg. 1 and 2): learned networks that take the bits of the key as input.

The projector P is an MLP over the embedding z and the bits. KVFA is an MLP over the features of the face and the bits.

Each key length has its own pair of networks. Both learn the meaning of a key. A wrong key that shares most bits with
the right one therefore gives nearly the same output as the right one, and no law describes wrong keys.

The code that the paper's authors released (Wangmm-123/KFAAR, main.py) does not do what the paper says: it mixes the
inverted photo into the virtual face. The variant `bits:released-code` does so too, to measure what that costs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from kfaar_core.errors import BadKey, BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import GROUPS, BitsNet
from kfaar_core.records import Photo
from kfaar_core.stages import tiny
from kfaar_core.stages.generate import Generator, part
from kfaar_core.stages.identify import FaceReader, IdentityMap
from kfaar_core.stages.invert import Inverter
from kfaar_core.stages.linear import unit
from kfaar_core.stages.locate import LocatedFace
from kfaar_core.targets import Target
from kfaar_core.weights import our_weight

KEY_LENGTHS = (8, 128, 256)  # bits  [paper, Table XI]
RELEASED = "released-code"  # the variant's name
VIRTUAL = 0.6  # weight of P's styles in the mixed layers  [the authors' released code]
log = logging.getLogger(__name__)


class BitsProjector:
    """The projector P: an MLP for each key length, followed by the mapping network M and truncation."""

    def __init__(self, states: Mapping[int, State], generator: Generator) -> None:
        """
        Args:
            states: key bits -> state dict: `net.*` of BitsNet, `feature.mean` (D,), `feature.scale` (),
                `truncation` ().
            generator: for M and the mean style.
        """
        self._states, self._generator = states, generator
        self._nets = {bits: bits_net(state, bits) for bits, state in states.items()}

    @torch.inference_mode()
    def __call__(self, feature: np.ndarray, key: UserKey) -> Projected:
        """Map the embedding (D,) by E and a key of 8, 128 or 256 bits to a latent.

        Raises:
            BadKey: another key length.
        """
        bits = checked_bits(key, self._states)  # (b,) of +-1
        state, mean = self._states[len(bits)], self._generator.w_mean.cpu()
        z = (torch.from_numpy(feature).float() - state["feature.mean"].float()) / float(state["feature.scale"])
        w = self._generator.map(self._nets[len(bits)](z[None], bits[None]).to(self._generator.w_mean.device)).cpu()
        w = mean + float(state["truncation"]) * (w - mean)  # (1, 512)
        return Projected(latent=w.expand(GROUPS, -1).clone())


def bits_net(state: State, bits: int) -> BitsNet:
    """The projector's network for keys of `bits` bits, in evaluation mode.

    Args:
        state: `net.*` of BitsNet.
    """
    hidden, width = state["net.layers.0.weight"].shape
    net = BitsNet(width - bits, bits, hidden).eval().requires_grad_(False)
    net.load_state_dict(part(state, "net."))
    return net


def checked_bits(key: UserKey, lengths: Iterable[int]) -> Tensor:
    """The bits of a key as (b,) float32, +1 for a one and -1 for a zero.

    Args:
        key: its length is checked.
        lengths: key lengths that have a network, bits.

    Raises:
        BadKey: no network for that key length.
    """
    if key.bits not in lengths:
        known = ", ".join(map(str, sorted(lengths)))
        raise BadKey(
            got=f"a key of {key.bits} bits, and the method `bits` has networks for {known} bits only",
            mend="take a key of such a length, or the method hashed",
        )
    return torch.from_numpy(key.signs())


class BitsIdentifier:
    """The identifier I: an MLP for each key length over the features of x_v and the bits (Alg. 2, Condition 2)."""

    def __init__(self, identity: IdentityMap, states: Mapping[int, State]) -> None:
        """
        Args:
            identity: I(x) for photos.
            states: key bits -> state dict of KeyedNet.
        """
        self._identity = identity
        self._nets = {}
        for bits, state in states.items():
            hidden, width = state["layers.0.weight"].shape
            net = KeyedNet(width - bits, bits, identity.dimension, hidden).eval().requires_grad_(False)
            net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
            self._nets[bits] = net

    @property
    def dimension(self) -> int:
        return self._identity.dimension

    def original(self, features: np.ndarray) -> np.ndarray:
        return self._identity(features)

    def virtual(self, features: np.ndarray, key: UserKey) -> np.ndarray:
        return self._answer(features, checked_bits(key, self._nets))

    def keyless(self, features: np.ndarray) -> np.ndarray:
        """The identity as if x_v were a photo, and the output of each network for zeros in place of the bits (+-1)."""
        blank = [self._answer(features, torch.zeros(bits)) for bits in self._nets]
        return np.stack([self.original(features), *blank])

    @torch.inference_mode()
    def _answer(self, features: np.ndarray, bits: Tensor) -> np.ndarray:
        read = torch.from_numpy(np.atleast_2d(features)).float()
        identities = self._nets[len(bits)](read, bits.expand(len(read), -1)).double().numpy()
        return unit(identities.reshape(*features.shape[:-1], -1))


def build(shared: SharedStages) -> MethodNetworks:
    """Load P, I and F. The identity u is a linear map of E's embedding."""
    identity = IdentityMap(shared.load("projector_hashed"))
    projectors = {length: shared.load(f"projector_bits_{length}") for length in KEY_LENGTHS}
    keyed = {length: shared.load(f"kvfa_bits_{length}") for length in KEY_LENGTHS}
    return MethodNetworks(
        encoder=shared.encoder,
        identity=identity,
        projector=BitsProjector(projectors, shared.generator),
        identifier=BitsIdentifier(identity, keyed),
        reader=FaceReader(shared.load("kvfa"), shared.device),
    )


def networks(bits: int) -> tuple[str, ...]:
    """The names of the weights of P and KVFA for one key length."""
    return f"projector_bits_{bits}", f"kvfa_bits_{bits}"


def tiny_weights(name: str) -> State:
    """Random weights for the preset tiny, with the tensor names of the real ones."""
    if name == "kvfa":
        return tiny.reader_state()
    if name == "projector_hashed":
        return tiny.identity_state()
    for bits in KEY_LENGTHS:
        projector, keyed = networks(bits)
        if name == projector:
            scaling = {
                "feature.mean": torch.zeros(tiny.FEATURES),
                "feature.scale": torch.ones(()),
                "truncation": torch.ones(()),
            }
            return tiny.initial_state(partial(BitsNet, tiny.FEATURES, bits, tiny.HIDDEN), bits, prefix="net.") | scaling
        if name == keyed:
            width = tiny.FEATURES + tiny.STYLES_READ + tiny.DIMENSION
            return tiny.initial_state(partial(KeyedNet, width, bits, tiny.DIMENSION, tiny.HIDDEN), bits + 1)
    raise KeyError(name)


LIMITS = (
    "One network for one key length. A key that shares most bits with the right one reads nearly what the right one "
    "does. Read the targets that its method misses (`missed` in this card) before relying on it. It was trained on "
    "faces of LFW and of the generator: children, dark skin and covered faces are rare in them and served worse."
)


class ReleasedMixing:
    """Style mixing of the released code: the photo's coarse layers, and 40 % of it in all others.

    There, StyleGAN2 at 256 px has 14 layers: 0 to 3 are the photo's, inverted by a trained encoder (e4e), and 4 to 13
    are mixed. Here the photo is inverted by gradient descent, and layers come in three groups; with StyleGAN2 the
    coarse group is layers 0 to 3.
    """

    def __init__(self, inverter: Inverter) -> None:
        self._inverter = inverter

    def __call__(self, latent: Tensor, photo: Photo, face: LocatedFace) -> Tensor:
        own = self._inverter(photo, face).to(latent)
        return torch.cat((own[:1], torch.lerp(own[1:], latent[1:], VIRTUAL)))


def build_released(shared: SharedStages) -> MethodNetworks:
    """P of the method, mixed with the inverted photo."""
    assert shared.low_band is not None  # every preset that generates has it
    log.warning(
        "bits:%s mixes the photo into the virtual face, as the authors' released code does: the face carries the "
        "original person. Use it for measurements only",
        RELEASED,
    )
    inverter = Inverter(shared.low_band(torch.float32), shared.encoder, shared.generator.w_mean)
    built = build(shared)
    return MethodNetworks(encoder=built.encoder, projector=built.projector, blend=ReleasedMixing(inverter))


def variant(text: str) -> Method:
    """The method `bits:released-code`.

    Raises:
        BadSetting: another argument.
    """
    if text != RELEASED:
        raise BadSetting(got=f"the method bits with the argument {text!r}", mend=f"write bits, or bits:{RELEASED}")
    return replace(
        METHOD,
        name=f"bits-{RELEASED}",
        label="key bits, mixed with the photo (released code)",
        about="for measurements: the style mixing of the authors' released code, which carries the original person "
        "into the virtual face",
        order=14,
        build=build_released,
        readable=False,
        variant=None,
        argument="",
        targets={},
    )


METHOD = Method(
    name="bits",
    label="trained, key bits (bits)",
    about="the paper's own: an MLP over the bits of the key, one pair of networks each for 8, 128 and 256 bits",
    limits=LIMITS,
    order=3,
    build=build,
    tiny_weights=tiny_weights,
    registers=tuple(our_weight(name, limits=LIMITS) for bits in KEY_LENGTHS for name in networks(bits)),
    weights=lambda bits: ("projector_hashed", "kvfa", *networks(bits)),
    networks=networks,
    key_lengths=KEY_LENGTHS,
    variant=variant,
    argument=RELEASED,
    targets={
        "scenario 2": Target(below_paper=True),  # without a key, or with a wrong one: below the paper's mean
        "scenario 3": Target(below_paper=True),
        "scenario 2, largest": None,
        "scenario 3, largest": None,
        "scenario 4, same photo": Target(at_least=0.80),
        "1 wrong bit": Target(below=0.7),
    },
)
