"""Laboratory: stages, data and cache of one evaluation run, and what its pictures look like to the networks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kfaar_core import image
from kfaar_core.errors import KfaarError
from kfaar_core.evaluate.cache import ArrayCache, content_key
from kfaar_core.evaluate.data import Dataset
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymisationServer
from kfaar_core.records import Photo
from kfaar_core.runtime import stream
from kfaar_core.stages.assemble import Stages

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # done, of


@dataclass(frozen=True)
class Look:
    """What the networks see in one picture."""

    sight: np.ndarray  # (S,) what KVFA reads; it begins with E's raw feature
    judge: np.ndarray  # (D',) centred unit feature of the judge


@dataclass(frozen=True)
class Laboratory:
    """Stages, data and cache of one run."""

    stages: Stages
    server: AnonymisationServer
    data: Dataset
    cache: ArrayCache
    seed: int
    used: dict[str, str]  # weight name -> sha256

    def key(self, purpose: str) -> UserKey:
        """An evaluation key: 256 bits that follow from the seed and a name, never a user's."""
        return UserKey(stream(self.seed, f"key: {purpose}").bytes(self.stages.preset.key_bits // 8))

    def photo(self, index: int) -> Photo:
        return image.open_photo(self.data.read(index))

    def real(self, index: int) -> Look | None:
        """The look of a real photo; None when no usable face is found."""
        return self._looked(("real", index), lambda: self.photo(index))

    def virtual(self, index: int, purpose: str) -> Look | None:
        """The look of the virtual face of a photo under an evaluation key, read back from the picture alone."""
        return self._looked(("virtual", index, purpose), lambda: self._anonymised(self.photo(index), purpose))

    def regenerated(self, index: int, purpose: str) -> Look | None:
        """Scenario 1: the virtual face and its right key through HPVFG once more."""

        def twice() -> Photo:
            return self._anonymised(self._anonymised(self.photo(index), purpose), purpose)

        return self._looked(("regenerated", index, purpose), twice)

    def _anonymised(self, photo: Photo, purpose: str) -> Photo:
        return image.from_array(self.server.anonymise(photo, self.key(purpose)).portrait)

    def _looked(self, what: tuple, make: Callable[[], Photo]) -> Look | None:
        entry = content_key(
            what=list(what), data=self.data.sha256, preset=self.stages.preset, seed=self.seed, weights=self.used
        )
        found = self.cache.get(entry)
        if found is None:
            try:
                photo = make()
                points = self.stages.landmarks(photo)
                sight = self.stages.sight(photo.pixels, points)
                found = {"sight": sight, "judge": self.stages.judge.of(photo.pixels, points)}
            except KfaarError as error:
                log.info("no look: %s", type(error).__name__)
                found = {"sight": np.zeros(0), "judge": np.zeros(0)}
            self.cache.put(entry, **found)
        return Look(found["sight"], found["judge"]) if found["sight"].size else None
