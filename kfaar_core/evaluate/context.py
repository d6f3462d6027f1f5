"""EvaluationContext: stages, data and cache of one evaluation run.

Features of pictures are cached; the pictures themselves are not kept. A table asks for features by requests, small
frozen records. Several processes can answer the requests and fill the cache before the table is computed (jobs.py). The
key of a cache entry contains only what the features depend on: those of a real photo do not depend on the method, and
none depend on a threshold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from kfaar_core import cast, image, methods, weights
from kfaar_core.assemble import Stages, assemble
from kfaar_core.calibration import Calibration
from kfaar_core.data.cache import ArrayCache, content_key
from kfaar_core.data.photos import Dataset, open_dataset
from kfaar_core.data.synthetic import SYNTHETIC, synthetic_people
from kfaar_core.errors import BadPicture, BadSetting, NoFaceFound
from kfaar_core.evaluate.observers import Observation, Observers, observers
from kfaar_core.files import cache_folder
from kfaar_core.keys import UserKey
from kfaar_core.metrics.pose import landmark_error
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.presets import Preset
from kfaar_core.records import Photo, VirtualFace
from kfaar_core.runtime import stream
from kfaar_core.servers import AnonymisationServer
from kfaar_core.stages.animate import Animator
from kfaar_core.stages.locate import five_points

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # done, of
Arrays = Mapping[str, np.ndarray]

# Which face of a photo the label belongs to: the central one in LFW and CelebA; a bystander's may be larger. In virtual
# pictures the largest face is used, as by the authentication server.
LABELLED = "central"
VERSION = 6  # of the code that computes features; increase it when they change, to invalidate cached entries
# Preset fields that the embeddings of a real photo depend on.
ENCODER_SETTINGS = ("detect_min", "detect_side", "face_min", "side", "encoder", "judge")
# Preset fields that features do not depend on: thresholds, the comparison, and retries, which evaluations do not use.
UNRELATED = (
    "match_threshold",
    "threshold_in_force",
    "whole_share",
    "rekey_tries",
    "look_min",
    "tries_per_hour",
)
# Fields that came later, with the value that keeps earlier entries of the cache valid.
LATER = {"corrector": "latent"}


@dataclass(frozen=True)
class FaceFeatures:
    """Features of one face."""

    features: np.ndarray  # (S,) that KVFA compares, see identify.features_of; of a photo only the embedding
    judge: np.ndarray  # (D',) embedding by the judge, centred, unit length
    seen: Observation  # sex, age, expression, colours and an embedding by networks that only evaluate


class Request(Protocol):
    """A cached computation: a frozen record of plain fields, which can be sent to another process."""

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        """Everything that the result depends on besides the fields of the request, for the cache key."""

    def arrays(self, context: EvaluationContext) -> Arrays:
        """Compute the result.

        Raises:
            NoFaceFound, BadPicture: no usable face.
        """


@dataclass(frozen=True)
class EvaluationConfig:
    """The settings of an evaluation, from which every process opens its context."""

    preset: Preset  # includes the method and the length of keys
    data: str | None  # see data.photos.open_dataset; `synthetic` for synthetic people
    limit: int | None = None  # most people; None takes all
    seed: int = 0
    threads: int = 0  # of the CPU runtime; 0 lets it choose
    calibrated: bool = True  # False for the run that sets the thresholds
    jobs: int = 1  # number of processes, or of workers of the cluster
    engine: str = "processes"  # or "ray", see evaluate.cluster
    gpus: float = 0  # of each worker of the cluster; several can share one
    judge_weights: Path | None = None  # of SphereFace, a file of the user's

    def open(self, progress: Progress | None = None) -> EvaluationContext:
        """Load the stages and open the data.

        Args:
            progress: called with (done, of) faces.

        Raises:
            DataMissing: the data do not exist.
            BadSetting, BadWeights: see kfaar_core.assemble.
        """
        if self.judge_weights is not None:
            weights.use("sphereface", self.judge_weights)
        calibration = None if self.calibrated else Calibration.unset()
        stages = assemble(self.preset, threads=self.threads, calibration=calibration)
        if self.data == SYNTHETIC and isinstance(stages.corrector, Animator):
            raise BadSetting(
                got=f"synthetic people, whom the preset {self.preset.name} cannot give a posture of their own",
                mend="give photos of people with --data",
            )
        cache, used = ArrayCache(cache_folder("evaluate")), hashes(self.preset)
        if self.data == SYNTHETIC:
            data = synthetic_people(stages, cache, self.seed, self.limit, generator_sha256(self.preset, used))
        else:
            data = open_dataset(self.data)
        return EvaluationContext(self, stages, AnonymisationServer(stages), data, cache, used, progress)


@dataclass(frozen=True)
class EvaluationContext:
    """Stages, data and cache of one evaluation run."""

    config: EvaluationConfig
    stages: Stages
    server: AnonymisationServer
    data: Dataset
    cache: ArrayCache
    used: Mapping[str, str]  # weight name -> sha256
    progress: Progress | None = None

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def generator_sha256(self) -> str:
        """Of the generator's weights, for cache keys."""
        return generator_sha256(self.stages.preset, self.used)

    def key(self, purpose: str, bits: int | None = None) -> UserKey:
        """An evaluation key, a function of the seed and `purpose`.

        Args:
            purpose: names the key.
            bits: length; None takes the preset's.
        """
        size = (bits or self.stages.preset.key_bits) // 8
        return UserKey(stream(self.seed, f"key: {purpose}").bytes(size))

    def wrong_key(self, purpose: str, right: UserKey) -> UserKey:
        """An evaluation key of the same length that differs from the right one."""
        wrong = self.key(purpose, right.bits)
        return wrong if wrong != right else wrong.next()

    def photo(self, index: int) -> Photo:
        """Decode a photo of the data set."""
        return replace(image.open_photo(self.data.read(index)), name=self.data.samples[index].file)

    def virtual(self, photo: Photo, purpose: str, bits: int | None = None, face: str = LABELLED) -> VirtualFace:
        """Anonymise a photo with the evaluation key of this purpose."""
        return self.server.anonymise(AnonymiseRequest(photo=photo, key=self.key(purpose, bits), face=face))

    def anonymised(self, photo: Photo, purpose: str, bits: int | None = None, face: str = LABELLED) -> Photo:
        """Anonymise a photo with the evaluation key of this purpose; the portrait as a new photo."""
        return image.from_array(self.virtual(photo, purpose, bits, face).portrait)

    def real(self, index: int) -> FaceFeatures | None:
        """The features of a photo of the data set; None if it has no usable face."""
        return features(self.ask(Real(index)))

    def encoder_features(self, photo: Photo, face: str = "largest") -> Arrays:
        """FaceFeatures of a photo as arrays: embeddings by E and the judge, and what the observers see."""
        points = self.stages.locator.locate(photo, face).landmarks
        return {"features": self.stages.encoder.embed(photo.pixels, points), **self._judged(photo, points)}

    def kvfa_features(self, photo: Photo, points: np.ndarray | None = None) -> Arrays:
        """The fields of FaceFeatures and of Observation of one virtual face, by name, as the cache stores them.

        Args:
            photo: the virtual face.
            points: (478, 2) px or (478, 3) px, its landmarks; depth is not used. None detects the face.

        Raises:
            NoFaceFound: no face was detected.
        """
        if points is None:
            points = self.stages.locator.locate(photo).landmarks
        return {"features": self.stages.features(photo.pixels, points), **self._judged(photo, points)}

    def _judged(self, photo: Photo, points: np.ndarray) -> Arrays:
        seen = observers(self.stages.device)(photo.pixels, points)
        return {"judge": self.stages.judge.embed_normalised(photo.pixels, points), **vars(seen)}

    def encoder_dependencies(self) -> dict[str, object]:
        """What encoder_features depends on, for cache keys."""
        preset = self.stages.preset
        return {
            "preset": {name: getattr(preset, name) for name in ENCODER_SETTINGS},
            # Differs if more than E's embedding is used.
            "feature": self.stages.identity.width if self.stages.method.readable else 0,
            "weights": {name: digest for name, digest in self.used.items() if name in embedding_weights(preset)},
            "observers": Observers.pins(),
        }

    def virtual_dependencies(self, bits: int) -> dict[str, object]:
        """What a virtual face under a key of `bits` bits and its kvfa_features depend on, for cache keys."""
        preset, content = replace(self.stages.preset, key_bits=bits), self.stages.content
        # Only a method that takes the look from the key depends on how looks are drawn and held.
        unrelated = UNRELATED if "looks" in self.stages.method.all_weights() else (*UNRELATED, "looks")
        return {
            "preset": {n: v for n, v in vars(preset).items() if n not in unrelated and LATER.get(n) != v},
            "weights": hashes(preset, bits),
            "observers": Observers.pins(),
            "seed": self.seed,
            **({"content": content} if content else {}),
        }

    def name_of(self, request: Request) -> str:
        """The cache key of a request. Without keys, the faces of all keys are one."""
        if isinstance(request, Virtual) and not self.stages.method.keyed:
            request = replace(request, purpose="")
        return content_key(version=VERSION, request=request, depends=request.depends(self))

    def ask(self, request: Request) -> Arrays:
        """The result of a request, cached; empty if there is no usable face."""
        entry = self.name_of(request)
        arrays = self.cache.get(entry)
        if arrays is None:
            try:
                arrays = dict(request.arrays(self))
            except (NoFaceFound, BadPicture) as error:
                log.info("no features: %s", type(error).__name__)
                arrays = {}
            self.cache.put(entry, **arrays)
        return arrays


