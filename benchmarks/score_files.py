"""Read the committed score files as columns of the README's tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from kfaar_core import methods
from kfaar_core.methods.base import Method
from kfaar_core.presets import LAB
from kfaar_core.records import Row
from kfaar_core.report.tables import PHOTO_WORDS, from_json, kvfa_thresholds, table_of
from kfaar_core.results import Result, load_result
from kfaar_core.scenarios.populations import ATTACKS, SHARED, scenario

DATA = {"lfw": "LFW-test", "celeba": "CelebA"}


@dataclass(frozen=True)
class Source:
    """One column of a table: a method, for one key length if the method has networks for each length."""

    method: Method
    bits: int  # length of the keys
    words: str  # head of the column

    @property
    def stem(self) -> str:
        """The start of its file names, up to the data set; other key lengths than the default are in a subfolder."""
        name = f"{LAB.name}-{self.method.name}"
        return name if self.bits == LAB.key_bits else f"{self.bits}-bit/{name}"


def sources() -> tuple[Source, ...]:
    """All possible columns, in the order of the tables: the methods that read a person back."""
    return tuple(
        Source(method, bits, f"{method.name}, {bits}" if method.key_lengths else method.name)
        for method in methods.registered()
        if method.readable
        for bits in method.key_lengths or (LAB.key_bits,)
    )


@dataclass(frozen=True)
class Column:
    """The content of one file. Files without scores have no thresholds; these fields are then empty."""

    people: str  # number of people
    rows: tuple[Row, ...]
    thresholds: str = ""  # label of the dev threshold
    in_force: str = ""  # label of the threshold in force
    threshold: float = float("nan")  # threshold in force
    dimension: int = 0  # d


def columns(folder: Path, data: str, table: str, mode: str = SHARED) -> dict[Source, Column]:
    """The files of a data set, table and key mode: source -> column. Sources without a file are left out.

    Raises:
        DataMissing: a damaged file.
    """
    paths = {source: folder / f"{source.stem}-{data}-{table}-{mode}.json" for source in sources()}
    return {source: column(path, path.stat().st_mtime_ns) for source, path in paths.items() if path.is_file()}


@cache
def column(path: Path, changed: int) -> Column:
    """Read a score or table file. `changed`, the time of its last change, is a part of the key of the cache.

    Raises:
        DataMissing: a damaged file.
    """
    table = from_json(path)
    if table is not None:
        people = re.search(r"(\d+) (?:test |dev )?people", table.about)
        return Column(people[1] if people else "?", table.rows)
    result = load_result(path)
    rows = (*table_of(result).rows, *largest(result))
    labels = kvfa_thresholds(result.thresholds)
    label, threshold = next(entry for entry in labels if "in force" in entry[0])
    dev = next(label for label, _ in labels if "dev" in label)
    return Column(str(result.people), rows, dev, label.replace(", in force", ""), threshold, result.dimension)


def largest(result: Result) -> list[Row]:
    """Rows: the largest cosine of scenarios 1 to 3."""
    rows = []
    named = {scores.name: scores for scores in result.populations}
    for attack, (photo, words) in product(ATTACKS, PHOTO_WORDS.items()):
        scores = named.get(scenario(attack, photo))
        if scores is not None and len(scores.values):
            name = f"Scenario {attack}, {words}: largest cosine"
            rows.append(Row(name, float(scores.values.max()), float("nan"), float("nan"), len(scores.values)))
    return rows


def number(value: float, share: bool) -> str:
    """A number with three decimals; a small share in scientific notation."""
    return f"{value:.1e}" if share and 0 < value < 0.0005 else f"{value:.3f}"


def interval(row: Row) -> str:
    """The 95 % interval of a row; empty if it has none."""
    return "" if row.low != row.low else " to ".join(number(end, "accepted" in row.name) for end in (row.low, row.high))


def markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [list(head), *map(list, lines)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join("| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in cells)
