"""The method `hashed`, the default: trained networks behind a rotation that the key seeds, d = 64.

u = unit(W (E(x) - mu)) is the identity in d dimensions. SHAKE-256 of the key seeds a rotation O_k. The code is O_k u. A
trained network, which does not get the key itself, maps the code and key-seeded noise to the latent. KVFA decodes
h(x_v), an estimate of the code, and rotates it back by O_k^T. No learned layer uses the key, so one wrong bit is as bad
as a wrong key. The face is refined.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kfaar_core.key_schedule import normals, rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, Projected, SharedStages, State
from kfaar_core.nets.projector_net import GROUPS, LEADING, HashedNet
from kfaar_core.nets.sface import quickened
from kfaar_core.records import Payload
from kfaar_core.runtime import has_bfloat16
from kfaar_core.stages import tiny
from kfaar_core.stages.differentiable import FeatureExtractor
from kfaar_core.stages.encode import EncoderPair, FaceEncoder, widened
from kfaar_core.stages.generate import part
from kfaar_core.stages.identify import FaceReader, IdentityMap, RotationIdentifier
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader, unit
from kfaar_core.stages.refine import GeneratorBiasPenalty, RefinementNetworks, RefinementTargets, Refiner
from kfaar_core.weights import our_weight


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


class TwoViewReader:
    """h: the code decoded from the masked face, plus a small share of that decoded by E from the whole picture.

    The errors of the two are only partly correlated.
    """

    def __init__(self, face: LinearReader, whole: LinearReader, share: float) -> None:
        """
        Args:
            face: decodes the code from the features of E and F of the masked face.
            whole: decodes the code from E's embedding of the whole picture.
            share: weight of `whole`. It must stay small, because hair and background are not part of the face.
        """
        self._face, self._whole, self._share = face, whole, share

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(..., S) -> (..., d) of unit length."""
        return unit(self._face(features) + self._share * self._whole(features))


def build(shared: SharedStages) -> MethodNetworks:
    """Load P, I, F and the refiner."""
    hashed, kvfa = shared.load("projector_hashed"), shared.load("kvfa")
    trained_with = IdentityMap(hashed)  # u that P was trained with, from E's embedding alone
    identity = IdentityMap(shared.load("identity"))
    h = LinearReader(kvfa, "code", identity.width)
    reader = FaceReader(kvfa, shared.device, shared.encoder)
    pair = None
    if shared.auxiliary:
        pair = EncoderPair(widened(shared.encoder), shared.auxiliary())
    return MethodNetworks(
        encoder=pair or shared.encoder,
        identity=identity,
        projector=HashedProjector(hashed, identity),
        identifier=RotationIdentifier(identity, TwoViewReader(h, trained_with, shared.preset.whole_share)),
        reader=reader,
        refiner=refiner(shared, pair, reader, targets(shared, identity, trained_with, h)) if pair else None,
    )


def targets(
    shared: SharedStages, identity: IdentityMap, trained_with: IdentityMap, h: LinearReader
) -> RefinementTargets:
    """The read-outs of the refinement loss.

    Args:
        identity: u from both encoders.
        trained_with: u from E's embedding alone.
        h: decodes the code from the masked face.
    """
    hashed, auxiliary = shared.load("projector_hashed"), shared.load("second")
    # The auxiliary encoder's embedding is the last part of the features that u is computed from.
    last = IdentityMap(auxiliary, identity.width - len(auxiliary["identity.mean"]))
    bias = GeneratorBiasPenalty(trained_with.mean, shared.load("kvfa")["virtual.mean"].double().numpy())
    space = NaturalSpace({key: t.to(shared.device) for key, t in hashed.items() if key.startswith("natural.")})
    return RefinementTargets(h, trained_with, last, identity, bias, space, shared.load("posture_rows")["rows"])


def refiner(shared: SharedStages, pair: EncoderPair, reader: FaceReader, aims: RefinementTargets) -> Refiner | None:
    """Build the refiner; None if the preset has no refinement steps."""
    if not shared.preset.descent.steps or shared.low_band is None:
        return None
    halves = shared.preset.precision == "bf16" and has_bfloat16(shared.device)
    networks = RefinementNetworks(
        low_band=shared.low_band(torch.bfloat16 if halves else torch.float32),
        generator=shared.generator,
        geometry=shared.geometry,
        extractor=FeatureExtractor(
            quick(pair.main) if halves else pair.main, reader.net, shared.device, masked=True, auxiliary=pair.auxiliary
        ),
        gain=shared.load("posture")["gain"],
    )
    return Refiner(aims, networks, shared.preset.descent, shared.device, shared.preset.enrolment)


def quick(encoder: FaceEncoder) -> FaceEncoder:
    """A copy of E with pointwise convolutions in bfloat16 (nets.sface), for the steps of refinement."""
    return FaceEncoder(quickened(encoder.net), encoder.alignment, torch.zeros(1), encoder.device, flip=True)


def tiny_weights(name: str) -> State:
    """Random weights for the preset tiny, with the tensor names of the real ones."""
    if name == "posture_rows":
        return {"rows": torch.randn(54, 1536, generator=tiny.seeded(12)) / 100}
    if name in ("identity", "second"):
        return tiny.identity_state()
    if name == "projector_hashed":
        return {
            **tiny.initial_state(lambda: HashedNet(tiny.DIMENSION, tiny.NOISE, tiny.HIDDEN), 9, prefix="net."),
            **tiny.identity_state(),
            "natural.mean": torch.zeros(512),
            "natural.basis": torch.diag(torch.linspace(1.5, 0.5, 512)),
            "look.size": torch.tensor(0.3),
        }
    return tiny.reader_state()


WEIGHTS = ("projector_hashed", "kvfa", "identity", "posture_rows", "dlib_resnet", "second")
METHOD = Method(
    name="hashed",
    label="trained, hashed key (hashed)",
    about="trained networks behind a rotation that the key seeds, d = 64, refined until KVFA reads the code",
    order=2,
    build=build,
    tiny_weights=tiny_weights,
    registers=(
        our_weight(
            "identity",
            limits="Linear, for E and the auxiliary encoder as committed. It was fitted on photos of LFW, where "
            "children and dark skin are rare; two photos of such people may agree less well, and strangers more. Women "
            "are rare there too; they are up-weighted in the fit, and strangers among them still have a cosine above 0 "
            "(`rarer_side_strangers_cosine_mean`).",
        ),
        our_weight(
            "second",
            limits="Linear, for the auxiliary encoder as committed. Nobody is identified by it: it says which person "
            "that network sees in a virtual face.",
        ),
    ),
    weights=lambda _bits: WEIGHTS,
    networks=lambda _bits: ("projector_hashed", "kvfa"),
    refines=True,
    random_directions=True,
    # The threshold accepts at most this share of random directions, whatever the dev people would allow. It is half of
    # the target of 1e-4, to leave a margin for the sampling error of a test with random keys. (`floor` has too few
    # dimensions for this rule: it would reject most of its own faces. The keys of `bits` follow no law.) [design]
    random_key_max=5e-5,
)