@dataclass(frozen=True)
class Real:
    """Request: the embeddings of a photo of the data set."""

    index: int

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.encoder_dependencies(), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        return context.encoder_features(context.photo(self.index), LABELLED)


@dataclass(frozen=True)
class Virtual:
    """Request: the features of the virtual face of a photo of the data set."""

    index: int  # of the photo
    purpose: str  # of the key, see EvaluationContext.key
    bits: int  # length of the key
    rounds: int = 1  # how often it is anonymised with that key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.virtual_dependencies(self.bits), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        face = context.virtual(context.photo(self.index), self.purpose, self.bits)
        for _ in range(1, self.rounds):
            face = context.virtual(image.from_array(face.portrait), self.purpose, self.bits, face="largest")
        found = context.kvfa_features(image.from_array(face.portrait), face.landmarks)
        marks = [posture.landmarks[:, :2] for posture in (face.posture_original, face.posture_after)]
        error = landmark_error(marks[0][None], marks[1][None], five_points(marks[0])[None, :2])
        return {**found, "detected": np.array(face.detected), "error": error, "confidence": np.array([face.confidence])}


def was_detected(arrays: Arrays) -> bool:
    """Whether the detector found the face of a Virtual. An edited face is compared even where it did not."""
    return bool(arrays) and bool(arrays.get("detected", True))


