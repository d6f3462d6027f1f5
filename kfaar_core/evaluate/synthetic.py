"""People who do not exist, as a data set: what a machine without real photos, such as CI, can be measured on.

Each has two photos: one latent, rendered in two postures. Everything follows from a seed and the committed generator.
The figures are not those of real people: E sees generated faces only.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from kfaar_core.evaluate.cache import ArrayCache, content_key
from kfaar_core.evaluate.data import Dataset, Sample
from kfaar_core.runtime import stream
from kfaar_core.stages.assemble import Stages
from kfaar_core.train import examples

SYNTHETIC = "synthetic"  # the name of the data set
PEOPLE = 20  # when no limit says otherwise
PHOTOS = 2


class SyntheticSource:
    """Photos that are rendered when they are read; they may be kept, since they show nobody."""

    def __init__(self, stages: Stages, cache: ArrayCache, seed: int, people: int, recipe: Mapping[str, object]) -> None:
        self._stages, self._cache, self._seed = stages, cache, seed
        self._digest = content_key(recipe=recipe, seed=seed)
        numbers = [(person, photo) for person in range(people) for photo in range(PHOTOS)]
        self._numbers = numbers
        self.samples = tuple(Sample(f"nobody {person:04d}", f"{person:04d}-{photo}.png") for person, photo in numbers)

    def read(self, index: int) -> bytes:
        person, photo = self._numbers[index]
        entry = content_key(synthetic=self._digest, person=person, photo=photo)
        found = self._cache.get(entry)
        if found is None:
            found = {"png": np.frombuffer(self._rendered(person, photo), dtype=np.uint8)}
            self._cache.put(entry, **found)
        return found["png"].tobytes()

    def sha256(self) -> str:
        return self._digest

    def _rendered(self, person: int, photo: int) -> bytes:
        latent = examples.person(self._stages, int(stream(self._seed, f"nobody {person}").integers(2**32)))
        yaw, pitch, smile = posture(self._seed, person, photo)
        file = io.BytesIO()
        Image.fromarray(examples.portrait(self._stages, latent, yaw, pitch, smile)).save(file, "PNG")
        return file.getvalue()


def posture(seed: int, person: int, photo: int) -> tuple[float, float, float]:
    """Yaw and pitch, degrees, and smile in [0, 0.8], spread as in photos of LFW (design: posture correction)."""
    draw = stream(seed, f"posture {photo} of nobody {person}")
    yaw, pitch = np.clip(draw.standard_normal(2), -1.5, 1.5) * (12.0, 6.0)
    return float(yaw), float(pitch), float(draw.uniform(0, 0.8))


def synthetic_people(
    stages: Stages, cache: ArrayCache, seed: int, people: int | None, generator_sha256: str
) -> Dataset:
    """The first so many of them; None takes PEOPLE."""
    recipe = {
        "version": 1,
        "generator": [stages.preset.generator, generator_sha256, stages.preset.precision],
        "truncation": examples.TRUNCATION,
        "steps": stages.preset.correct_steps,
        "turns": stages.preset.turn_steps,
    }
    return Dataset(SYNTHETIC, SyntheticSource(stages, cache, seed, people or PEOPLE, recipe))
