"""A data set of synthetic people, for evaluation without real photos, for example in CI.

Each person is one latent, rendered in two postures. The pictures are determined by a seed and the committed generator.
Figures on synthetic people differ from those on real people, because E embeds generated faces only.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kfaar_core import image
from kfaar_core.assemble import Stages
from kfaar_core.data.cache import ArrayCache, content_key
from kfaar_core.data.photos import Dataset, Sample
from kfaar_core.files import write_whole
from kfaar_core.records import Posture
from kfaar_core.runtime import stream
from kfaar_core.stages.generate import GeneratedFace, w_plus

SYNTHETIC = "synthetic"  # the name of the data set
PEOPLE = 20  # default number of people
PHOTOS = 2
TRUNCATION = 0.85  # with less, all people look alike, also to the judge
POSTURES = ((0, 0, 0.0), (14, 2, 0.1), (-16, -4, 0.6), (6, 8, 0.0), (-8, 0, 0.8), (20, -2, 0.3))  # yaw, pitch, smile


class SyntheticSource:
    """Source: photos that are rendered when they are read, and cached."""

    def __init__(self, stages: Stages, cache: ArrayCache, seed: int, people: int, recipe: Mapping[str, object]) -> None:
        self._stages, self._cache, self._seed = stages, cache, seed
        self._digest = content_key(recipe=recipe, seed=seed)
        numbers = [(person, photo) for person in range(people) for photo in range(PHOTOS)]
        self._numbers = numbers
        self.samples = tuple(Sample(f"nobody {person:04d}", f"{person:04d}-{photo}.png") for person, photo in numbers)

    def read(self, index: int) -> bytes:
        person, photo = self._numbers[index]
        entry = content_key(synthetic=self._digest, person=person, photo=photo)
        arrays = self._cache.get(entry)
        if arrays is None:
            arrays = {"png": np.frombuffer(self._rendered(person, photo), dtype=np.uint8)}
            self._cache.put(entry, **arrays)
        return arrays["png"].tobytes()

    def sha256(self) -> str:
        return self._digest

    def _rendered(self, person: int, photo: int) -> bytes:
        latent = person_latent(self._stages, int(stream(self._seed, f"nobody {person}").integers(2**32)))
        yaw, pitch, smile = posture(self._seed, person, photo)
        file = io.BytesIO()
        Image.fromarray(portrait(self._stages, latent, yaw, pitch, smile)).save(file, "PNG")
        return file.getvalue()


def posture(seed: int, person: int, photo: int) -> tuple[float, float, float]:
    """Random yaw and pitch (degrees) and smile (in [0, 0.8]) of a photo, distributed about as in LFW."""
    draw = stream(seed, f"posture {photo} of nobody {person}")
    yaw, pitch = np.clip(draw.standard_normal(2), -1.5, 1.5) * (12.0, 6.0)
    return float(yaw), float(pitch), float(draw.uniform(0, 0.8))


def synthetic_people(
    stages: Stages, cache: ArrayCache, seed: int, people: int | None, generator_sha256: str
) -> Dataset:
    """The data set of the first `people` synthetic people; None takes PEOPLE.

    Args:
        stages: render the photos.
        cache: keeps them.
        seed: determines the people and their postures.
        generator_sha256: of the generator's weights, a part of the cache's keys.
    """
    recipe = {
        "version": 1,
        "generator": [stages.preset.generator, generator_sha256, stages.preset.precision],
        "truncation": TRUNCATION,
        "steps": stages.preset.correct_steps,
        "turns": stages.preset.turn_steps,
    }
    return Dataset(SYNTHETIC, SyntheticSource(stages, cache, seed, people or PEOPLE, recipe))


@torch.inference_mode()
def person_latent(stages: Stages, seed: int) -> torch.Tensor:
    """The latent (3, 512) of the synthetic person with this seed."""
    z = torch.from_numpy(stream(seed, "example person").standard_normal((1, 512)).astype(np.float32))
    mean = stages.generator.w_mean
    return (mean + TRUNCATION * (stages.generator.map(z)[0] - mean)).expand(3, 512).clone()


@torch.inference_mode()
def portrait(stages: Stages, latent: torch.Tensor, yaw: float, pitch: float, smile: float) -> np.ndarray:
    """Render a latent in a posture.

    Args:
        latent: (3, 512).
        yaw, pitch: degrees.
        smile: blendshape of both mouth corners, in [0, 1].

    Returns:
        (512, 512, 3) uint8.
    """
    picture = stages.generator.render(w_plus(latent[None], stages.generator.groups), 512)
    posture = stages.geometry.postures(picture)[0]
    shapes = posture.blendshapes.copy()
    shapes[44:46] = smile  # mouthSmileLeft, mouthSmileRight
    wanted: Posture = replace(posture, yaw=yaw, pitch=pitch, blendshapes=shapes)
    face = stages.corrector.correct(GeneratedFace(picture[0], latent, posture), wanted, 512)
    return image.to_uint8(stages.corrector.turn(face, wanted, 512).picture[None])[0]


def write_examples(stages: Stages, folder: Path, seeds: tuple[int, ...]) -> list[Path]:
    """Write the example pictures of the app: a portrait for each seed, two more of the first person, a pair.

    Returns:
        The paths of the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    people = [person_latent(stages, seed) for seed in seeds]
    pictures = [portrait(stages, latent, *pose) for latent, pose in zip(people, POSTURES, strict=True)]
    pictures += [portrait(stages, people[0], *pose) for pose in ((-18, 3, 0.7), (12, -5, 0.0))]
    names = [f"person-{i + 1}.png" for i in range(len(people))] + ["person-1-again.png", "person-1-once-more.png"]
    pictures.append(np.concatenate([np.pad(p, ((60, 0), (0, 0), (0, 0)), mode="edge") for p in pictures[1:3]], axis=1))
    names.append("two-people.png")
    paths = [folder / name for name in names]
    for path, picture in zip(paths, pictures, strict=True):
        write_whole(path, image.encoded(picture, "PNG", pasted=False), force=True)
    return paths