def features(arrays: Arrays) -> FaceFeatures | None:
    """The features in the result of a request; None if there was no face."""
    if not arrays:
        return None
    return FaceFeatures(arrays["features"], arrays["judge"], Observation.of(arrays))


def embedding_weights(preset: Preset) -> tuple[str, ...]:
    """The names of the weights that the embeddings of a real photo depend on."""
    return (*cast.DETECTOR, "geometry", *cast.NETWORKS[preset.encoder], *cast.NETWORKS[preset.judge])


def generator_sha256(preset: Preset, used: Mapping[str, str]) -> str:
    """The hash of the generator's weights; empty for the preset tiny."""
    return "".join(used.get(name, "") for name in cast.NETWORKS[preset.generator])


def hashes(preset: Preset, bits: int | None = None) -> dict[str, str]:
    """The pinned sha256 of what a preset's method makes faces and verdicts with. Empty for the preset tiny.

    Observers are left out. Name -> 64 hex digits.

    Args:
        bits: only the weights for keys of this length; None for all lengths.
    """
    if preset.name == "tiny":
        return {}
    method = methods.get(preset.method)
    own = set(method.all_weights() if bits is None else method.weights(bits))
    if preset.name != "lab":
        names = (*cast.needed(preset), *sorted(weights.trained_for(preset.name, name) for name in own))
        return {name: weights.pin_of(weights.entry(name)).sha256 for name in names}
    others = {name for other in methods.registered() for name in other.all_weights()}
    return {
        name: weights.pin_of(weight).sha256
        for name, weight in weights.WEIGHTS.items()
        if (name in own or name not in others) and name not in cast.PUBLISHED and not weight.observer
    }
