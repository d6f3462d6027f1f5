"""What methods share whose key is a rotation: u, the reader of the code, KVFA, and the refinement of the face.

u = unit(W (E(x) - mu)) is the identity in d dimensions. SHAKE-256 of the key seeds a rotation O_k. The code is O_k u. A
method puts it into a face; KVFA decodes h(x_v), an estimate of the code, and rotates it back by O_k^T. No learned layer
uses the key, so one wrong bit is as bad as a wrong key.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from kfaar_core.methods.base import MethodNetworks, Projector, SharedStages, State
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.nets.projector_net import HashedNet
from kfaar_core.nets.sface import quickened
from kfaar_core.presets import Descent, Hold
from kfaar_core.runtime import has_bfloat16
from kfaar_core.stages import tiny
from kfaar_core.stages.compiled import CompiledDlib, compiled_low_band, compiled_sface
from kfaar_core.stages.differentiable import FeatureExtractor
from kfaar_core.stages.encode import EncoderPair, FaceEncoder, widened
from kfaar_core.stages.generate import part
from kfaar_core.stages.identify import FaceReader, IdentityMap, RotationIdentifier
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader, unit
from kfaar_core.stages.refine import GeneratorBiasPenalty, RefinementNetworks, RefinementTargets, Refiner

# kvfa, and the maps of projector_hashed that other methods use as well, are registered in kfaar_core.weights.
WEIGHTS = ("projector_hashed", "kvfa", "identity", "posture_rows", "dlib_resnet", "second")


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


def networks(
    shared: SharedStages,
    projector: Callable[[State, IdentityMap], Projector],
    descent: Descent,
    hold: Hold | None = None,
) -> MethodNetworks:
    """Load P, I, F and the refiner.

    Args:
        projector: makes P from the state of `projector_hashed` and the map to u.
        descent: how faces are refined. hold: what refinement must leave as it is; None for nothing.
    """
    hashed, kvfa = shared.load("projector_hashed"), shared.load("kvfa")
    trained_with = IdentityMap(hashed)  # u that P was trained with, from E's embedding alone
    identity = IdentityMap(shared.load("identity"))
    h = LinearReader(kvfa, "code", identity.width)
    reader = FaceReader(kvfa, shared.device, shared.encoder)
    pair, refiner = None, None
    if shared.auxiliary:
        pair = EncoderPair(widened(shared.encoder), shared.auxiliary())
        aims, seen = targets(shared, identity, trained_with, h), refinement_networks(shared, pair, reader)
        if seen and descent.steps:
            refiner = Refiner(aims, seen, descent, shared.device, shared.preset.enrolment, hold)
    return MethodNetworks(
        encoder=pair or shared.encoder,
        identity=identity,
        projector=projector(hashed, identity),
        identifier=RotationIdentifier(identity, TwoViewReader(h, trained_with, shared.preset.whole_share)),
        reader=reader,
        refiner=refiner,
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


def refinement_networks(shared: SharedStages, pair: EncoderPair, reader: FaceReader) -> RefinementNetworks | None:
    """What refinement renders and measures with; None if the preset has no generator with gradients."""
    if shared.low_band is None:
        return None
    halves = shared.preset.precision == "bf16" and has_bfloat16(shared.device)
    auxiliary = pair.auxiliary
    if shared.compiler and halves:  # in float32, computing the forward pass again would take longer than torch's
        low_band = compiled_low_band(part(shared.load("mobile_stylegan"), "synthesis."), shared.compiler)
        encoder = alike(pair.main, compiled_sface(part(pair.main.net.state_dict(), "narrow."), shared.compiler))
        assert isinstance(auxiliary.net, DlibResnet)
        auxiliary = alike(auxiliary, CompiledDlib(auxiliary.net, shared.compiler))
    else:
        low_band = shared.low_band(torch.bfloat16 if halves else torch.float32)
        encoder = alike(pair.main, quickened(pair.main.net)) if halves else pair.main
    return RefinementNetworks(
        low_band=low_band,
        generator=shared.generator,
        geometry=shared.geometry,
        extractor=FeatureExtractor(encoder, reader.net, shared.device, masked=True, auxiliary=auxiliary),
        gain=shared.load("posture")["gain"],
    )


def alike(encoder: FaceEncoder, net: nn.Module) -> FaceEncoder:
    """A copy of an encoder with a faster network, for the steps of refinement."""
    return FaceEncoder(net, encoder.alignment, torch.zeros(1), encoder.device, flip=True)


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
