"""The committed score files as columns of rows: what the README's tables are made from."""

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
    """What one column of a table is about: a method, with keys of one length where each length has networks."""

    method: Method
    bits: int  # length of the keys
    words: str  # the head of the column

    @property
    def stem(self) -> str:
        """Where its files are in the folder, up to the data set; other key lengths have a folder of their own."""
        name = f"{LAB.name}-{self.method.name}"
        return name if self.bits == LAB.key_bits else f"{self.bits}-bit/{name}"


def sources() -> tuple[Source, ...]:
    """Every column there may be, in the order of the tables."""
    return tuple(
        Source(method, bits, f"{method.name}, {bits}" if method.key_lengths else method.name)
        for method in methods.registered()
        for bits in method.key_lengths or (LAB.key_bits,)
    )


@dataclass(frozen=True)
class Column:
    """One file. A table without scores does not say its thresholds: they are then empty."""

    people: str
    rows: tuple[Row, ...]
    thresholds: str = ""  # dev's, in words
    in_force: str = ""  # the one in force, in words
    threshold: float = float("nan")  # in force
    dimension: int = 0


def columns(folder: Path, data: str, table: str, mode: str = SHARED) -> dict[Source, Column]:
    """Source -> its file of that data set, table and key mode; a source without a file is left out.

    Raises:
        DataMissing: a damaged file.
    """
    paths = {source: folder / f"{source.stem}-{data}-{table}-{mode}.json" for source in sources()}
    return {source: column(path, path.stat().st_mtime_ns) for source, path in paths.items() if path.is_file()}


@cache
def column(path: Path, changed: int) -> Column:
    """The rows of a score or table file; `changed` is the time of its last change, so that a new file is read anew.

    Raises:
        DataMissing: a damaged file.
    """
    table = from_json(path)
    if table is not None:
        people = re.search(r"(\d+) (?:test )?people", table.about)
        return Column(people[1] if people else "?", table.rows)
    result = load_result(path)
    rows = (*table_of(result).rows, *largest(result))
    labels = kvfa_thresholds(result.thresholds)
    label, threshold = next(entry for entry in labels if "in force" in entry[0])
    dev = next(label for label, _ in labels if "dev" in label)
    return Column(str(result.people), rows, dev, label.replace(", in force", ""), threshold, result.dimension)


def largest(result: Result) -> list[Row]:
    """The most similar trial of scenarios 1 to 3, which a mean hides."""
    found = []
    named = {scores.name: scores for scores in result.populations}
    for place, (photo, words) in product(ATTACKS, PHOTO_WORDS.items()):
        scores = named.get(scenario(place, photo))
        if scores is not None and len(scores.values):
            name = f"Scenario {place}, {words}: largest cosine"
            found.append(Row(name, float(scores.values.max()), float("nan"), float("nan"), len(scores.values)))
    return found


def number(value: float, share: bool) -> str:
    """Three decimals; a small share of accepted keys keeps its first digits."""
    return f"{value:.1e}" if share and 0 < value < 0.0005 else f"{value:.3f}"


def interval(row: Row) -> str:
    """The 95 % interval, or nothing where a figure has none."""
    return "" if row.low != row.low else " to ".join(number(end, "accepted" in row.name) for end in (row.low, row.high))


def markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [list(head), *map(list, lines)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join("| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in cells)
