"""Result files of attacks: NAME.json has the figures and everything that they depend on; NAME.md is the table.

People are numbers and counts, never names; there are no photos, features or keys in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kfaar_core.attacks.base import Attack, Figure
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.errors import DataMissing
from kfaar_core.files import write_whole
from kfaar_core.report.tables import nan_for_none, none_for_nan, number
from kfaar_core.results import of_stated_types

SCHEMA = "kfaar-attack"
VERSION = 1


@dataclass(frozen=True)
class Check:
    """One target, and whether it is met."""

    series: str
    at: float | None
    bound: str
    met: bool


@dataclass(frozen=True)
class AttackResult:
    """What one attack got from one method on one data set."""

    attack: str  # name
    code: str
    title: str
    holds: str
    learns: str
    across: str
    words: str  # what it means, for everybody
    dataset: str
    method: str
    refined: bool
    simulated: float | None  # cosine of simulated readings; None: virtual faces were made
    people: int
    left_out: int
    dimension: int
    threshold: float
    seed: int
    weights: dict[str, str]  # name -> sha256
    preset_sha256: str
    data_sha256: str
    command: str
    figures: tuple[Figure, ...]
    checks: tuple[Check, ...]

    @property
    def faces(self) -> str:
        """How the virtual faces were made, in words."""
        if self.simulated is not None:
            return f"{self.method}, readings simulated at a cosine of {self.simulated:g}"
        return f"{self.method}, {'refined' if self.refined else 'not refined'}"

    @property
    def file(self) -> str:
        """The name of its file, without ending."""
        how = "-simulated" if self.simulated is not None else "" if self.refined else "-quick"
        return f"{self.code.lower()}-{self.attack}-{self.method}{how}-{self.dataset}"


def result_of(attack: Attack, evidence: Evidence, figures: Sequence[Figure], command: str) -> AttackResult:
    """The result of an attack on an evidence."""
    checks = [(aim, aim.met(figures)) for aim in attack.aims]
    return AttackResult(
        attack=attack.name,
        code=attack.code,
        title=attack.title,
        holds=attack.holds,
        learns=attack.learns,
        across=attack.across,
        words=attack.says(figures),
        dataset=evidence.dataset,
        method=evidence.method,
        refined=evidence.refined,
        simulated=evidence.simulated,
        people=evidence.people,
        left_out=evidence.left_out,
        dimension=evidence.dimension,
        threshold=evidence.threshold,
        seed=evidence.seed,
        weights=dict(evidence.weights),
        preset_sha256=evidence.preset_sha256,
        data_sha256=evidence.data_sha256,
        command=command,
        figures=tuple(figures),
        checks=tuple(Check(aim.series, aim.at, aim.words(), met) for aim, met in checks if met is not None),
    )


def save(result: AttackResult, folder: Path) -> Path:
    """Write `<folder>/<result.file>.json` and .md.

    Returns:
        The path of the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {"schema": SCHEMA, "version": VERSION, **asdict(result)}
    record["figures"] = [{name: none_for_nan(value) for name, value in row.items()} for row in record["figures"]]
    path = folder / f"{result.file}.json"
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, f"{text}\n".encode(), force=True)
    write_whole(path.with_suffix(".md"), markdown(result).encode(), force=True)
    return path


def load(path: Path) -> AttackResult:
    """Read a file that `save` wrote.

    Raises:
        DataMissing: it is no such file, or has another version.
    """
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
        if (record.pop("schema"), record.pop("version")) != (SCHEMA, VERSION):
            raise ValueError("another schema")
        figures = [figure_of(row) for row in record.pop("figures")]
        checks = tuple(of_stated_types(Check(**check)) for check in record.pop("checks"))
        return of_stated_types(AttackResult(**record, figures=tuple(figures), checks=checks))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataMissing(got=f"{path.name} is no result of an attack", mend="run the attack again") from error


def figure_of(row: Mapping[str, Any]) -> Figure:
    """A Figure from its fields in JSON, where NaN is null."""
    measured: dict[str, Any] = {name: nan_for_none(row[name]) for name in ("value", "low", "high")}
    return of_stated_types(Figure(**{**row, **measured}))


def load_all(folder: Path) -> tuple[AttackResult, ...]:
    """Every result of a folder, in the order of codes and methods."""
    found = [load(path) for path in sorted(folder.glob("a*-*.json"))]
    return tuple(
        sorted(found, key=lambda result: (int(result.code[1:]), result.method, result.refined, result.dataset))
    )


def about(result: AttackResult) -> str:
    """Data, people and faces in one sentence."""
    return (
        f"{result.dataset}, {result.people} people ({result.left_out} left out: no face found), {result.faces}, "
        f"d = {result.dimension}, threshold {result.threshold:.3f}, seed {result.seed}; 95 % intervals over people"
    )


def markdown(result: AttackResult) -> str:
    """The result as Markdown."""
    lines = [
        f"### {result.code}: {result.title}",
        "",
        f"The adversary holds {result.holds}. He wants to learn {result.learns}.",
        "",
        result.words,
        "",
        f"{about(result)}.",
        "",
        f"| figure | {result.across or '-'} | value | 95 % interval | n | people | chance | note |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for figure in result.figures:
        at = "" if figure.at is None else f"{figure.at:g}"
        interval = f"{number(figure.low)} to {number(figure.high)}"
        cells = [figure.series, at, shown(figure.value), interval, str(figure.n), str(figure.people)]
        cells += [shown(figure.chance), figure.note]
        lines.append("| " + " | ".join(cells) + " |")
    if result.checks:
        lines += ["", "| target | bound | |", "|---|---|---|"]
        for check in result.checks:
            at = "" if check.at is None else f" at {check.at:g}"
            lines.append(f"| {check.series}{at} | {check.bound} | {'met' if check.met else '**missed**'} |")
    return "\n".join(lines) + "\n"


def shown(value: float | None) -> str:
    """A number with three decimals, or two significant digits where that would be 0."""
    if value is not None and 0 < abs(value) < 0.0005:
        return f"{value:.1e}"
    return number(value) if value is None or abs(value) < 1000 else f"{value:,.0f}"
