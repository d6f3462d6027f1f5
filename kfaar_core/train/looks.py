"""Fit what the method `look` needs to choose a person by sex, age and skin: axes of random faces.

python -m kfaar_core.train looks

Random persons of the generator are rendered and labelled: sex and age by the observers' network, which may name the
axes of random faces and judges nothing here; the skin by its lightness. Ridge regression predicts each label from the
person's natural coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kfaar_core import image, weights
from kfaar_core.files import cache_folder
from kfaar_core.metrics.colours import hair_and_skin
from kfaar_core.nets.attribute_nets import AgeSexNet
from kfaar_core.presets import LAB
from kfaar_core.runtime import stream
from kfaar_core.stages.encode import ATTRIBUTES, FaceEncoder, encoder_of
from kfaar_core.stages.generate import Generator, w_plus
from kfaar_core.stages.geometry import GeometryReader, to_pixels
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.artefacts import save_arrays
from kfaar_core.train.posture import ridge

if TYPE_CHECKING:
    from kfaar_core.train.recipe import Metrics, Run

LABELS = ("sex", "age", "skin")  # logit of male, years, CIE L of the cheeks
PART = 250  # persons in a file of the cache
PENALTY = 0.3  # of the ridge regression, in shares of the coordinates' variance  [design]


@dataclass(frozen=True)
class Labeller:
    """Renders persons and labels them."""

    generator: Generator
    geometry: GeometryReader
    age_sex: FaceEncoder
    space: NaturalSpace

    def labels(self, person: np.ndarray) -> np.ndarray:
        """Natural coordinates (512,) of a person -> (3,) of LABELS; NaN where a cheek is not seen."""
        w = self.space.to_w(torch.from_numpy(person).float()).expand(1, 3, 512)
        picture = self.generator.render(w_plus(w), side=512)
        landmarks = to_pixels(self.geometry.measure(picture).landmarks, picture.shape[-1])[0].numpy()
        levels = image.to_uint8(picture)[0]
        age, male, female = self.age_sex.embed(levels, landmarks)
        return np.array([male - female, age, hair_and_skin(levels, landmarks)[1, 0]])


def labelled(labeller: Labeller, parts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Persons (N, 512) and their labels (N, 3), from the cache where they are in it."""
    folder, persons, labels = cache_folder("looks"), [], []
    for number in range(parts):
        path = folder / f"{number:04d}.npz"
        if not path.exists():
            drawn = LAB.looks.spread * stream(seed, f"looks {number}").standard_normal((PART, 512))
            save_arrays(path, persons=drawn, labels=np.stack([labeller.labels(person) for person in drawn]))
        with np.load(path) as kept:
            persons.append(kept["persons"])
            labels.append(kept["labels"])
    return np.concatenate(persons), np.concatenate(labels)


def fitted(persons: np.ndarray, labels: np.ndarray) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The axes, and their correlation with the labels of every fifth person, which they were not fitted on.

    Args:
        persons: (N, 512). labels: (N, 3), NaN where there is none.
    """
    seen = ~np.isnan(labels).any(axis=1)
    persons, labels = persons[seen], labels[seen]
    held = np.arange(len(persons)) % 5 == 0
    mean = labels[~held].mean(axis=0)
    rows = ridge(persons[~held], labels[~held] - mean, PENALTY)
    predicted = persons @ rows.T + mean
    metrics: dict[str, float] = {"n": int((~held).sum()), "n_held_out": int(held.sum())}
    for i, name in enumerate(LABELS):
        metrics[f"{name}_correlation"] = float(np.corrcoef(predicted[held, i], labels[held, i])[0, 1])
    low, high = np.quantile(labels[:, 2], [0.02, 0.98])
    state = {
        "axes.rows": rows,
        "axes.mean": mean,
        "axes.sd": predicted.std(axis=0),
        "skin.range": np.array([low, high]),
    }
    return {name: torch.from_numpy(values).float() for name, values in state.items()}, metrics


def fit_looks(run: Run) -> Metrics:
    """Fit the axes of sex, age and skin by which the method `look` draws persons."""
    labeller = Labeller(
        run.data.generator,
        GeometryReader(weights.load("geometry"), run.device),
        encoder_of(AgeSexNet(), ATTRIBUTES, weights.load("age_sex"), run.device, flip=False),
        run.data.space,
    )
    state, metrics = fitted(*labelled(labeller, run.training.look_parts, run.training.seed))
    return run.save("looks", state, metrics)
