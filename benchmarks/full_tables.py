"""All tables of the committed score files, as Markdown: assets/scores/TABLES.md.

Each method with files has a column, and so has the paper. The tables contain means, intervals and largest values of the
committed scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.score_files import DATA, columns, interval, markdown, number
from kfaar_core.records import Row
from kfaar_core.report.tables import read_table
from kfaar_core.scenarios.populations import KEY_MODES, OWN, SHARED

SECTIONS = (  # title, table of evaluate, key mode
    ("Authentication (Table VI)", "vi", SHARED),
    ("Authentication (Table VI)", "vi", OWN),
    ("Scenarios (Table VII)", "vii", SHARED),
    ("Scenarios (Table VII)", "vii", OWN),
    ("Random keys and wrong bits (Table XII)", "keys", SHARED),
    ("After damage to the picture", "robustness", SHARED),
    ("After damage to the picture", "robustness", OWN),
    ("Identity shows in the face", "mask", SHARED),
    ("Anonymity and synchronism (Tables II and III), by the judge", "anonymity", SHARED),
    ("Posture (Table IV)", "posture", SHARED),
    ("E, u and the judge alone, real photos", "recognisers", SHARED),
    ("One virtual person to the eye, by networks that nothing was trained against", "person", SHARED),
    ("One virtual person to the eye, by networks that nothing was trained against", "person", OWN),
    ("Enrolled keys", "enrolled", SHARED),
    ("Enrolled keys", "enrolled", OWN),
    ("Who the virtual faces of many keys are", "looks", SHARED),
    ("What the observers are worth, real photos", "observers", SHARED),
)
PLACES = {**DATA, "lfw-dev": "LFW-dev"}
KEYED = ("vi", "vii", "robustness", "person", "enrolled")  # tables that depend on the key mode
ABLATIONS = (  # title, glob of the files of `ablation`
    ("HPVFG without one loss (Table IX)", "lab-hashed-*-ix-*.json"),
    ("KVFA of bits without some losses (Table X)", "lab-bits-*-x.json"),
)
NAMES = (  # removes numbers that differ between methods from row names, to put the rows on one line
    (re.compile(r"threshold -?[\d.]+ \((paper|dev)[^)]*\)"), r"\1's threshold"),
    (re.compile(r"threshold -?[\d.]+ \(in force\)"), "threshold in force"),
    (re.compile(r"at -?[\d.]+ \(in force\)"), "at the threshold in force"),
    (re.compile(r"largest cosine of \d+"), "largest cosine"),
    (re.compile(r"among the first (\d+) of \d+"), r"among the first \1"),
)
HEAD = """# Every measured figure

Written by `python -m benchmarks.readme_tables --write` from the files beside it; the README has the summary and says
how it was measured. In brackets: 95 % bootstrap intervals over people.
"""


def full(folder: Path) -> str:
    """The content of TABLES.md: every section with files."""
    sections = [section(folder, *entry, data) for entry in SECTIONS for data in PLACES]
    sections += [ablation(title, path) for title, files in ABLATIONS for path in sorted(folder.glob(files))]
    return "\n".join([HEAD, *(text for text in sections if text)])


def ablation(title: str, path: Path) -> str:
    """The section of an ablation, with a column for each variant. Row names end with the variant: "AUC, w/o syn"."""
    table = read_table(path)
    cells: dict[str, dict[str, str]] = {}
    for entry in table.rows:
        figure, _, variant = entry.name.rpartition(", ")
        paper = "" if entry.paper is None else f"<br>paper {entry.paper:.3f}"
        difference = re.search(r"[-+][\d.]+ \([^)]*\) against", entry.note)
        change = f"<br>{difference[0].removesuffix(' against')}" if difference else ""
        cells.setdefault(figure, {})[variant] = cell(entry) + change + paper
    variants = list(dict.fromkeys(variant for row in cells.values() for variant in row))
    lines = [[figure, *(row.get(variant, "-") for variant in variants)] for figure, row in cells.items()]
    below = f"Below the figure, how much larger it is than with {variants[0]}, on the same trials."
    return f"## {title}\n\nOn {table.about}. {below}\n\n{markdown(['figure', *variants], lines)}\n"


def section(folder: Path, title: str, table: str, mode: str, data: str) -> str:
    """One section with a column for each method; empty without files."""
    by_source = columns(folder, data, table, mode)
    if not by_source:
        return ""
    rows = {source.words: named(column.rows) for source, column in by_source.items()}
    lines = []
    for name in dict.fromkeys(name for named_ in rows.values() for name in named_):
        cells = [named_.get(name) for named_ in rows.values()]
        paper = next((row.paper for row in cells if row is not None and row.paper is not None), None)
        lines.append([name, *map(cell, cells), "-" if paper is None else f"{paper:.3f}"])
    words = f"## {title}, {PLACES[data]}" + (f", {KEY_MODES[mode]}" if table in KEYED else "")
    words += f"\n\nPeople: {'; '.join(f'{source.words} {column.people}' for source, column in by_source.items())}."
    dev = [f"{source.words} {column.thresholds}" for source, column in by_source.items() if column.thresholds]
    words += f" {'; '.join(dev)}." if dev else ""
    below = "\n".join(line for head, named_ in rows.items() for line in remarks(head, named_))
    return f"{words}\n\n{markdown(['figure', *rows, 'paper'], lines)}\n" + (f"\n{below}\n" if below else "")


def named(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by their names, without the numbers that differ between methods."""
    by_name = {}
    for row in rows:
        name = row.name
        for pattern, words in NAMES:
            name = pattern.sub(words, name)
        by_name[name] = row
    return by_name


def cell(row: Row | None) -> str:
    """The cell of a row: value, and interval or n."""
    if row is None or row.value != row.value:
        return "-"
    value = number(row.value, "accepted" in row.name)
    return f"{value} ({interval(row) or f'n {row.n}'})"


def remarks(head: str, rows: Mapping[str, Row]) -> list[str]:
    """Notes on random and wrong keys: the test against the distribution of random directions."""
    said = [name for name in rows if name.startswith("random key") or re.match(r"Scenario 3.*: cosine", name)]
    return [f"- {head}, {name}: {rows[name].note}." for name in said if rows[name].note]
