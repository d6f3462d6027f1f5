"""Synthetic example photos for the app, the tests and the README: people who do not exist, in several postures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.records import Posture
from kfaar_core.runtime import stream
from kfaar_core.stages.assemble import Stages
from kfaar_core.stages.correct import Draft
from kfaar_core.stages.generate import w_plus

TRUNCATION = 0.85  # nearer to the mean face everybody looks alike, to the judge too
LOOKS = ((0, 0, 0.0), (14, 2, 0.1), (-16, -4, 0.6), (6, 8, 0.0), (-8, 0, 0.8), (20, -2, 0.3))  # yaw, pitch, smile


@torch.inference_mode()
def person(stages: Stages, seed: int) -> torch.Tensor:
    """(3, 512) latent of one example person."""
    z = torch.from_numpy(stream(seed, "example person").standard_normal((1, 512)).astype(np.float32))
    mean = stages.generator.w_mean
    return (mean + TRUNCATION * (stages.generator.map(z)[0] - mean)).expand(3, 512).clone()


@torch.inference_mode()
def portrait(stages: Stages, latent: torch.Tensor, yaw: float, pitch: float, smile: float) -> np.ndarray:
    """(512, 512, 3) uint8 of that person in a posture."""
    picture = stages.generator.render(w_plus(latent[None]))
    posture = stages.geometry.postures(picture)[0]
    shapes = posture.blendshapes.copy()
    shapes[44:46] = smile  # mouthSmileLeft, mouthSmileRight
    wanted: Posture = replace(posture, yaw=yaw, pitch=pitch, blendshapes=shapes)
    return image.to_uint8(stages.corrector.correct(Draft(picture[0], latent, posture), wanted, 512).picture[None])[0]


def write_examples(stages: Stages, folder: Path, seeds: tuple[int, ...]) -> list[Path]:
    """Eight portraits (the last two show the first person again) and one picture with two people."""
    folder.mkdir(parents=True, exist_ok=True)
    people = [person(stages, seed) for seed in seeds]
    pictures = [portrait(stages, latent, *look) for latent, look in zip(people, LOOKS, strict=True)]
    pictures += [portrait(stages, people[0], *look) for look in ((-18, 3, 0.7), (12, -5, 0.0))]
    names = [f"person-{i + 1}.png" for i in range(len(people))] + ["person-1-again.png", "person-1-once-more.png"]
    pictures.append(np.concatenate([np.pad(p, ((60, 0), (0, 0), (0, 0)), mode="edge") for p in pictures[1:3]], axis=1))
    names.append("two-people.png")
    paths = [folder / name for name in names]
    for path, picture in zip(paths, pictures, strict=True):
        image.write_png(path, picture, {"Software": "kfaar", "Comment": "synthetic face"}, force=True)
    return paths
