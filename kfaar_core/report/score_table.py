"""The table of a score list: AUC, EER, the operating points by name, and d', with intervals over people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from kfaar_core.metrics.bootstrap import RESAMPLES, bounded, curve_intervals
from kfaar_core.metrics.operating_points import (
    LIMITS,
    decidability,
    equal_error_range,
    fnmr_at,
    operating_points,
)
from kfaar_core.metrics.verification import Roc, area, equal_error, roc
from kfaar_core.records import Row
from kfaar_core.report.score_lists import ScoreList
from kfaar_core.report.tables import Table, failed_words, row
from kfaar_core.runtime import stream

STATISTICS: dict[str, Callable[[Roc], np.ndarray]] = {
    "AUC": area,
    "EER": equal_error,
    **{name: partial(fnmr_at, limit=limit) for name, limit in LIMITS.items()},
}


def score_table(scores: ScoreList, *, seed: int = 0, resamples: int = RESAMPLES) -> Table:
    """AUC, EER and the operating points of a score list.

    Args:
        scores: the list.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    genuine, impostor = scores.genuine, scores.impostor
    curve = roc(genuine.values, impostor.values)
    points = {point.name: point for point in operating_points(curve)}
    fvc = equal_error_range(curve)
    notes = {name: f"threshold {points[name].threshold:.6g}, FMR there {points[name].fmr:.4g}" for name in LIMITS} | {
        "EER": f"interpolated; by the rule of FVC2000 {fvc.rate:.4f} ({fvc.low:.4f} to {fvc.high:.4f})"
    }
    found = curve_intervals(STATISTICS, scores.pair, stream(seed, "score list"), resamples)
    lost = failed_words(genuine, impostor)
    names = {name: f"{name} (FNMR)" for name in LIMITS}
    people = len(np.unique(genuine.people))
    found |= {name: bounded(replace(found[name], n=len(genuine.values), people=people)) for name in LIMITS}
    found["EER"] = bounded(found["EER"])
    rows = [
        row(names.get(name, name), interval, None, "; ".join(part for part in (notes.get(name), lost) if part))
        for name, interval in found.items()
    ]
    if not scores.people_known:
        rows = [replace(entry, note=entry.note.partition(" people")[2].removeprefix("; ")) for entry in rows]
    zero = points["ZeroFNMR"]
    nan, n = float("nan"), len(genuine.values) + len(impostor.values)
    rows.append(Row("ZeroFNMR (FMR)", zero.fmr, nan, nan, n, note=f"threshold {zero.threshold:.6g}"))
    rows.append(Row("d'", decidability(genuine.values, impostor.values), nan, nan, n))
    return Table("of scores", scores.name, about(scores), tuple(rows))


def about(scores: ScoreList) -> str:
    """Text above the table: numbers of comparisons, failures to acquire, and what the intervals are over."""
    sides = ", ".join(
        f"{len(side.values)} {name} ({side.failed} failed to acquire)"
        for name, side in (("genuine", scores.genuine), ("impostor", scores.impostor))
    )
    known = "people, both of an impostor pair" if scores.impostor.others is not None else "people"
    over = known if scores.people_known else "comparisons, whose people are not known"
    return f"{sides}; intervals: 95 % bootstrap over {over}"
