"""Tables: from scores to rows, and from rows to Markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfaar_core import methods
from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.metrics.bootstrap import (
    RESAMPLES,
    Interval,
    curve_interval,
    mean_interval,
    rate_interval,
    zero_words,
)
from kfaar_core.metrics.random_direction import law_test
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import area, crr, equal_error
from kfaar_core.records import Row, Scores
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.results import Result, Thresholds, load_result
from kfaar_core.runtime import stream
from kfaar_core.scenarios import populations

SCHEMA = "kfaar-table"
VERSION = 1
PHOTO_WORDS = {populations.OTHER: "another photo", populations.SAME: "same photo"}


@dataclass(frozen=True)
class Table:
    """A table of figures."""

    number: str  # the paper's, for example "VI"
    title: str
    about: str  # how it was computed: data, people, keys, preset
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """What the rows of a table depend on beside the scores."""

    thresholds: Thresholds  # of KVFA and the judge
    dataset: str  # for the paper's figures
    dimension: int  # d, length of the vectors that KVFA compares
    random_directions: bool = True  # test the cosines of wrong keys against the distribution of random directions
    seed: int = 0  # of the bootstrap
    resamples: int = RESAMPLES  # of the bootstrap


def table_vi(scores: Mapping[str, Scores], settings: TableSettings) -> tuple[Row, ...]:
    """Table VI, recognition accuracy of KVFA: CRR and FAR at two thresholds, and AUC. EER and FRR are not in the paper.

    Args:
        scores: population name -> scores; all of populations.names_for("VI").

    Raises:
        DataMissing: a population is missing or has no score.
    """
    impostor = scored(scores, populations.IMPOSTOR)
    rows: list[Row] = []
    for photo, words in PHOTO_WORDS.items():
        genuine = scored(scores, populations.genuine(photo))
        for label, threshold in kvfa_thresholds(settings.thresholds):
            rng = stream(settings.seed, f"table VI, {photo}, {label}")
            rows += decisions(genuine, impostor, threshold, f"{words}, {label}", settings, rng)
        for figure, statistic in (("AUC", area), ("EER", equal_error)):
            rng = stream(settings.seed, f"table VI, {photo}, {figure}")
            interval = curve_interval(statistic, ScorePair.of(genuine, impostor), rng, settings.resamples)
            paper = paper_figure("VI", figure.lower(), settings.dataset)
            rows.append(row(f"{figure}, {words}", interval, paper, failed_words(genuine, impostor)))
    return tuple(rows)


def decisions(
    genuine: Scores,
    impostor: Scores,
    threshold: float,
    words: str,
    settings: TableSettings,
    rng: np.random.Generator,
) -> list[Row]:
    """Rows: CRR, FAR and FRR at one threshold."""
    accepted, refused = genuine.values >= threshold, impostor.values < threshold
    right, owners = np.concatenate([accepted, refused]), np.concatenate([genuine.people, impostor.people])
    failed = genuine.failed + impostor.failed
    crr_note = failed_words(genuine, impostor)
    if failed:
        strict = crr(genuine.values, impostor.values, threshold) * right.size / (right.size + failed)
        crr_note += f"; CRR {strict:.3f} when they count as wrong"
    rates = {
        "CRR": (rate_interval(right, owners, rng, settings.resamples), crr_note),
        "FAR": (rate_interval(~refused, impostor.people, rng, settings.resamples), failed_words(impostor)),
        "FRR": (rate_interval(~accepted, genuine.people, rng, settings.resamples), failed_words(genuine)),
    }
    return [
        row(f"{figure}, {words}", interval, paper_figure("VI", figure.lower(), settings.dataset), note)
        for figure, (interval, note) in rates.items()
    ]


def table_vii(scores: Mapping[str, Scores], settings: TableSettings) -> tuple[Row, ...]:
    """Table VII, similarity of original and virtual face in four scenarios, with the accepted share at each threshold.

    The AUC against strangers measures how well the cosine separates the person from other people; 0.5 is chance.

    Args:
        scores: population name -> scores; all of populations.names_for("VII"), optionally those of strangers.

    Raises:
        DataMissing: a population is missing or has no score.
    """
    rows: list[Row] = []
    thresholds, seed, resamples = settings.thresholds, settings.seed, settings.resamples
    for entry in populations.SCENARIOS:
        strangers = None  # in scenario 4 they are KVFA's impostors, whose AUC is in Table VI
        if entry.number in populations.ATTACKS:
            strangers = scores.get(populations.scenario(entry.number, populations.STRANGER))
        limits = tuple(thresholds.judge.items()) if entry.by_judge else kvfa_thresholds(thresholds)
        for photo, words in PHOTO_WORDS.items():
            population = scored(scores, populations.scenario(entry.number, photo))
            name = f"Scenario {entry.number} ({entry.title}), {words}"
            note = failed_words(population)
            if entry.number == 3 and settings.random_directions:
                note = "; ".join(part for part in (law_words(population, settings.dimension), note) if part)
            rng = stream(seed, f"table VII, {entry.number}, {photo}")
            mean = mean_interval(population.values, population.people, rng, resamples)
            paper = paper_figure("VII", f"scenario {entry.number}", settings.dataset)
            rows.append(row(f"{name}: cosine", mean, paper, note))
            if strangers is not None and len(strangers.values):
                rng = stream(seed, f"table VII, {entry.number}, {photo}, strangers")
                separation = curve_interval(area, ScorePair.of(population, strangers), rng, resamples)
                note = failed_words(population, strangers)
                rows.append(row(f"{name}: AUC against strangers", separation, None, note))
            for label, threshold in limits:
                label = f"{label} ({threshold:.3f})" if entry.by_judge else label
                rng = stream(seed, f"table VII, {entry.number}, {photo}, {label}")
                accepted = rate_interval(population.values >= threshold, population.people, rng, resamples)
                rows.append(row(f"{name}: accepted, {label}", accepted, None, failed_words(population)))
    return tuple(rows)


TABLES: Mapping[str, tuple[str, Callable[[Mapping[str, Scores], TableSettings], tuple[Row, ...]]]] = {
    "VI": ("The recognition accuracy of KVFA", table_vi),
    "VII": ("The similarity of original and virtual face in different authentication scenarios", table_vii),
}


def table_of(result: Result, *, resamples: int = RESAMPLES) -> Table:
    """Make the table of a result.

    Raises:
        BadSetting: a result for an unknown table.
        DataMissing: a population is missing or empty.
    """
    if result.table not in TABLES:
        raise BadSetting(got=f"the table {result.table!r}", mend=f"choose one of {', '.join(TABLES)}")
    title, rows = TABLES[result.table]
    named = {scores.name: scores for scores in result.populations}
    settings = TableSettings(
        thresholds=result.thresholds,
        dataset=result.dataset,
        dimension=result.dimension,
        random_directions=result.method in methods.names() and methods.get(result.method).random_directions,
        seed=result.seed,
        resamples=resamples,
    )
    return Table(result.table, title, about(result), rows(named, settings))


def about(result: Result) -> str:
    """Text above a table: data, people, keys, preset and failures."""
    failed = ", ".join(f"{count} x {what}" for what, count in result.failures.items()) or "none"
    return (
        f"{result.dataset}, {result.people} people, {populations.KEY_MODES[result.key_mode]}, {result.trials} trials, "
        f"d = {result.dimension}, preset {result.preset}; failures: {failed}; "
        "intervals: 95 % bootstrap over people"
    )


def scored(scores: Mapping[str, Scores], name: str) -> Scores:
    """The population with this name.

    Raises:
        DataMissing: it is missing or has no score.
    """
    if name not in scores:
        raise DataMissing(got=f"the scores of {name!r} are missing", mend="run the evaluation of this table again")
    if len(scores[name].values) == 0:
        raise DataMissing(
            got=f"all {scores[name].failed} trials of {name!r} failed",
            mend="look at the failures of the result, and use more people",
        )
    return scores[name]


def kvfa_thresholds(thresholds: Thresholds) -> tuple[tuple[str, float], ...]:
    """The two thresholds of KVFA as (label, threshold); the label marks the one in force."""
    marks = {name: ", in force" if name == thresholds.in_force else "" for name in ("paper", "dev")}
    return (
        (f"threshold {thresholds.paper:.3f} (paper{marks['paper']})", thresholds.paper),
        (f"threshold {thresholds.dev:.3f} (dev{marks['dev']})", thresholds.dev),
    )


def row(name: str, interval: Interval, paper: float | None, note: str) -> Row:
    """Make a row of an interval. For a rate of 0 or 1, the note has the bound 3/n.

    Args:
        name: of the figure.
        paper: the paper's figure.
        note: appended to the number of people.
    """
    remarks = [f"{interval.people} people"]
    if interval.value == 0 and interval.high > 0:
        remarks.append(f"0 of {interval.n}: {zero_words(interval.people)}")
    elif interval.value == 1 and interval.low < 1:
        remarks.append(f"{interval.n} of {interval.n}: misses {zero_words(interval.people)}")
    remarks += [note] if note else []
    return Row(name, interval.value, interval.low, interval.high, interval.n, paper, "; ".join(remarks))


def failed_words(*populations_: Scores) -> str:
    """A note on the number of failed trials; empty if there is none."""
    failed = sum(scores.failed for scores in populations_)
    total = failed + sum(len(scores.values) for scores in populations_)
    return f"{failed} of {total} trials failed" if failed else ""


def law_words(population: Scores, dimension: int) -> str:
    """A note on the test of wrong keys against the distribution of random directions."""
    if dimension < 2:
        return ""
    test = law_test(population.values, dimension)
    return (
        f"sd {test.sd:.3f}, a random direction in {dimension} dimensions has {test.expected_sd:.3f} "
        f"(KS {test.statistic:.3f}, p {test.p_value:.2g})"
    )


def to_markdown(table: Table) -> str:
    """The table as Markdown."""
    lines = [
        f"### Table {table.number}: {table.title}",
        "",
        f"{table.about}.",
        "",
        "| figure | ours | 95 % interval | n | paper | note |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for entry in table.rows:
        interval = f"{number(entry.low)} to {number(entry.high)}"
        cells = entry.name, number(entry.value), interval, str(entry.n), number(entry.paper), entry.note
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """A number with three decimals; a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def to_json(table: Table) -> str:
    """The table as JSON; NaN becomes null."""
    rows = [{name: none_for_nan(value) for name, value in asdict(entry).items()} for entry in table.rows]
    record = {"schema": SCHEMA, "version": VERSION, **asdict(table), "rows": rows}
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def none_for_nan(value: object) -> object:
    """None for NaN, other values unchanged."""
    return None if isinstance(value, float) and math.isnan(value) else value


def read_table(path: Path) -> Table:
    """Read a table from a result file (save_result) or a table file (to_json).

    Raises:
        DataMissing: the file is neither.
    """
    return from_json(path) or table_of(load_result(path))


def from_json(path: Path) -> Table | None:
    """Read a table file that to_json wrote; None for any other file.

    Raises:
        DataMissing: a part of the table is missing.
    """
    try:
        written: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(written, dict) or (written.get("schema"), written.get("version")) != (SCHEMA, VERSION):
        return None
    try:
        rows = tuple(
            Row(
                name=str(row["name"]),
                value=nan_for_none(row["value"]),
                low=nan_for_none(row["low"]),
                high=nan_for_none(row["high"]),
                n=int(row["n"]),
                paper=None if row["paper"] is None else float(row["paper"]),
                note=str(row["note"]),
            )
            for row in written["rows"]
        )
        return Table(str(written["number"]), str(written["title"]), str(written["about"]), rows)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataMissing(got=f"{path.name} lacks a part of a table", mend="run the evaluation again") from error


def nan_for_none(value: float | None) -> float:
    """NaN for None, other values unchanged."""
    return math.nan if value is None else float(value)
