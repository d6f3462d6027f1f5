"""Load every stage of a preset with its weights. The networks of a method are built in the method's own file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from kfaar_core import cast, methods, runtime, weights
from kfaar_core.calibration import Calibration, load_calibration, load_judge_calibration
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, SharedStages
from kfaar_core.presets import Preset, get_preset
from kfaar_core.records import Face, Photo
from kfaar_core.stages import tiny
from kfaar_core.stages.compiled import Compiler
from kfaar_core.stages.correct import Corrector, LatentCorrector
from kfaar_core.stages.encode import FaceEncoder, load_auxiliary_encoder
from kfaar_core.stages.generate import Generator
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.identify import features_of
from kfaar_core.stages.judge import judge_features
from kfaar_core.stages.locate import Detector, FaceLocator, MtcnnDetector


@dataclass(frozen=True, kw_only=True)
class Stages(MethodNetworks):
    """Every stage of the paper's Fig. 3, loaded and frozen. One object can serve many threads."""

    preset: Preset
    method: Method
    device: torch.device
    locator: FaceLocator
    geometry: GeometryReader
    generator: Generator  # M and G
    corrector: Corrector  # G_f
    judge: FaceEncoder  # R
    calibration: Calibration
    own_thresholds: Mapping[int, float]  # key bits -> dev threshold, if each key length has its own networks

    @property
    def detector(self) -> Detector:
        return self.locator.detector

    @property
    def judge_threshold(self) -> float:
        """Cosine from which the judge accepts two faces as one person: FMR 1 % on dev people."""
        return self.calibration.judge_fmr_1

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of what an enrolled person depends on: the networks that draw, read and recognise them."""
        names = sorted({"mobile_stylegan", "sface", "geometry", *self.method.weights(self.preset.key_bits)})
        pins = [] if self.preset.name == "tiny" else [weights.pin_of(weights.entry(name)).sha256 for name in names]
        return hashlib.sha256(" ".join((self.preset.name, self.method.name, *pins)).encode()).digest()

    @property
    def enrolled_threshold(self) -> float:
        """Cosine of two photos' u from which both show the enrolled person: FMR 0.1 % on dev people.

        KVFA's threshold where that was not set.
        """
        set_on_dev = self.calibration.enrolled
        return self.kvfa_threshold if set_on_dev is None else set_on_dev

    @property
    def kvfa_threshold(self) -> float:
        """Cosine from which KVFA accepts two faces as one person, for keys of the preset's length."""
        return self.kvfa_threshold_for(None)

    def kvfa_threshold_for(self, key: UserKey | None) -> float:
        """The threshold of KVFA for one key; None stands for keys of the preset's length.

        Preset.threshold_in_force chooses between the paper's threshold and that set on dev people.
        """
        if self.preset.threshold_in_force == "paper":
            return self.preset.match_threshold
        return self.own_thresholds.get(key.bits if key else self.preset.key_bits, self.calibration.kvfa_dev)

    @property
    def marks(self) -> dict[str, float]:
        """Reference cosines for plots: name -> mean cosine on dev people, for example of strangers."""
        return dict(self.calibration.marks)

    def features(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """The features that KVFA compares, (S,) float32; see stages.identify.features_of."""
        return features_of(self.encoder, self.reader, picture, landmarks)

    def judge_cosines(self, photos: Sequence[Photo], faces: Sequence[Face | str] = ()) -> np.ndarray:
        """(N, N) cosines by the judge between one face of each of N photos.

        Args:
            faces: which face of each photo, as in FaceLocator.locate; empty takes the largest of each.

        Raises:
            NoFaceFound: a photo without a usable face.
        """
        features = judge_features(self.judge, self.locator, photos, faces)
        cosines: np.ndarray = features @ features.T
        return cosines


def load(preset: Preset | str = "lab", device: str = "auto", threads: int = 0) -> Stages:
    """Load every network of a preset and verify the hashes of its weights.

    Args:
        preset: a Preset or its name.
        device: auto, cpu or cuda.
        threads: of the CPU runtime; 0 lets it choose.

    Raises:
        BadSetting: unknown preset, method or device.
        BadWeights: a file is missing or altered.
    """
    return assemble(get_preset(preset) if isinstance(preset, str) else preset, device, threads)


def assemble(
    preset: Preset, device_name: str = "auto", threads: int = 0, calibration: Calibration | None = None
) -> Stages:
    """As `load`, with a calibration of the caller's.

    Args:
        preset: the Preset.
        device_name: auto, cpu or cuda.
        threads: of the CPU runtime; 0 lets it choose.
        calibration: None takes the committed one. The run that sets the thresholds gives Calibration.unset().

    Raises:
        BadSetting: an unknown method or device.
        BadWeights: a file is missing or altered.
    """
    device = runtime.device(device_name)
    method = methods.get(preset.method)
    if preset.name == "tiny":
        detector, geometry, encoder, judge, generator, posture = tiny.boxes(preset, device)
        shared = SharedStages(
            preset=preset,
            device=device,
            load=method.tiny_weights or weights.load,
            encoder=encoder,
            generator=generator,
            geometry=geometry,
            low_band=lambda _dtype: generator.render,
        )
        corrector = LatentCorrector(posture, generator, geometry, preset.correct_steps, preset.turn_steps)
        return _joined(method, shared, Boxes(detector, judge, corrector), Calibration.tiny(), {})
    cast.check_present(preset)
    lab = preset.encoder == "sface"
    made: Generator = cast.generator(preset, device, threads)
    shared = SharedStages(
        preset=preset,
        device=device,
        load=lambda name: weights.load(weights.trained_for(preset.name, name)),
        encoder=cast.encoder(preset, device),
        generator=made,
        geometry=GeometryReader(weights.load("geometry"), device),
        auxiliary=(lambda: load_auxiliary_encoder(device)) if lab else None,
        low_band=cast.low_band(preset, made, device),
        compiler=Compiler(preset.precision, threads) if lab and device.type == "cpu" else None,
    )
    boxes = Boxes(
        MtcnnDetector(preset, device),
        cast.judge(preset, device),
        cast.corrector(preset, made, shared.geometry, device),
    )
    if not method.readable:
        calibration = calibration or load_judge_calibration(preset.calibrated_as)
    thresholds = calibration or load_calibration(preset.calibrated_as, method.name, preset.key_bits)
    own = {} if calibration else own_thresholds(preset, method)
    return _joined(method, shared, boxes, thresholds, own)


@dataclass(frozen=True)
class Boxes:
    """The stages of a preset that no method asks for."""

    detector: Detector
    judge: FaceEncoder
    corrector: Corrector


def own_thresholds(preset: Preset, method: Method) -> dict[int, float]:
    """Key bits -> dev threshold; empty if the method has the same networks for all key lengths."""
    return {bits: load_calibration(preset.calibrated_as, method.name, bits).kvfa_dev for bits in method.key_lengths}


def _joined(
    method: Method,
    shared: SharedStages,
    boxes: Boxes,
    calibration: Calibration,
    own: Mapping[int, float],
) -> Stages:
    preset = shared.preset
    return Stages(
        **vars(method.build(shared)),
        preset=preset,
        method=method,
        device=shared.device,
        locator=FaceLocator(boxes.detector, shared.geometry, preset.side, shared.device),
        geometry=shared.geometry,
        generator=shared.generator,
        corrector=boxes.corrector,
        judge=boxes.judge,
        calibration=calibration,
        own_thresholds=own,
    )
