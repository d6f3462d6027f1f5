"""Print the README's section "Measured" from the committed score files: python -m benchmarks.readme_tables [FOLDER].

One column for each form of P and KVFA whose files are there, the paper's beside them. Nothing is computed but means,
intervals and largest values of the committed scores.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfaar_core.evaluate.results import Result, load_result
from kfaar_core.records import Row
from kfaar_core.scenarios.populations import KEY_MODES, OWN, SHARED
from kfaar_core.tables import PHOTO_WORDS, SCHEMA, kvfa_thresholds, table_of

SCORES = Path(__file__).resolve().parent.parent / "assets" / "scores"
DATA = {"lfw": "LFW-test", "celeba": "CelebA"}
# column -> where its files are in the folder, up to the data set; forms of 8 and 128 bits are runs with --key-bits
FORMS = {
    "floor": "lab-floor",
    "hashed": "lab-hashed",
    "bits, 256": "lab-bits",
    "bits, 128": "128-bit/lab-bits",
    "bits, 8": "8-bit/lab-bits",
}
SECTIONS = (  # title, table of evaluate, key mode
    ("Authentication (Table VI)", "vi", SHARED),
    ("Authentication (Table VI)", "vi", OWN),
    ("Scenarios (Table VII)", "vii", SHARED),
    ("Scenarios (Table VII)", "vii", OWN),
    ("Random keys and wrong bits (Table XII)", "keys", SHARED),
    ("After damage to the picture", "robustness", SHARED),
    ("Identity shows in the face", "mask", SHARED),
    ("Anonymity and synchronism (Tables II and III), by the judge", "anonymity", SHARED),
    ("Posture (Table IV)", "posture", SHARED),
    ("E and the judge alone, real photos", "recognisers", SHARED),
)
KEYED = ("vi", "vii", "robustness")  # tables that have another outcome in another key mode
NAMES = (  # numbers that differ between the forms leave the names, so that rows meet
    (re.compile(r"threshold -?[\d.]+ \((paper|dev)[^)]*\)"), r"\1's threshold"),
    (re.compile(r"threshold -?[\d.]+ \(in force\)"), "threshold in force"),
    (re.compile(r"at -?[\d.]+ \(in force\)"), "at the threshold in force"),
    (re.compile(r"largest cosine of \d+"), "largest cosine"),
    (re.compile(r"among the first (\d+) of \d+"), r"among the first \1"),
)


@dataclass(frozen=True)
class Column:
    """One file."""

    people: str
    rows: Mapping[str, Row]
    thresholds: str = ""


def column(path: Path) -> Column:
    """The rows of a score or table file by their common names.

    Raises:
        DataMissing: a damaged file.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.get("schema") == SCHEMA:
        people = re.search(r"(\d+) (?:test )?people", record["about"])
        return Column(people[1] if people else "?", named(row_of(entry) for entry in record["rows"]))
    result = load_result(path)
    rows = [*table_of(result).rows, *largest(result)]
    dev = next(label for label, _ in kvfa_thresholds(result.thresholds) if "dev" in label)
    return Column(str(result.people), named(rows), dev)


def row_of(entry: Mapping[str, Any]) -> Row:
    """A row of a table file; a figure that does not exist was null."""
    numbers = {name: float("nan") if entry[name] is None else entry[name] for name in ("value", "low", "high")}
    return Row(**{**entry, **numbers})


def named(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by names without the numbers of one form."""
    found = {}
    for row in rows:
        name = row.name
        for pattern, words in NAMES:
            name = pattern.sub(words, name)
        found[name] = row
    return found


def largest(result: Result) -> list[Row]:
    """The most similar trial of scenarios 1 to 3, which a mean hides."""
    found = []
    for scores in result.populations if result.table == "VII" else ():
        if scores.name.startswith("scenario") and len(scores.values):
            number, photo = scores.name.split()[1:3]
            name = f"Scenario {number}, {PHOTO_WORDS[photo]}: largest cosine"
            found.append(Row(name, float(scores.values.max()), float("nan"), float("nan"), len(scores.values)))
    return found


def number(value: float, share: bool) -> str:
    """Three decimals; a small share of accepted keys keeps its first digits."""
    return f"{value:.1e}" if share and 0 < value < 0.0005 else f"{value:.3f}"


def cell(row: Row | None) -> str:
    """Value, interval and n."""
    if row is None or row.value != row.value:
        return "-"
    value, low, high = (number(figure, "accepted" in row.name) for figure in (row.value, row.low, row.high))
    return f"{value} (n {row.n})" if row.low != row.low else f"{value} ({low} to {high})"


def remarks(form: str, rows: Mapping[str, Row]) -> list[str]:
    """What random and wrong keys are held against: the law of a random direction."""
    said = [name for name in rows if name.startswith("random key") or re.match(r"Scenario 3.*: cosine", name)]
    return [f"- {form}, {name}: {rows[name].note}." for name in said if rows[name].note]


def markdown(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    cells = [list(head), *map(list, lines)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "\n".join("| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in cells)


def section(folder: Path, title: str, table: str, mode: str, data: str) -> str:
    """One table with a column for each form; empty where there is no file."""
    paths = {form: folder / f"{stem}-{data}-{table}-{mode}.json" for form, stem in FORMS.items()}
    columns = {form: column(path) for form, path in paths.items() if path.is_file()}
    if not columns:
        return ""
    names = list(dict.fromkeys(name for found in columns.values() for name in found.rows))
    lines = []
    for name in names:
        cells = [found.rows.get(name) for found in columns.values()]
        paper = next((row.paper for row in cells if row is not None and row.paper is not None), None)
        lines.append([name, *map(cell, cells), "-" if paper is None else f"{paper:.3f}"])
    about = [f"{form} {found.people}" for form, found in columns.items()]
    words = f"**{title}**, {DATA[data]}" + (f", {KEY_MODES[mode]}" if table in KEYED else "")
    words += f". People: {'; '.join(about)}."
    dev = [f"{form} {found.thresholds}" for form, found in columns.items() if found.thresholds]
    words += f" {'; '.join(dev)}." if dev else ""
    below = "\n".join(line for form, found in columns.items() for line in remarks(form, found.rows))
    return f"{words}\n\n{markdown(['figure', *columns, 'paper'], lines)}\n" + (f"\n{below}\n" if below else "")


def main(folder: Path = SCORES) -> None:
    """Print every section that has files."""
    found = [section(folder, *entry, data) for entry in SECTIONS for data in DATA]
    print("\n".join(text for text in found if text).rstrip("\n"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
