"""Enrolled keys: a first photo is enrolled, and a later photo of the person takes up its virtual face.

How much the two faces look like one person, what the key still reads, and what a stolen key file tells besides the key.
Stateless keys, which every other table uses, stand in the tables `person` and VI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kfaar_core import image
from kfaar_core.errors import OtherPerson
from kfaar_core.evaluate.context import LABELLED, Arrays, EvaluationContext, FaceFeatures, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.likeness import RECOGNISER, Pair, embeddings, look_rows, pooled, strangers
from kfaar_core.evaluate.recognition import crossed, figure_rows
from kfaar_core.evaluate.trials import Trial, photos_of, trials_of
from kfaar_core.metrics.anonymity import hit_chances
from kfaar_core.metrics.bootstrap import mean_interval, rate_interval
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

FIRST, LATER = "first ", "later "  # prefixes of arrays
ENROLLED, STRANGERS = "one person, enrolled key", "strangers, enrolled keys"


@dataclass(frozen=True)
class Enrolled:
    """Request: the virtual faces of a photo that is enrolled, and of a later one; only the first if it is refused."""

    first: int  # photos of the data set
    later: int
    purpose: str  # of the key, see EvaluationContext.key
    bits: int  # length of the key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        threshold = context.stages.enrolled_threshold
        return {**context.virtual_dependencies(self.bits), "data": context.data.sha256, "threshold": threshold}

    def arrays(self, context: EvaluationContext) -> Arrays:
        key = context.key(self.purpose, self.bits)
        face, person = context.server.enrol(AnonymiseRequest(photo=context.photo(self.first), key=key, face=LABELLED))
        found = prefixed(FIRST, context.kvfa_features(image.from_array(face.portrait)))
        if person is None:
            return found
        request = AnonymiseRequest(photo=context.photo(self.later), key=key, face=LABELLED, person=person)
        try:
            face = context.server.anonymise(request)
        except OtherPerson:
            return found
        return found | prefixed(LATER, context.kvfa_features(image.from_array(face.portrait)))


def prefixed(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays, with the prefix before their names."""
    return {prefix + name: array for name, array in arrays.items()}


def without(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays with this prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Reading:
    """What the key reads of an enrolled person, with the u of both photos."""

    person: int
    first: np.ndarray  # (d,) from the first face
    later: np.ndarray  # (d,) from the later face
    u: tuple[np.ndarray, np.ndarray]  # (d,) of the enrolled and of the later photo


def enrolled_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """The table for enrolled keys; each person is enrolled by their first photo, under the key of the trial."""
    two = [person for person in people if len(person.photos) > 1]
    listed = trials_of(two, key_mode, trials, context.stages.preset.key_bits)
    requests = {trial: Enrolled(trial.index, trial.person.photos[1], trial.purpose, trial.bits) for trial in listed}
    fill(context, [*photos_of(two), *requests.values()])
    kept: dict[int, dict[int, tuple[FaceFeatures, FaceFeatures]]] = {}  # repetition -> person -> two faces
    read: list[Reading] = []
    refused, missed = [], 0
    for trial, request in requests.items():
        arrays = context.ask(request)
        first, later = (features(without(prefix, arrays)) for prefix in (FIRST, LATER))
        missed += first is None
        if first is None:
            continue
        refused.append((trial.person.number, later is None))
        if later is not None:
            kept.setdefault(trial.repetition, {})[trial.person.number] = first, later
            read += reading(context, trial, first, later)
    scores = [crossed(list(both), *embeddings(both)) for both in kept.values()]
    same = [Pair(number, *faces) for both in kept.values() for number, faces in both.items()]
    others = [pair for both in kept.values() for pair in strangers(both)]
    owners, shut = (np.array(column) for column in zip(*refused, strict=True))
    told = rate_interval(shut, owners, stream(context.seed, "enrolled: refused"))
    return Table(
        "enrolled",
        "Enrolled keys: later photos take up the first virtual face",
        f"{context.data.name}, {len(two)} people, method {context.stages.preset.method}, {len(kept)} keys, {key_mode}; "
        f"{missed} of {len(listed)} first photos failed",
        (
            row("later photo taken for somebody else's", told, None, ""),
            *look_rows(context, ENROLLED, same),
            *look_rows(context, STRANGERS, others),
            *figure_rows(context, f"synchronism, {RECOGNISER}", pooled(scores)),
            *reading_rows(context, read),
            *stolen_rows(context, read),
        ),
    )


def reading(context: EvaluationContext, trial: Trial, first: FaceFeatures, later: FaceFeatures) -> list[Reading]:
    """What the key of a trial reads; an empty list if a photo has no usable face."""
    photos = [context.real(index) for index in trial.person.photos[:2]]
    if photos[0] is None or photos[1] is None:
        return []
    identifier, key = context.stages.identifier, context.key(trial.purpose, trial.bits)
    u = identifier.original(photos[0].features), identifier.original(photos[1].features)
    read = [identifier.virtual(face.features, key) for face in (first, later)]
    return [Reading(trial.person.number, read[0], read[1], u)]


def reading_rows(context: EvaluationContext, read: Sequence[Reading]) -> list[Row]:
    """Rows: cosine, and share accepted by KVFA, of both faces with both photos."""
    owners, threshold = np.array([each.person for each in read]), context.stages.kvfa_threshold
    rows = []
    for name, cosines in {
        "first face, enrolled photo": [each.first @ each.u[0] for each in read],
        "first face, later photo": [each.first @ each.u[1] for each in read],
        "later face, enrolled photo": [each.later @ each.u[0] for each in read],
        "later face, its own photo": [each.later @ each.u[1] for each in read],
    }.items():
        values = np.array(cosines, dtype=np.float64)
        rows.append(row(f"{name}: cosine", mean_interval(values, owners, stream(context.seed, name)), None, ""))
        accepted = rate_interval(values >= threshold, owners, stream(context.seed, f"{name}, accepted"))
        rows.append(row(f"{name}: accepted, threshold {threshold:.3f}", accepted, None, ""))
    return rows


def stolen_rows(context: EvaluationContext, read: Sequence[Reading]) -> list[Row]:
    """Rows: who is named first among the people's other photos, by key and virtual face, and by the key file alone.

    A plain key without a virtual face names nobody. A file with an enrolled person holds u of the enrolled photo.
    """
    owners = np.array([each.person for each in read])
    names, place = np.unique(owners, return_index=True)
    gallery = np.stack([read[i].u[1] for i in place])
    rows = []
    for name, probes in {
        "by the key, from the first virtual face": [each.first for each in read],
        "by a stolen key file, without any face": [each.u[0] for each in read],
        "by both": [each.first + each.u[0] for each in read],
    }.items():
        chances = hit_chances(np.stack(probes) @ gallery.T, owners, names, 1)
        share = mean_interval(chances, owners, stream(context.seed, f"enrolled: {name}"))
        rows.append(row(f"named first of {len(names)}, {name}", share, None, f"chance {1 / len(names):.3f}"))
    return rows
