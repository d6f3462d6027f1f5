"""EvaluationContext: stages, data and cache of one evaluation run, and what its pictures look like to the networks.

A picture is made, looked at and forgotten; what the networks saw in it stays in the cache. What is to be seen is asked
for by a request, a small frozen record, so that several processes can fill the cache before a table is computed from
it (jobs.py). The name of an entry holds what it depends on and nothing else: a real photo does not depend on the
method, and no features depend on a threshold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from kfaar_core import image, methods, weights
from kfaar_core.assemble import Stages, assemble
from kfaar_core.calibration import Calibration
from kfaar_core.data.cache import ArrayCache, content_key
from kfaar_core.data.photos import Dataset, open_dataset
from kfaar_core.data.synthetic import SYNTHETIC, synthetic_people
from kfaar_core.errors import BadPicture, NoFaceFound
from kfaar_core.files import cache_folder
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.presets import Preset
from kfaar_core.records import Photo
from kfaar_core.runtime import stream
from kfaar_core.servers import AnonymisationServer

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # done, of
Arrays = Mapping[str, np.ndarray]

# Whom the data name of all in a photo: LFW took the face in the middle of the picture, CelebA was aligned by it, and a
# bystander may be larger. Of a virtual picture the largest face counts, as for the authentication server.
NAMED = "central"
VERSION = 5  # of the code that looks; a change of what it sees takes the next number, and old entries are not read
LOOKERS = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet", "geometry", "sface", "dlib_resnet", "judge")  # see any photo
LOOKING = ("detect_min", "detect_side", "face_min", "side", "encoder", "judge")  # fields of a preset that they follow
# A look depends neither on how it is read nor on a threshold, and the looks of an evaluation never take a later key.
UNRELATED = ("match_threshold", "threshold_in_force", "whole_share", "rekey_tries", "look_min", "tries_per_hour")


@dataclass(frozen=True)
class FaceFeatures:
    """What the networks see in one picture."""

    features: np.ndarray  # (S,) what KVFA reads; of a photo what u is made of alone, with which every features begins
    judge: np.ndarray  # (D',) centred unit feature of the judge


class Request(Protocol):
    """Something to be seen once: a frozen record of plain fields, which may travel to another process."""

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        """All that the answer depends on besides the fields of the request."""

    def arrays(self, context: EvaluationContext) -> Arrays:
        """What is seen.

        Raises:
            NoFaceFound, BadPicture: nothing to see.
        """


@dataclass(frozen=True)
class EvaluationConfig:
    """What a context is opened from, in every process alike."""

    preset: Preset  # the method and the length of keys among the rest
    data: str | None  # see evaluate.data; `synthetic` for people who do not exist
    limit: int | None = None  # people at most
    seed: int = 0
    threads: int = 0  # of the CPU runtime
    calibrated: bool = True  # False: the thresholds are what the run is for
    jobs: int = 1  # processes that fill the cache

    def open(self, progress: Progress | None = None) -> EvaluationContext:
        """
        Raises:
            DataMissing: no such data. BadSetting, BadWeights: see stages.assemble.
        """
        calibration = None if self.calibrated else Calibration.unset()
        stages = assemble(self.preset, threads=self.threads, calibration=calibration)
        cache = ArrayCache(cache_folder("evaluate"))
        used = hashes(self.preset)
        if self.data == SYNTHETIC:
            data = synthetic_people(stages, cache, self.seed, self.limit, used.get("mobile_stylegan", ""))
        else:
            data = open_dataset(self.data)
        return EvaluationContext(self, stages, AnonymisationServer(stages), data, cache, used, progress)


@dataclass(frozen=True)
class EvaluationContext:
    """Stages, data and cache of one run."""

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

    def key(self, purpose: str, bits: int | None = None) -> UserKey:
        """An evaluation key: it follows from the seed and a name, and is never a user's.

        Args:
            bits: None takes the preset's length.
        """
        size = (bits or self.stages.preset.key_bits) // 8
        return UserKey(stream(self.seed, f"key: {purpose}").bytes(size))

    def wrong_key(self, purpose: str, right: UserKey) -> UserKey:
        """A random key of the same length that is not the right one."""
        wrong = self.key(purpose, right.bits)
        return wrong if wrong != right else wrong.next()

    def photo(self, index: int) -> Photo:
        return image.open_photo(self.data.read(index))

    def anonymised(self, photo: Photo, purpose: str, bits: int | None = None, face: str = NAMED) -> Photo:
        """The virtual face of a photo under an evaluation key, as a picture that was saved and opened again."""
        request = AnonymiseRequest(photo=photo, key=self.key(purpose, bits), face=face)
        return image.from_array(self.server.anonymise(request).portrait)

    def real(self, index: int) -> FaceFeatures | None:
        """The look of a real photo; None when no usable face is found."""
        return features(self.ask(Real(index)))

    def plain_look(self, photo: Photo, face: str = "largest") -> Arrays:
        """What E and the judge see in any picture, whatever the method."""
        points = self.stages.locator.locate(photo, face).landmarks
        features = self.stages.encoder.embed(photo.pixels, points)
        return {"features": features, "judge": self.stages.judge.embed_normalised(photo.pixels, points)}

    def keyed_look(self, photo: Photo) -> Arrays:
        """What KVFA and the judge see in a virtual face."""
        points = self.stages.locator.locate(photo).landmarks
        features = self.stages.features(photo.pixels, points)
        return {"features": features, "judge": self.stages.judge.embed_normalised(photo.pixels, points)}

    def lookers(self) -> dict[str, object]:
        """What plain_look depends on."""
        return {
            "preset": {name: getattr(self.stages.preset, name) for name in LOOKING},
            "feature": self.stages.identity.width,  # with or without what stands behind E's own
            "weights": {name: digest for name, digest in self.used.items() if name in LOOKERS},
        }

    def makers(self, bits: int) -> dict[str, object]:
        """What a virtual face under a key of so many bits, and keyed_look, depend on."""
        preset = replace(self.stages.preset, key_bits=bits)
        return {
            "preset": {name: value for name, value in vars(preset).items() if name not in UNRELATED},
            "weights": hashes(preset, bits),
            "seed": self.seed,
        }

    def name_of(self, request: Request) -> str:
        """The cache entry of a request."""
        return content_key(version=VERSION, request=request, depends=request.depends(self))

    def ask(self, request: Request) -> Arrays:
        """What was seen, from the cache if it is there; empty where no usable face was found."""
        entry = self.name_of(request)
        found = self.cache.get(entry)
        if found is None:
            try:
                found = dict(request.arrays(self))
            except (NoFaceFound, BadPicture) as error:
                log.info("no look: %s", type(error).__name__)
                found = {}
            self.cache.put(entry, **found)
        return found


@dataclass(frozen=True)
class Real:
    """A photo of the data."""

    index: int

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.lookers(), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        return context.plain_look(context.photo(self.index), NAMED)


@dataclass(frozen=True)
class Virtual:
    """The virtual face of a photo of the data."""

    index: int
    purpose: str  # of the key
    bits: int  # of the key
    rounds: int = 1  # how often it goes through HPVFG with that key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.makers(self.bits), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        photo = context.anonymised(context.photo(self.index), self.purpose, self.bits)
        for _ in range(1, self.rounds):
            photo = context.anonymised(photo, self.purpose, self.bits, face="largest")
        return context.keyed_look(photo)


def features(found: Arrays) -> FaceFeatures | None:
    """The features that arrays hold, or None where no face was found."""
    return FaceFeatures(found["features"], found["judge"]) if found else None


def hashes(preset: Preset, bits: int | None = None) -> dict[str, str]:
    """The pinned sha256 of the weights that a preset's method uses; the tiny preset has none.

    Args:
        bits: for keys of that length alone; None: for every length.
    """
    if preset.name == "tiny":
        return {}
    method = methods.get(preset.method)
    others = {name for other in methods.registered() for name in other.all_weights()}
    own = set(method.all_weights() if bits is None else method.weights(bits))
    return {
        name: weights.pin_of(weight).sha256
        for name, weight in weights.WEIGHTS.items()
        if name in own or name not in others
    }
