"""Table XI: anonymity and visual quality for keys of 8, 128 and 256 bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.evaluate.context import EvaluationContext, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.quality import distance_row
from kfaar_core.evaluate.trials import photos_of, trials_of
from kfaar_core.metrics.bootstrap import rate_interval
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.tables import Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

LENGTHS = (8, 128, 256)  # bits  [paper]


def lengths_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Table XI by the judge: one photo of each person under one key of each length."""
    rows: list[Row] = []
    missed = 0
    for bits in LENGTHS:
        listed = trials_of(people, key_mode, 1, bits)
        fill(context, [*photos_of(people), *(trial.face for trial in listed)])
        faces = {trial.person.number: features(context.ask(trial.face)) for trial in listed}
        real = {person.number: context.real(person.photos[0]) for person in people}
        kept = [number for number, face in faces.items() if face is not None and real[number] is not None]
        missed += len(people) - len(kept)
        virtual, photos = (np.stack([side[number].judge for number in kept]) for side in (faces, real))  # type: ignore[union-attr]
        cosines = (virtual * photos).sum(axis=1)
        label, threshold = f"anonymity, {bits} bits", context.stages.judge_threshold
        share = rate_interval(cosines < threshold, np.array(kept), stream(context.seed, label))
        paper = paper_figure("XI", label, context.data.name)
        rows.append(row(f"{label}: called different, FMR 1 % ({threshold:.3f})", share, paper, ""))
        label = f"Frechet distance of virtual faces and photos, judge, {bits} bits"
        rows.append(distance_row(context, label, (virtual, photos)))
    return Table(
        "XI",
        "The impact of the key length on the virtual faces",
        f"{context.data.name}, {len(people)} test people, method {context.stages.method.name}, {key_mode} key; "
        f"{missed} faces or photos not found; the paper's FID is of other features",
        tuple(rows),
    )
