"""Table VIII, in the wild: everything from LFW applied to other photos, eight keys a face.

Photos of people with one photo each, as in FFHQ, have no synchronism and no other photo; what is left is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from kfaar_core.evaluate.authentication import authentication, thresholds_of
from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.quality import distance_row
from kfaar_core.evaluate.recognition import crossed, figure_rows
from kfaar_core.evaluate.trials import photos_of, trials_of
from kfaar_core.metrics.bootstrap import rate_interval
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.tables import PHOTO_WORDS, Table, TableSettings, decisions, kvfa_thresholds, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs, populations

Faces = dict[tuple[int, int, int], FaceFeatures]  # (person, photo, key)


def wild_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Table VIII; keys are shared, whatever the key mode."""
    bits = context.stages.preset.key_bits
    listed = [
        *trials_of(people, populations.SHARED, trials, bits),
        *trials_of(people, populations.SHARED, 1, bits, photo=1),
    ]
    fill(context, [*photos_of(people), *(trial.face for trial in listed)])
    faces: Faces = {}
    for trial in listed:
        face = features(context.ask(trial.face))
        if face is not None:
            faces[trial.person.number, trial.photo, trial.repetition] = face
    rows = [*face_rows(context, people, faces, trials), *kvfa_rows(context, people, trials)]
    two = sum(len(person.photos) > 1 for person in people)
    return Table(
        "VIII",
        "In the wild: nothing was trained or chosen on these photos",
        f"{context.data.name}, {len(people)} people, {two} with a second photo, method {context.stages.method.name}, "
        f"{trials} keys a face; {len(listed) - len(faces)} of {len(listed)} virtual faces not found",
        tuple(rows),
    )


def face_rows(context: EvaluationContext, people: Sequence[pairs.Person], faces: Faces, keys: int) -> list[Row]:
    """Rows: synchronism, anonymity, diversity over all pairs of keys, and the Frechet distance, by the judge."""
    name, threshold = context.data.name, context.stages.judge_threshold
    real = {person.number: context.real(person.photos[0]) for person in people}
    anonymity, diversity = [], []
    for number, own in real.items():
        drawn = [faces[number, 0, key] for key in range(keys) if (number, 0, key) in faces]
        if own is not None:
            anonymity += [(float(own.judge @ face.judge), number) for face in drawn]
        diversity += [(float(a.judge @ b.judge), number) for a, b in combinations(drawn, 2)]
    rows: list[Row] = []
    for figure, entries in (("anonymity", anonymity), ("diversity", diversity)):
        if entries:
            cosines, owners = (np.array(column) for column in zip(*entries, strict=True))
            label = f"{figure}: called different, FMR 1 % ({threshold:.3f})"
            share = rate_interval(cosines < threshold, owners.astype(int), stream(context.seed, f"VIII, {label}"))
            rows.append(row(label, share, paper_figure("VIII", figure, name), ""))
    both = [number for number in real if (number, 0, 0) in faces and (number, 1, 0) in faces]
    if len(both) > 1:
        sides = (np.stack([faces[number, photo, 0].judge for number in both]) for photo in (0, 1))
        rows += figure_rows(context, "synchronism", crossed(both, *sides), "VIII")
    kept = [number for number, own in real.items() if own is not None and (number, 0, 0) in faces]
    if len(kept) > 1:
        pair = np.stack([faces[n, 0, 0].judge for n in kept]), np.stack([real[n].judge for n in kept])  # type: ignore[union-attr]
        rows.append(distance_row(context, "Frechet distance of virtual faces and photos, judge", pair))
    return rows


def kvfa_rows(context: EvaluationContext, people: Sequence[pairs.Person], keys: int) -> list[Row]:
    """Rows: CRR, FAR and FRR of KVFA at the threshold in force; none for a method that cannot be read."""
    stages = context.stages
    if not stages.method.readable or len(people) < 2:
        return []
    names = populations.names_for("VI")
    found, _ = authentication(context, people, populations.SHARED, keys, names)
    scores = {entry.name: entry for entry in found if len(entry.values)}
    settings = TableSettings(
        thresholds=thresholds_of(stages), dataset=context.data.name, dimension=stages.identifier.dimension
    )
    rows: list[Row] = []
    for photo, words in PHOTO_WORDS.items():
        genuine, impostor = scores.get(populations.genuine(photo)), scores.get(populations.IMPOSTOR)
        for label, threshold in kvfa_thresholds(settings.thresholds):
            if genuine is not None and impostor is not None and "in force" in label:
                rng = stream(context.seed, f"VIII, {photo}")
                rows += decisions(genuine, impostor, threshold, f"{words}, {label}", settings, rng)
    return rows
