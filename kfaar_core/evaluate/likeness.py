"""Whether two faces show one person to the eye: sex, age, colours of hair and skin, by the observers.

Rows for the tables `observers` (real photos of dev people: what the observers are worth), `person` (virtual faces
under one key, beside real photos and strangers) and `enrolled`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.observers import Observation
from kfaar_core.evaluate.recognition import crossed, figure_rows
from kfaar_core.evaluate.trials import photos_of, trials_of
from kfaar_core.metrics.bootstrap import mean_interval, rate_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

RECOGNISER = "recogniser that nothing was trained against"
REAL, REAL_STRANGERS = "two photos of one person", "photos of strangers"
ONE_KEY, STRANGERS = "one person, one key", "strangers, one key"


@dataclass(frozen=True)
class Pair:
    """Two faces that are compared."""

    person: int  # number of the first one's person, for the bootstrap
    first: FaceFeatures
    second: FaceFeatures


def observers_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """What the observers are worth: pairs of real photos, without keys."""
    fill(context, photos_of(people))
    found = sum(context.real(index) is not None for person in people for index in person.photos)
    return Table(
        "observers",
        "The observers on real photos",
        f"{context.data.name}, {len(people)} dev people, two photos each, {found} with a usable face",
        tuple(real_rows(context, people)),
    )


def person_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Virtual faces of two photos of one person under one key, beside real photos and strangers; stateless."""
    bits = context.stages.preset.key_bits
    listed = [trial for photo in (0, 1) for trial in trials_of(people, key_mode, trials, bits, photo)]
    fill(context, [*photos_of(people), *(trial.face for trial in listed)])
    faces = {
        (trial.repetition, trial.person.number, trial.photo): face
        for trial in listed
        if (face := features(context.ask(trial.face))) is not None
    }
    same: list[Pair] = []
    others: list[Pair] = []
    scores: list[ScorePair] = []
    for repetition in range(1 + max(trial.repetition for trial in listed)):
        both = {
            person.number: (faces[repetition, person.number, 0], faces[repetition, person.number, 1])
            for person in people
            if all((repetition, person.number, photo) in faces for photo in (0, 1))
        }
        same += [Pair(number, *two) for number, two in both.items()]
        others += strangers(both)
        scores.append(crossed(list(both), *embeddings(both)))
    return Table(
        "person",
        "One virtual person, by networks that nothing was trained against",
        f"{context.data.name}, {len(people)} people, method {context.stages.preset.method}, "
        f"{len(scores)} keys, {key_mode}; {len(listed) - len(faces)} of {len(listed)} virtual faces not found",
        (
            *look_rows(context, ONE_KEY, same),
            *look_rows(context, STRANGERS, others),
            *figure_rows(context, f"synchronism, {RECOGNISER}", pooled(scores)),
            *real_rows(context, people),
        ),
    )


def real_rows(context: EvaluationContext, people: Sequence[pairs.Person]) -> list[Row]:
    """Rows on real photos: two of one person, and strangers."""
    seen = {person.number: [context.real(index) for index in person.photos] for person in people}
    both = {
        number: (first, second) for number, (first, second) in seen.items() if first is not None and second is not None
    }
    same = [Pair(number, *two) for number, two in both.items()]
    return [
        *look_rows(context, REAL, same),
        *look_rows(context, REAL_STRANGERS, strangers(both)),
        *figure_rows(context, f"{REAL}, {RECOGNISER}", crossed(list(both), *embeddings(both))),
    ]


def strangers(both: Mapping[int, tuple[FaceFeatures, FaceFeatures]]) -> list[Pair]:
    """The first face of each person beside the second face of the next."""
    numbers = list(both)
    following = numbers[1:] + numbers[:1]
    return [Pair(a, both[a][0], both[b][1]) for a, b in zip(numbers, following, strict=True) if a != b]


def embeddings(both: Mapping[int, tuple[FaceFeatures, FaceFeatures]]) -> tuple[np.ndarray, np.ndarray]:
    """The recogniser's embeddings of all first and of all second faces, (P, 192) each."""
    first, second = zip(*both.values(), strict=True)
    return tuple(np.stack([face.seen.embedding for face in side]) for side in (first, second))  # type: ignore[return-value]


def pooled(scores: Sequence[ScorePair]) -> ScorePair:
    """The scores of several keys as one."""
    return ScorePair(
        *(np.concatenate([getattr(each, field) for each in scores]) for field in ScorePair.__dataclass_fields__)
    )


def look_rows(context: EvaluationContext, name: str, listed: Sequence[Pair]) -> list[Row]:
    """Rows on pairs: how often the sexes agree, how far ages, hair and skin are apart."""
    if not listed:
        return []
    people = np.array([pair.person for pair in listed])
    seen: list[tuple[Observation, Observation]] = [(pair.first.seen, pair.second.seen) for pair in listed]

    def rng(figure: str) -> np.random.Generator:
        return stream(context.seed, f"likeness, {name}, {figure}")

    agree = np.array([(a.male >= 0.5) == (b.male >= 0.5) for a, b in seen])
    gaps = np.array([abs(a.age - b.age) for a, b in seen], dtype=np.float64)
    rows = [
        row(f"{name}: sex agrees", rate_interval(agree, people, rng("sex")), None, ""),
        row(f"{name}: age gap, years", mean_interval(gaps, people, rng("age")), None, ""),
    ]
    distances = np.array([np.linalg.norm(a.colours - b.colours, axis=1) for a, b in seen])  # (N, 2)
    for place, figure in enumerate(("hair", "skin")):
        shown = ~np.isnan(distances[:, place])
        if shown.any():
            interval = mean_interval(distances[shown, place], people[shown], rng(figure))
            rows.append(row(f"{name}: {figure}, distance in CIE Lab", interval, None, ""))
    return rows
