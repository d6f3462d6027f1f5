"""Who the virtual faces of many keys are: how sexes, ages and skins are spread, by the observers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from kfaar_core import image
from kfaar_core.evaluate.context import Arrays, EvaluationContext
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.observers import Observation, observers
from kfaar_core.metrics.bootstrap import mean_interval
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs
from kfaar_core.stages.generate import render_face

KEYS = 1000  # [design]
AGES = (18, 30, 45, 60)  # years, where groups begin after the first
SKINS = ("dark", "brown", "tan", "intermediate", "light", "very light")
# Individual typology angles, degrees, where groups begin after the first (Chardon, Cretois and Hourseau, 1991).
TONES = (-30.0, 10.0, 28.0, 41.0, 55.0)


@dataclass(frozen=True)
class Draft:
    """Request: what the observers see of x', the face before posture correction and refinement."""

    index: int  # of the photo
    purpose: str  # of the key, see EvaluationContext.key
    bits: int  # length of the key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.virtual_dependencies(self.bits), "data": context.data.sha256}

    @torch.inference_mode()
    def arrays(self, context: EvaluationContext) -> Arrays:
        stages, photo = context.stages, context.real(self.index)
        if photo is None:
            return {}
        latent = stages.projector(photo.features, context.key(self.purpose, self.bits)).latent.to(stages.device)
        draft = render_face(stages.generator, stages.geometry, latent, stages.preset.side)
        picture = image.to_uint8(draft.picture[None])[0]
        return vars(observers(stages.device)(picture, draft.posture.landmarks * len(picture)))


def looks_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Sexes, ages and skins over KEYS keys, each with the first photo of the next person."""
    bits = context.stages.preset.key_bits
    asked = [Draft(people[i % len(people)].photos[0], f"look {i}", bits) for i in range(KEYS)]
    fill(context, asked)
    found = [context.ask(request) for request in asked]
    seen = [(i % len(people), Observation.of(arrays)) for i, arrays in enumerate(found) if arrays]
    owners = np.array([person for person, _ in seen])
    ages = np.array([each.age for _, each in seen])
    skins = typology(np.array([each.colours[1] for _, each in seen]))
    rows = [share(context, "men", np.array([each.male >= 0.5 for _, each in seen]), owners)]
    groups = np.searchsorted(AGES, ages, side="right")
    names = [f"under {AGES[0]} years", *(f"from {a} to {b} years" for a, b in pairwise(AGES)), f"from {AGES[-1]} years"]
    rows += [share(context, name, groups == number, owners) for number, name in enumerate(names)]
    shown = ~np.isnan(skins)
    tones = np.searchsorted(TONES, skins[shown], side="right")
    rows += [share(context, f"skin {name}", tones == number, owners[shown]) for number, name in enumerate(SKINS)]
    return Table(
        "looks",
        "Who the virtual faces of many keys are",
        f"{context.data.name}, {KEYS} keys, first photos of {min(len(people), KEYS)} people in turn, method "
        f"{context.stages.preset.method}, before posture correction and refinement; "
        f"{KEYS - len(seen)} photos without a usable face",
        tuple(rows),
    )


def typology(skins: np.ndarray) -> np.ndarray:
    """The individual typology angle of colours (N, 3) in CIE Lab: (N,) degrees, 90 for very light skin.

    atan((L - 50) / b); b of skin is positive.
    """
    angles: np.ndarray = np.degrees(np.arctan2(skins[:, 0] - 50, skins[:, 2]))
    return angles


def share(context: EvaluationContext, name: str, hits: np.ndarray, owners: np.ndarray) -> Row:
    """A row: how many of the faces."""
    values = np.asarray(hits, dtype=np.float64)
    return row(name, mean_interval(values, owners, stream(context.seed, f"looks: {name}")), None, "")
