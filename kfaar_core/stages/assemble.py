"""Assemble: a preset -> every stage with its weights. The only place that knows which network stands in which box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kfaar_core import image, runtime, weights
from kfaar_core.calibration import Calibration, has_calibration, load_calibration
from kfaar_core.keys import UserKey
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.nets.judge_net import JudgeNet
from kfaar_core.nets.mobile_stylegan import Synthesis
from kfaar_core.nets.sface import SFace, WideSFace, quickened
from kfaar_core.presets import LAB, PROJECTORS, Preset, check_projector
from kfaar_core.records import Face, FaceCrop, Photo, Posture
from kfaar_core.stages import tiny
from kfaar_core.stages.correct import Corrector, LatentCorrector
from kfaar_core.stages.detect import Detector, MtcnnDetector, crop, five_points, in_photo
from kfaar_core.stages.differentiable import Sight
from kfaar_core.stages.encode import DLIB, JUDGE, SFACE, Alignment, Encoder, EncoderPair, Recogniser
from kfaar_core.stages.generate import Generator, OpenVinoGenerator, TorchGenerator, part, synthesis_of
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader
from kfaar_core.stages.project import (
    BitsProjector,
    FloorProjector,
    HashedProjector,
    IdentityMap,
    Projector,
)
from kfaar_core.stages.recognise import (
    BitsRecogniser,
    BothViews,
    FaceReader,
    Identifier,
    KeyedRecogniser,
)
from kfaar_core.stages.refine import Aims, Likeness, Refiner


@dataclass(frozen=True)
class Stages:
    """Every box of the paper's Fig. 3, loaded and frozen; shared by all callers."""

    preset: Preset
    device: torch.device
    detector: Detector
    geometry: GeometryReader
    encoder: Encoder  # E, in `hashed` with what its last layer is fed and a second recogniser
    judge: Recogniser  # R
    identity: IdentityMap
    projector: Projector  # P
    generator: Generator  # M and G
    corrector: Corrector  # G_f
    recogniser: Identifier  # I
    reader: FaceReader | None  # F, where it is trained
    calibration: Calibration
    own_thresholds: Mapping[int, float]  # dev's by key length, where each length has networks of its own

    @property
    def judge_threshold(self) -> float:
        """Cosine from which the judge calls two faces the same person: FMR 1 % on dev."""
        return self.calibration.judge_fmr_1

    @property
    def kvfa_threshold(self) -> float:
        """Cosine from which KVFA does; the preset says whether the paper's or dev's is in force."""
        return self.kvfa_threshold_for(None)

    def kvfa_threshold_for(self, key: UserKey | None) -> float:
        """The same for one key; None is a key of the preset's length."""
        if self.preset.threshold_in_force == "paper":
            return self.preset.match_threshold
        return self.own_thresholds.get(key.bits if key else self.preset.key_bits, self.calibration.kvfa_dev)

    @property
    def marks(self) -> dict[str, float]:
        """Reference marks for a picture of cosines: what strangers and two real photos of one person reach on dev."""
        return dict(self.calibration.marks)

    def tensor(self, picture: np.ndarray) -> Tensor:
        """(S, S, 3) or (N, S, S, 3) uint8 -> (N, 3, S, S) in [-1, 1] on the device."""
        return image.to_float(picture).to(self.device)

    def framed(self, photo: Photo, face: Face) -> tuple[FaceCrop, Posture]:
        """A face in the frame that its own landmarks define, and its posture there; MTCNN's points only begin it."""
        first = crop(photo, face, self.preset.side)
        points = in_photo(first, self.geometry.postures(self.tensor(first.picture))[0])
        second = crop(photo, face, self.preset.side, five_points(points))
        return second, self.geometry.postures(self.tensor(second.picture))[0]

    def landmarks(self, photo: Photo, face: Face | None = None) -> np.ndarray:
        """(478, 2) landmarks in photo px, of a detected face or of the largest one.

        Raises:
            NoFaceFound: no usable face.
        """
        return in_photo(*self.framed(photo, face or self.detector.pick(photo)))[:, :2]

    def sight(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """What KVFA reads from a face: (S,) float32 from (H, W, 3) uint8 and landmarks (478, 2+) in its px.

        The encoder's raw feature, which says who a photo shows, then what FaceReader sees of a virtual face.
        """
        feature = self.encoder.raw_of(picture, landmarks)
        return feature if self.reader is None else np.concatenate([feature, self.reader(picture, landmarks)])

    def sight_of(self, photo: Photo) -> np.ndarray:
        """`sight` of the largest face of a photo.

        Raises:
            NoFaceFound: no usable face.
        """
        return self.sight(photo.pixels, self.landmarks(photo))

    def judge_features(self, photos: Sequence[Photo]) -> np.ndarray:
        """(N, D) centred features of unit length of the judge.

        Raises:
            NoFaceFound: a photo without a usable face.
        """
        return np.stack([self.judge.of(photo.pixels, self.landmarks(photo)) for photo in photos])

    def judge_cosines(self, photos: Sequence[Photo]) -> np.ndarray:
        """(N, N) cosines between all of N pictures, by the judge."""
        features = self.judge_features(photos)
        cosines: np.ndarray = features @ features.T
        return cosines


FORM_WEIGHTS = {
    "floor": ("floor",),
    "hashed": ("projector_hashed", "kvfa", "identity", "posture_rows", "dlib_resnet", "second"),
    "bits": (
        "projector_hashed",
        "kvfa",
        *(f"projector_bits_{length}" for length in weights.KEY_LENGTHS),
        *(f"kvfa_bits_{length}" for length in weights.KEY_LENGTHS),
    ),
}


@dataclass(frozen=True)
class Form:
    """What differs between the forms of P and KVFA."""

    identity: IdentityMap
    projector: Projector  # P
    recogniser: Identifier  # I
    reader: FaceReader | None = None  # F
    aims: Aims | None = None  # of the refinement


def floor_form(state: Mapping[str, Tensor]) -> Form:
    """The linear floor."""
    identity = IdentityMap(state)
    return Form(identity, FloorProjector(state, identity), KeyedRecogniser(identity, LinearReader(state, "reader")))


def form_of(
    name: str,
    load: Callable[[str], Mapping[str, Tensor]],
    encoder: Recogniser,
    generator: Generator,
    device: torch.device,
    whole_share: float,
) -> Form:
    """One of PROJECTORS; `load` gives the weights of a name in the registry, `whole_share` is the preset's."""
    if name == "floor":
        return floor_form(load("floor"))
    hashed = load("projector_hashed")
    kvfa = load("kvfa")
    learned = IdentityMap(hashed)  # u that P of `hashed` learned with: of E's feature alone
    if name == "hashed":
        identity = IdentityMap(load("identity"))
        h, reader = LinearReader(kvfa, "code", identity.width), FaceReader(kvfa, device, encoder)
        state = load("second")
        beside = IdentityMap(state, identity.width - len(state["identity.mean"]))  # the end of what u is read from
        likeness = Likeness(learned.mean, kvfa["virtual.mean"].double().numpy())
        space = NaturalSpace({key: t.to(device) for key, t in hashed.items() if key.startswith("natural.")})
        return Form(
            identity,
            HashedProjector(hashed, identity),
            KeyedRecogniser(identity, BothViews(h, learned, whole_share)),
            reader,
            aims=Aims(h, learned, beside, identity, likeness, space, load("posture_rows")["rows"]),
        )
    projectors = {length: load(f"projector_bits_{length}") for length in weights.KEY_LENGTHS}
    keyed = {length: load(f"kvfa_bits_{length}") for length in weights.KEY_LENGTHS}
    return Form(learned, BitsProjector(projectors, generator), BitsRecogniser(learned, keyed), FaceReader(kvfa, device))


def available_projectors() -> tuple[str, ...]:
    """The forms of P whose weights and thresholds are there, the default first."""

    def present(form: str) -> bool:
        there = all(weights.find(name) for name in FORM_WEIGHTS[form])
        return there and has_calibration(LAB.name, form)

    return tuple(sorted(filter(present, PROJECTORS), key=lambda name: name != LAB.projector))


def assemble(
    preset: Preset, device_name: str = "auto", threads: int = 0, calibration: Calibration | None = None
) -> Stages:
    """Load a preset's networks.

    Args:
        calibration: None takes the committed one; the run that sets the thresholds gives Calibration.unset().
    Raises:
        BadSetting: an unknown projector or device.
        BadWeights: a file is missing or altered.
    """
    device = runtime.device(device_name)
    check_projector(preset.projector)
    if preset.name == "tiny":
        boxes = tiny.boxes(preset, device)
        form = form_of(preset.projector, tiny.weights, boxes[2], boxes[4], device, preset.whole_share)
        return _joined(preset, device, *boxes, form, None, None, Calibration.tiny(), {})
    generator_state = weights.load("mobile_stylegan")
    generator: Generator
    if device.type == "cuda":
        generator = TorchGenerator(generator_state, device)
    else:
        generator = OpenVinoGenerator(generator_state, preset.precision, threads)
    e = encoder(device)
    form = form_of(preset.projector, weights.load, e, generator, device, preset.whole_share)
    pair = EncoderPair(widened(e), second(device)) if preset.projector == "hashed" else None
    small = sight = None
    if pair and form.aims and form.reader and preset.descent.steps:
        halves = preset.precision == "bf16" and runtime.has_bfloat16(device)
        small = synthesis_of(generator_state, device, torch.bfloat16 if halves else torch.float32)
        quickest = quick(pair.first) if halves else pair.first
        sight = Sight(quickest, form.reader.net, device, masked=True, second=pair.second)
    return _joined(
        preset,
        device,
        MtcnnDetector(preset, device),
        GeometryReader(weights.load("geometry"), device),
        pair or e,
        recogniser(JudgeNet(), JUDGE, weights.load("judge"), device, flip=True),
        generator,
        weights.load("posture"),
        form,
        small,
        sight,
        calibration or load_calibration(preset.name, preset.projector, preset.key_bits),
        {} if calibration else _own_thresholds(preset),
    )


def _own_thresholds(preset: Preset) -> dict[int, float]:
    if preset.projector != "bits":
        return {}
    return {bits: load_calibration(preset.name, "bits", bits).kvfa_dev for bits in weights.KEY_LENGTHS}


def _joined(
    preset: Preset,
    device: torch.device,
    detector: Detector,
    geometry: GeometryReader,
    encoder: Encoder,
    judge: Recogniser,
    generator: Generator,
    posture: Mapping[str, Tensor],
    form: Form,
    small: Synthesis | None,
    sight: Sight | None,
    calibration: Calibration,
    own_thresholds: Mapping[int, float],
) -> Stages:
    """
    Args:
        encoder: E as it looks at photos, and at any whole picture.
        small: renders what faces are refined by; None leaves them as they are.
        sight: looks at them there.
    """
    refine = None
    if small and sight and form.aims:
        refine = Refiner(form.aims, posture["gain"], small, generator, geometry, sight, preset.descent, device)
    return Stages(
        preset=preset,
        device=device,
        detector=detector,
        geometry=geometry,
        encoder=encoder,
        judge=judge,
        identity=form.identity,
        projector=form.projector,
        generator=generator,
        corrector=LatentCorrector(posture, generator, geometry, preset.correct_steps, preset.turn_steps, refine),
        recogniser=form.recogniser,
        reader=form.reader,
        calibration=calibration,
        own_thresholds=own_thresholds,
    )


def encoder(device: torch.device, mean: Tensor | None = None) -> Recogniser:
    """E of the preset `lab`; the mirrored face counts as well.

    Args:
        mean: (128,) to centre by; None leaves features as they are, since linear readers centre them.
    """
    net = SFace()
    net.load_state_dict(weights.load("sface"))
    return Recogniser(net, SFACE, torch.zeros(1) if mean is None else mean, device, flip=True)


def second(device: torch.device) -> Recogniser:
    """The recogniser beside E in `hashed`; the mirrored face counts as well."""
    net = DlibResnet()
    net.load_state_dict(weights.load("dlib_resnet"))
    return Recogniser(net, DLIB, torch.zeros(1), device, flip=True)


def widened(e: Recogniser) -> Recogniser:
    """E with what its last layer is fed behind its feature (nets.sface); it shares the network of the one given."""
    assert isinstance(e.net, SFace)
    return Recogniser(WideSFace(e.net), e.alignment, torch.zeros(1), e.device, flip=True)


def quick(e: Recogniser) -> Recogniser:
    """A copy of E with pointwise convolutions in bfloat16 (nets.sface), for looks at a face that moves."""
    return Recogniser(quickened(e.net), e.alignment, torch.zeros(1), e.device, flip=True)


def recogniser(
    net: nn.Module, alignment: Alignment, state: Mapping[str, Tensor], device: torch.device, flip: bool
) -> Recogniser:
    """A recogniser from its state: the network, under `net.` where a training mean stands beside it."""
    inner = part(state, "net.") or {name: tensor.float() for name, tensor in state.items()}
    net.load_state_dict(inner)
    mean = state["mean"].float() if "mean" in state else torch.zeros(1)
    return Recogniser(net, alignment, mean, device, flip)
