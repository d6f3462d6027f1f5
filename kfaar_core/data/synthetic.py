"""A data set of synthetic people, for evaluation without real photos, for example in CI.

Each person is one latent, rendered in two postures. The pictures are determined by a seed and the committed generator.
Figures on synthetic people differ from those on real people, because E embeds generated faces only.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kfaar_core import image
from kfaar_core.assemble import Stages
from kfaar_core.data.cache import ArrayCache, content_key
from kfaar_core.data.photos import Dataset, Sample
from kfaar_core.files import write_whole
from kfaar_core.mark import FORMATS
from kfaar_core.records import Posture
from kfaar_core.runtime import stream
from kfaar_core.stages.generate import GeneratedFace, w_plus

SYNTHETIC = "synthetic"  # the name of the data set
PEOPLE = 20  # default number of people
PHOTOS = 2
TRUNCATION = 0.85  # with less, all people look alike, also to the judge


@dataclass(frozen=True)
class Example:
    """An example photo of the app. People were chosen by eye: both sexes, several ages and skins."""

    name: str  # of the file, with its ending; the first ones are lossless, because tests measure on them
    seed: int  # of the person
    posture: tuple[float, float, float]  # yaw and pitch (degrees), smile (in [0, 1])


EXAMPLES = (
    Example("person-1.png", 8, (0, 0, 0.0)),
    Example("person-1-again.png", 8, (-18, 3, 0.7)),
    Example("person-2.png", 3, (14, 2, 0.1)),
    Example("person-3.png", 4, (-16, -4, 0.6)),
    Example("person-4.png", 9, (6, 8, 0.0)),
    Example("person-5.png", 11, (-8, 0, 0.8)),
    Example("person-6.png", 2, (20, -2, 0.3)),
    Example("person-7.jpg", 20, (4, 0, 0.7)),
    Example("person-7-again.jpg", 20, (-15, 2, 0.1)),
    Example("person-8.jpg", 10, (-6, 2, 0.4)),
    Example("person-9.jpg", 71, (8, 0, 0.2)),
    Example("person-10.jpg", 58, (-10, -2, 0.2)),
    Example("person-11.jpg", 55, (10, 2, 0.7)),
    Example("person-12.jpg", 60, (0, 4, 0.3)),
)
PAIR = "two-people.jpg"
PAIRED = ("person-7.jpg", "person-11.jpg")
WALL, MAT = (214, 208, 196), (250, 248, 243)  # RGB


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


def write_examples(stages: Stages, folder: Path) -> list[Path]:
    """Write the example pictures of the app: EXAMPLES, and two of them beside each other.

    Returns:
        The paths of the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        example.name: portrait(stages, person_latent(stages, example.seed), *example.posture) for example in EXAMPLES
    }
    pictures[PAIR] = on_a_wall([pictures[name] for name in PAIRED])
    for name, picture in pictures.items():
        content = image.encoded(picture, FORMATS[Path(name).suffix], pasted=False)
        write_whole(folder / name, content, force=True)
    return [folder / name for name in pictures]


def on_a_wall(portraits: Sequence[np.ndarray], side: int = 400, mat: int = 14, gap: int = 44) -> np.ndarray:
    """Portraits in a row on a wall, each in a mat: a photo with several faces and no seam through it.

    Args:
        portraits: (S, S, 3) uint8 each.
        side, mat, gap: px of a portrait, of the mat around it, and between mats.

    Returns:
        (H, W, 3) uint8.
    """
    framed = side + 2 * mat
    sheet = Image.new("RGB", (len(portraits) * (framed + gap) + gap, framed + 2 * gap), WALL)
    for place, picture in enumerate(portraits):
        left = gap + place * (framed + gap)
        sheet.paste(MAT, (left, gap, left + framed, gap + framed))
        sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS), (left + mat, gap + mat))
    return np.asarray(sheet)
