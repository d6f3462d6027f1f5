"""Table V: what virtual faces look like, by distances of feature distributions, landmarks and single faces.

The paper gives FID, the Frechet distance of Inception's features. Inception is not carried here; the same distance is
taken in the feature spaces of the judge and of the observers' recogniser, under their own names. They see faces alone
and say nothing of hair or background. Beside each stands the distance of two sets of real photos of the same people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kfaar_core.evaluate.context import Arrays, EvaluationContext, FaceFeatures, Virtual, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import photos_of, trials_of
from kfaar_core.metrics.bootstrap import interval, mean_interval, rate_interval
from kfaar_core.metrics.frechet import frechet_distance
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

RESAMPLES = 100  # of the Frechet distance, which is slow; its interval is drawn over people too  [design]


@dataclass(frozen=True)
class Measured(Virtual):
    """Request: a Virtual with its measurements, which entries of older programs do not have."""

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**super().depends(context), "measured": True}


def quality_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Table V: one photo of each person under one key."""
    listed = trials_of(people, key_mode, 1, context.stages.preset.key_bits)
    fill(context, [*photos_of(people), *(trial.face for trial in listed)])
    measured = {}
    for trial in listed:
        arrays = context.ask(trial.face)
        if arrays and "error" not in arrays:
            arrays = context.ask(Measured(trial.index, trial.purpose, trial.bits))
        if arrays:
            measured[trial.person.number] = arrays
    real = {person.number: [context.real(index) for index in person.photos] for person in people}
    return Table(
        "V",
        "Visual quality",
        f"{context.data.name}, {len(people)} test people, method {context.stages.method.name}, {key_mode} key; "
        f"{len(people) - len(measured)} virtual faces without a result; FID, KID and LPIPS are left out: their "
        "networks are not carried",
        tuple(quality_rows(context, measured, real)),
    )


def quality_rows(
    context: EvaluationContext, measured: dict[int, Arrays], real: dict[int, list[FaceFeatures | None]]
) -> list[Row]:
    """The rows of Table V.

    Args:
        measured: person -> arrays of Virtual.
        real: person -> features of their photos.
    """
    numbers = [n for n in measured if len(real[n]) > 1 and real[n][0] is not None and real[n][1] is not None]
    virtual = {number: features(measured[number]) for number in numbers}
    rows: list[Row] = []
    for name in ("judge", "observers' recogniser"):

        def embedded(face: FaceFeatures | None, name: str = name) -> np.ndarray:
            assert face is not None  # numbers has those with a face alone
            return face.judge if name == "judge" else face.seen.embedding

        photos, others = (np.stack([embedded(real[number][i]) for number in numbers]) for i in (0, 1))
        faces = np.stack([embedded(virtual[number]) for number in numbers])
        for label, pair in (("virtual faces and photos", (faces, others)), ("two sets of photos", (photos, others))):
            rows.append(distance_row(context, f"Frechet distance of {label}, {name} ({photos.shape[1]}-d)", pair))
    owners = np.array(list(measured))
    errors = np.concatenate([measured[number]["error"] for number in owners])
    confidence = np.concatenate([measured[number]["confidence"] for number in owners])
    for label, values in (
        ("landmarks: normalised mean error (our geometry network)", errors),
        ("face quality: MTCNN's confidence, 0 without a detection", confidence),
    ):
        rows.append(row(label, mean_interval(values, owners, stream(context.seed, label)), None, ""))
    label = "virtual face detected (MTCNN)"
    rows.append(row(label, rate_interval(confidence > 0, owners, stream(context.seed, label)), None, ""))
    return rows


def distance_row(context: EvaluationContext, label: str, pair: tuple[np.ndarray, np.ndarray]) -> Row:
    """Row: the Frechet distance of two sets (P, D) of the same people, with an interval over people.

    A resample repeats people, which adds to the bias of small sets: the interval lies above the distance. It is moved
    by the difference of its median and the distance.
    """
    rng, count = stream(context.seed, label), len(pair[0])
    value = frechet_distance(*pair)
    drawn = [rng.integers(0, count, count) for _ in range(RESAMPLES)]
    resampled = np.array([frechet_distance(pair[0][chosen], pair[1][chosen]) for chosen in drawn])
    return row(label, interval(value, resampled - np.median(resampled) + value, count, count), None, "")
