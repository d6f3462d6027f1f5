"""Error rates by sex and age group: of the judge on real photos, of anonymity, and of KVFA.

Sex and age are what the observers' network says of the photo x, not what people say of themselves; the table
`observers` says what it is worth. It knows two sexes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kfaar_core.evaluate.authentication import keyed_scores
from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.observers import Observation
from kfaar_core.evaluate.trials import Trial, photos_of, trials_of
from kfaar_core.metrics.bootstrap import rate_interval
from kfaar_core.records import Row
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

GROUPS: Mapping[str, Callable[[Observation], bool]] = {
    "everybody": lambda seen: True,
    "women": lambda seen: seen.male < 0.5,
    "men": lambda seen: seen.male >= 0.5,
    "under 30": lambda seen: seen.age < 30,
    "30 to 49": lambda seen: 30 <= seen.age < 50,
    "50 and older": lambda seen: seen.age >= 50,
}
Entry = tuple[int, bool]  # number of the person in x, and whether it is an error


def groups_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Errors of the judge on real photos, faces that it links to their photo, and errors of KVFA, by group."""
    listed = trials_of(people, key_mode, trials, context.stages.preset.key_bits)
    fill(context, [*photos_of(people), *(trial.face for trial in listed)])
    real = {person.number: [context.real(index) for index in person.photos] for person in people}
    seen = {number: photos[0].seen for number, photos in real.items() if photos[0] is not None}
    errors = {**judge_errors(context, real), **face_errors(context, listed, real)}
    rows: list[Row] = []
    for name, entries in errors.items():
        for group, belongs in GROUPS.items():
            inside = [entry for entry in entries if entry[0] in seen and belongs(seen[entry[0]])]
            if inside:
                owners, hits = (np.array(column) for column in zip(*inside, strict=True))
                label = f"{name}: {group}"
                rows.append(row(label, rate_interval(hits, owners, stream(context.seed, label)), None, ""))
    return Table(
        "groups",
        "Errors by sex and age, as a network sees them",
        f"{context.data.name}, {len(people)} test people, method {context.stages.method.name}, {key_mode} key; "
        f"{len(people) - len(seen)} people without a usable photo",
        tuple(rows),
    )


def judge_errors(context: EvaluationContext, real: dict[int, list[FaceFeatures | None]]) -> dict[str, list[Entry]]:
    """Errors of the judge on real photos, at FMR 1 % of dev people: strangers are everybody else's second photo."""
    threshold, missed, matched = context.stages.judge_threshold, [], []
    for number, (own, *_) in real.items():
        for other, photos in real.items():
            if own is not None and len(photos) > 1 and photos[1] is not None:
                match = bool(own.judge @ photos[1].judge >= threshold)
                if other == number:
                    missed.append((number, not match))
                else:
                    matched.append((number, match))
    return {"FNMR of the judge, real photos": missed, "FMR of the judge, real photos": matched}


def face_errors(
    context: EvaluationContext, listed: Sequence[Trial], real: dict[int, list[FaceFeatures | None]]
) -> dict[str, list[Entry]]:
    """Errors on virtual faces: linked to their photo by the judge, and, if they can be read, misread by KVFA."""
    stages, order = context.stages, list(real)
    linked: list[Entry] = []
    refused: list[Entry] = []
    accepted: list[Entry] = []
    for trial in listed:
        number, face = trial.person.number, features(context.ask(trial.face))
        own, other = real[number][0], real[number][1] if len(real[number]) > 1 else None
        if face is None or own is None:
            continue
        linked.append((number, bool(own.judge @ face.judge >= stages.judge_threshold)))
        if not stages.method.readable:
            continue
        stranger = real[order[(order.index(number) + 1 + trial.repetition) % len(order)]][0]
        for photo, errors, right in ((other, refused, True), (stranger, accepted, False)):
            cosine = keyed_scores(context, face, photo, trial)[4]
            if cosine is not None:
                errors.append((number, (cosine >= stages.kvfa_threshold) is not right))
    found = {"linked to the photo by the judge, FMR 1 %": linked}
    if stages.method.readable:
        found |= {"FNMR of KVFA, another photo": refused, "FMR of KVFA": accepted}
    return found
