"""A run as one printable HTML page: protocol, tables, figures, hashes and command; and two runs with their differences.

The page needs nothing from the network: Plotly's script and all numbers stand in it. A browser prints it to PDF.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from kfaar_core.errors import DataMissing
from kfaar_core.metrics import verification
from kfaar_core.metrics.bootstrap import Interval, curve_difference, mean_interval
from kfaar_core.metrics.roc_interval import roc_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.records import Row, Scores
from kfaar_core.report import plots
from kfaar_core.report.tables import Table, number, read_table, row
from kfaar_core.results import Result, load_result
from kfaar_core.runtime import stream
from kfaar_core.scenarios import populations

STYLE = """
body { font: 15px/1.5 ui-sans-serif, system-ui, sans-serif; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; color: #202028 }
table { border-collapse: collapse; width: 100%; font-size: 13px; margin: 1rem 0 }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: 12px; overflow-wrap: anywhere }
figure { margin: 1rem 0; break-inside: avoid } figcaption { font-size: 13px; color: #555 }
section { break-before: auto } tr { break-inside: avoid }
@media print { body { margin: 0; max-width: none } a { color: inherit } }
"""
HEADERS = ("figure", "ours", "95 % interval", "n", "paper", "note")
PROTOCOL = (
    "x is a photo, x2 another photo of the same person, y a photo of another person, k the right key, x_v the virtual "
    "face. Genuine: x or x2 with x_v read under k. Impostor: y with x_v read under k. Thresholds were set on people of "
    "another part of the data. Intervals: 95 % bootstrap over people. A failure is counted and never dropped."
)
BAND_FAR = np.logspace(-3, 0, 25)
GRID = np.round(np.linspace(-0.5, 1, 76), 2)  # thresholds of Fig. 9a


@dataclass(frozen=True)
class Run:
    """One file of a run: its table, and its scores if it has them."""

    table: Table
    result: Result | None


def read_run(path: Path) -> Run:
    """Read a result or a table file.

    Raises:
        DataMissing: the file is neither.
    """
    table = read_table(path)
    return Run(table, load_result(path) if path.with_suffix(".npz").exists() else None)


def page(runs: Sequence[Run], against: Sequence[Run] = (), title: str = "Report of a run") -> str:
    """The HTML page of the files of a run.

    Args:
        runs: the files.
        against: the same files of another run; differences are this run less the other, over the same trials.
        title: of the page.

    Raises:
        DataMissing: two results whose trials differ.
    """
    scripts = iter([True])  # Plotly's script stands once, with the first figure

    def drawn(figure: Any, caption: str) -> str:
        inner = figure.to_html(full_html=False, include_plotlyjs=next(scripts, False), config={"displayModeBar": False})
        return f"<figure>{inner}<figcaption>{escape(caption)}</figcaption></figure>"

    parts = [f"<h1>{escape(title)}</h1>", f"<p>{escape(PROTOCOL)}</p>"]
    for run in runs:
        parts.append(f"<section><h2>Table {escape(run.table.number)}: {escape(run.table.title)}</h2>")
        parts.append(f"<p>{escape(run.table.about)}.</p>{html_table(run.table.rows)}")
        if run.result is not None:
            parts += [drawn(figure, caption) for caption, figure in figures_of(run.result).items()]
            parts.append(provenance(run.result))
        parts.append("</section>")
    if against:
        parts.append("<h2>Against the other run</h2>")
    for first, second in zip(runs, against, strict=bool(against)):
        parts.append(f"<h3>Table {escape(first.table.number)}</h3>{side_by_side(first.table, second.table)}")
        if first.result is not None and second.result is not None:
            parts.append("<p>Paired differences, this run less the other, over the same trials and resamples:</p>")
            parts.append(html_table(differences(first.result, second.result)))
            parts.append(provenance(second.result))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def html_table(rows: Sequence[Row]) -> str:
    """Rows as an HTML table."""
    return grid(
        HEADERS,
        [
            (r.name, number(r.value), f"{number(r.low)} to {number(r.high)}", str(r.n), number(r.paper), r.note)
            for r in rows
        ],
    )


def grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; all but the first and the last column are numbers."""
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    last = len(headers) - 1
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=number' if 0 < i < last else ''}>{escape(cell)}</td>" for i, cell in enumerate(cells))
        + "</tr>"
        for cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def provenance(result: Result) -> str:
    """Everything that the scores depend on: command, seed, and hashes."""
    hashes = {"settings": result.preset_sha256, "photos": result.data_sha256, **result.weights}
    listed = "".join(
        f"<tr><td>{escape(name)}</td><td><code>{digest}</code></td></tr>" for name, digest in hashes.items()
    )
    return (
        f"<p>Command: <code>{escape(result.command)}</code><br>Preset {escape(result.preset)}, method "
        f"{escape(result.method)}, seed {result.seed}.</p><details open><summary>SHA-256</summary><table>{listed}"
        "</table></details>"
    )


def sides(result: Result) -> Mapping[str, tuple[Scores, Scores]]:
    """Photo (`other`, `same`) -> genuine and impostor scores, where the result has both."""
    named = {scores.name: scores for scores in result.populations if len(scores.values)}
    impostor = named.get(populations.IMPOSTOR)
    found = {photo: named.get(populations.genuine(photo)) for photo in populations.PHOTOS}
    return {
        photo: (genuine, impostor) for photo, genuine in found.items() if genuine is not None and impostor is not None
    }


def figures_of(result: Result) -> dict[str, Any]:
    """Caption -> Plotly figure: ROC and DET with bands, rates by threshold (Fig. 9a), and histograms."""
    threshold = result.thresholds.dev if result.thresholds.in_force == "dev" else result.thresholds.paper
    drawn: dict[str, Any] = {}
    for photo, (genuine, impostor) in list(sides(result).items())[:1]:
        curve = verification.roc(genuine.values, impostor.values)
        band = roc_interval(ScorePair.of(genuine, impostor), BAND_FAR, stream(result.seed, f"report, {photo}"))
        rates = [verification.error_rates(genuine.values, impostor.values, float(at)) for at in GRID]
        right = np.array([verification.crr(genuine.values, impostor.values, float(at)) for at in GRID])
        far, frr = (np.array([getattr(rate, name) for rate in rates]) for name in ("far", "frr"))
        best = verification.best_crr_threshold(genuine.values, impostor.values).threshold
        thin = verification.thinned(curve)
        drawn[f"ROC, {photo} photo"] = plots.roc_curve(thin, band)
        drawn[f"DET, {photo} photo"] = plots.det_curve(thin, band)
        by_threshold = plots.rates_by_threshold(GRID, right, far, frr, best, threshold)
        drawn[f"Fig. 9a: decisions by threshold, {photo} photo"] = by_threshold
    named = {scores.name: scores.values for scores in result.populations if len(scores.values)}
    return drawn | {"Scores by population": plots.score_histograms(named, threshold)}


def side_by_side(first: Table, second: Table) -> str:
    """Two tables in columns; a figure that one of them lacks has a dash."""
    others = {entry.name: entry for entry in second.rows}
    mine = {entry.name: entry for entry in first.rows}

    def cell(entry: Row | None) -> str:
        return "-" if entry is None else f"{number(entry.value)} ({number(entry.low)} to {number(entry.high)})"

    names = list(dict.fromkeys([*mine, *others]))
    return grid(
        ("figure", "this run", "the other", ""), [(n, cell(mine.get(n)), cell(others.get(n)), "") for n in names]
    )


def differences(first: Result, second: Result) -> tuple[Row, ...]:
    """Paired differences (first less second) of AUC, EER and the shares accepted, with intervals over people.

    Raises:
        DataMissing: the two did not score the same trials.
    """
    rows: list[Row] = []
    ours, theirs = sides(first), sides(second)
    for photo in ours:
        if photo not in theirs:
            continue
        pairs = [ScorePair.of(*each[photo]) for each in (ours, theirs)]
        both = together(*pairs)
        statistics: dict[str, Callable[..., np.ndarray]] = {"AUC": verification.area, "EER": verification.equal_error}
        for name, statistic in statistics.items():
            found = curve_difference(statistic, both, stream(first.seed, f"paired, {photo}, {name}"))
            rows.append(row(f"{name}, {photo} photo", found, None, said(found)))
        for name, scores, people in (
            ("FRR", both.genuine, both.genuine_people),
            ("FAR", both.impostor, both.impostor_people),
        ):
            limits = [
                r.thresholds.dev if r.thresholds.in_force == "dev" else r.thresholds.paper for r in (first, second)
            ]
            accepted = np.stack([values >= limit for values, limit in zip(scores, limits, strict=True)]).astype(float)
            gap = (accepted[0] - accepted[1]) * (-1.0 if name == "FRR" else 1.0)
            found = mean_interval(gap, people, stream(first.seed, f"paired, {photo}, {name}"))
            rows.append(row(f"{name} at the threshold in force, {photo} photo", found, None, said(found)))
    return tuple(rows)


def said(found: Interval) -> str:
    """Whether a difference is one."""
    return "no difference shown" if found.low <= 0 <= found.high else "a difference"


def together(first: ScorePair, second: ScorePair) -> ScorePair:
    """Two scorings of the same trials: genuine (2, N) and impostor (2, M).

    Raises:
        DataMissing: the numbers of trials or their people differ.
    """
    same = np.array_equal(first.genuine_people, second.genuine_people) and np.array_equal(
        first.impostor_people, second.impostor_people
    )
    if not same:
        raise DataMissing(
            got="two results of different trials, which cannot be paired",
            mend="evaluate both on the same data, people, keys and seed; a face that only one lacks unpairs them",
        )
    return ScorePair(
        np.stack([first.genuine, second.genuine]),
        first.genuine_people,
        np.stack([first.impostor, second.impostor]),
        first.impostor_people,
        first.impostor_others if second.impostor_others is not None else None,
    )
