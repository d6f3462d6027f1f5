"""Identification of virtual faces in a gallery of photos: CMC, rank-k, and searches for people who may be absent.

By the judge and by the observers' recogniser, identification of the person is an attack: low rates are good. With the
right key, I identifies the person: high rates are good. The gallery has another photo of each person, x2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import Trial, photos_of, trials_of
from kfaar_core.metrics.anonymity import hit_chances
from kfaar_core.metrics.bootstrap import mean_interval, rate_interval
from kfaar_core.metrics.identification import false_negatives, false_positives
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

RANKS = (1, 5, 10, 20)
JUDGE, OBSERVER, KEYED = "judge", "observers' recogniser", "I with the right key"


def identification_table(
    context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int
) -> Table:
    """Rank-k rates in the whole gallery; FPIR and FNIR with every second person enrolled."""
    listed = trials_of(people, key_mode, 1, context.stages.preset.key_bits)
    fill(context, [*photos_of(people), *(trial.face for trial in listed)])
    probes = {trial.person.number: (trial, features(context.ask(trial.face))) for trial in listed}
    gallery = {p.number: context.real(p.photos[1]) for p in people if len(p.photos) > 1}
    kept = [n for n, (_, face) in probes.items() if face is not None and gallery.get(n) is not None]
    rows: list[Row] = []
    for name, similarity in similarities(context, probes, gallery, kept).items():
        rows += closed_rows(context, name, similarity, np.array(kept))
        if name != OBSERVER:  # it has no threshold from dev people
            rows += open_rows(context, name, similarity, np.array(kept))
    return Table(
        "identification",
        "Virtual faces searched for in a gallery of other photos",
        f"{context.data.name}, {len(people)} test people, method {context.stages.method.name}, {key_mode} key; "
        f"{len(people) - len(kept)} of {len(people)} left out without a usable face or photo",
        tuple(rows),
    )


def similarities(
    context: EvaluationContext,
    probes: dict[int, tuple[Trial, FaceFeatures | None]],
    gallery: dict[int, FaceFeatures | None],
    kept: Sequence[int],
) -> dict[str, np.ndarray]:
    """Name -> (P, P) cosines of the virtual face of each person and another photo of each.

    Args:
        kept: numbers of the P people.
    """
    faces = [probes[number][1] for number in kept]
    photos = [gallery[number] for number in kept]

    def cosines(of: str) -> np.ndarray:
        sides = [
            np.stack([face.judge if of == JUDGE else face.seen.embedding for face in side])  # type: ignore[union-attr]
            for side in (faces, photos)
        ]
        found: np.ndarray = sides[0].astype(np.float64) @ sides[1].T
        return found

    answers = {name: cosines(name) for name in (JUDGE, OBSERVER)}
    if context.stages.method.readable:
        identifier = context.stages.identifier
        originals = identifier.original(np.stack([face.features for face in photos]))  # type: ignore[union-attr]
        read = [
            identifier.virtual(face.features, context.key(trial.purpose, trial.bits))  # type: ignore[union-attr]
            for trial, face in (probes[number] for number in kept)
        ]
        answers[KEYED] = np.stack(read) @ originals.T
    return answers


def closed_rows(context: EvaluationContext, name: str, similarity: np.ndarray, people: np.ndarray) -> list[Row]:
    """Rows: rank-k rates; every person is in the gallery."""
    rows = []
    for rank in (rank for rank in RANKS if rank < len(people)):
        label = f"{name}: rank-{rank} of {len(people)}"
        chances = hit_chances(similarity, people, people, rank)
        share = mean_interval(chances, people, stream(context.seed, label))
        rows.append(row(label, share, None, f"chance {rank / len(people):.3f}"))
    return rows


def open_rows(context: EvaluationContext, name: str, similarity: np.ndarray, people: np.ndarray) -> list[Row]:
    """Rows: FPIR and FNIR at rank 1 with every second person enrolled, at the threshold in force."""
    enrolled = np.arange(len(people)) % 2 == 0
    threshold = context.stages.judge_threshold if name == JUDGE else context.stages.kvfa_threshold
    known, unknown = similarity[np.ix_(enrolled, enrolled)], similarity[np.ix_(~enrolled, enrolled)]
    missed = false_negatives(known, people[enrolled], people[enrolled], threshold)
    found = false_positives(unknown, threshold)
    rows = []
    for figure, hits, owners in (("FPIR", found, people[~enrolled]), ("FNIR", missed, people[enrolled])):
        if len(hits):
            label = f"{name}: {figure}, {enrolled.sum()} enrolled, threshold {threshold:.3f}"
            rows.append(row(label, rate_interval(hits, owners, stream(context.seed, label)), None, ""))
    return rows
