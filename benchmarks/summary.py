"""The short tables of docs/results.md: the figures with a target, one column for each source, the paper and the target.

Each figure is marked as meeting or missing its target. The mark depends on the figure, not on its interval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.score_files import DATA, Column, Source, columns, interval, markdown, number
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.targets import target
from kfaar_core.targets import PEOPLE, TARGETS, Target

PHOTO = "(another photo|same photo)"
IN_FORCE = r"threshold -?[\d.]+ \(.*in force\)"
FMR = r"FMR 1 % \(.*\)"


def itself(value: float) -> float:
    """The identity function."""
    return value


@dataclass(frozen=True)
class Figure:
    """One line of the summary. If several rows match, the worst is shown, with the matched groups of the pattern."""

    words: str  # in the first column
    name: str  # of its target
    table: str  # of evaluate
    pattern: str  # regular expression of the row's name; {bits} is the length of the keys
    paper: tuple[str, str] | None = None  # table and figure in report.paper_figures
    worse: Callable[[float], float] = itself  # sort key of rows; larger is worse


FIGURES = (
    Figure("KVFA AUC, another photo", "AUC, another photo", "vi", "AUC, another photo", ("VI", "auc")),
    Figure("KVFA AUC, same photo", "AUC, same photo", "vi", "AUC, same photo", ("VI", "auc")),
    Figure("CRR, another photo", "CRR, another photo", "vi", f"CRR, another photo, {IN_FORCE}", ("VI", "crr")),
    Figure("CRR, same photo", "CRR, same photo", "vi", f"CRR, same photo, {IN_FORCE}", ("VI", "crr")),
    Figure("FAR", "FAR", "vi", f"FAR, another photo, {IN_FORCE}", ("VI", "far")),
    Figure(
        "scenario 4 (right key), same photo: mean cosine",
        "scenario 4, same photo",
        "vii",
        r"Scenario 4 .*, same photo: cosine",
        ("VII", "scenario 4"),
    ),
    *(
        entry
        for number_, title in ((1, "no KVFA"), (2, "no key"), (3, "wrong key"))
        for entry in (
            Figure(
                f"scenario {number_} ({title}): mean cosine",
                f"scenario {number_}",
                "vii",
                rf"Scenario {number_} .*, {PHOTO}: cosine",
                ("VII", f"scenario {number_}"),
                abs,
            ),
            Figure(
                f"scenario {number_} ({title}): largest cosine",
                f"scenario {number_}, largest",
                "vii",
                rf"Scenario {number_}, {PHOTO}: largest cosine",
            ),
        )
        if entry.name != "scenario 1, largest"
    ),
    Figure("random key accepted", "random key accepted", "keys", rf"random key of \d+ bits: accepted, {IN_FORCE}"),
    Figure("d, compared dimensions", "d", "vi", "d"),
    Figure("1 wrong bit: mean cosine", "1 wrong bit", "keys", "{bits} bits, 1 wrong: cosine", ("XII", "")),
    Figure("synchronism AUC", "synchronism AUC", "anonymity", "synchronism AUC", ("III", "auc")),
    Figure("synchronism EER", "synchronism EER", "anonymity", "synchronism EER", ("III", "eer")),
    *(
        Figure(f"{name}, FMR 1 %", name, "anonymity", f"{name}: called different, {FMR}", ("II", name))
        for name in ("anonymity", "diversity", "differentiation")
    ),
    Figure(
        "AUC lost by JPEG 75, 256 px or a 5 % crop",
        "AUC loss after saving",
        "robustness",
        rf"AUC, {PHOTO}, (JPEG \d+|\d+ px|\d+ % crop): loss against PNG",
    ),
    Figure("cosine moved by another surrounding", "mask", "mask", rf"{PHOTO}: \|difference\| of the cosine"),
)
POSTURE = (
    *(
        Figure(f"{axis}, degrees", axis, "posture", rf"{axis}, degrees \(Face Landmarker\)", ("IV", axis))
        for axis in ("yaw", "pitch", "roll")
    ),
    Figure("expression cosine", "emotion", "posture", "expression cosine, raw", ("IV", "emotion")),
    Figure("virtual face detected", "detection", "posture", r"virtual face detected \(MTCNN\)", ("III", "detection")),
)


def summary(folder: Path) -> str:
    """The summary: for each data set a table, posture, and the face encoders. Figures without a file are listed."""
    parts = [text for data in DATA for text in (measured(folder, data), posture(folder, data), alone(folder, data))]
    return "\n\n".join(part for part in parts if part) + "\n"


def measured(folder: Path, data: str) -> str:
    """The table of a data set; empty without files."""
    sources = measured_sources(folder, data)
    if not sources:
        return ""
    lines, missing = [], []
    for figure in FIGURES:
        cells = [cell(figure, data, source, files) for source, files in sources.items()]
        if set(cells) == {"-"}:
            missing.append(figure.words)
        else:
            lines.append(
                [figure.words, *cells, paper_words(figure, data, sources), target_words(figure, data, sources)]
            )
    head = ["figure", *(source.words for source in sources), "paper", f"target ({PEOPLE[data]} people)"]
    about = "; ".join(f"{source.words}: {about_words(files)}" for source, files in sources.items())
    keys = "one key shared by everyone in a trial (random keys, the wrong bit and the surrounding: a key a person)"
    text = f"**{DATA[data]}**, {keys}. {about}.\n\n{markdown(head, lines)}"
    return text + (f"\n\nNo score file of {DATA[data]} yet: {'; '.join(missing)}." if missing else "")


def misses(folder: Path) -> dict[Source, list[str]]:
    """Missed targets: source -> one sentence for each."""
    by_source: dict[Source, list[str]] = {}
    for data in DATA:
        for source, files in measured_sources(folder, data).items():
            missed = by_source.setdefault(source, [])  # an empty list if every target is met
            for figure in FIGURES:
                value, marked, below = cell(figure, data, source, files).partition(", missed")
                aim = target(figure.name, data, source.method.name)
                if marked and aim is not None:
                    words = f" ({below.removeprefix('<br>')})" if below else ""
                    missed.append(f"{DATA[data]}, {figure.words}: {value}, target {aim.words()}{words}")
    return by_source


def measured_sources(folder: Path, data: str) -> dict[Source, dict[str, Column]]:
    """Source -> table -> file, for all tables in FIGURES."""
    return by_source({name: columns(folder, data, name) for name in dict.fromkeys(figure.table for figure in FIGURES)})


def by_source(tables: Mapping[str, Mapping[Source, Column]]) -> dict[Source, dict[str, Column]]:
    """Convert table -> source -> file to source -> table -> file."""
    files: dict[Source, dict[str, Column]] = {}
    for name, sources in tables.items():
        for source, file in sources.items():
            files.setdefault(source, {})[name] = file
    return files


def about_words(files: Mapping[str, Column]) -> str:
    """The number of people, and the threshold in force if a file has it."""
    people = sorted({file.people for file in files.values()}, key=lambda words: (len(words), words))
    force = next((file.in_force for file in files.values() if file.in_force), "")
    return f"{' or '.join(people)} people" + (f", {force}" if force else "")


def chosen(figure: Figure, source: Source, files: Mapping[str, Column]) -> tuple[Row, str] | None:
    """The worst row that matches a figure, and the matched groups of the pattern; None without such a row."""
    file = files.get(figure.table)
    if file is None:
        return None
    if figure.name == "d":
        return Row("d", file.dimension, float("nan"), float("nan"), 0), ""
    pattern = re.compile(figure.pattern.replace("{bits}", str(source.bits)))
    fits = [(row, match) for row in file.rows if row.value == row.value and (match := pattern.fullmatch(row.name))]
    if not fits:
        return None
    row, match = max(fits, key=lambda entry: figure.worse(entry[0].value))
    return row, ", ".join(match.groups()) if len(fits) > 1 else ""


def cell(figure: Figure, data: str, source: Source, files: Mapping[str, Column]) -> str:
    """A cell: value and mark; below them interval, n, and the matched groups."""
    worst = chosen(figure, source, files)
    if worst is None:
        return "-"
    row, detail = worst
    aim = target(figure.name, data, source.method.name)
    threshold = next((file.threshold for file in files.values() if file.in_force), float("nan"))
    mark = "" if aim is None else ", met" if aim.met(row.value, threshold) else ", missed"
    below = [interval(row), f"n {row.n}" if row.n else "", detail]
    words = ", ".join(part for part in below if part)
    return value_words(row, aim, threshold) + mark + (f"<br>{words}" if words else "")


def value_words(row: Row, aim: Target | None, threshold: float) -> str:
    """The value, with enough decimals for the printed number to meet or miss the target like the value itself."""
    if not row.n:
        return f"{row.value:g}"
    text = number(row.value, "accepted" in row.name)
    for digits in range(4, 9):
        if aim is None or aim.met(float(text), threshold) == aim.met(row.value, threshold):
            break
        text = f"{row.value:.{digits}f}"
    return text


def paper_words(figure: Figure, data: str, sources: Mapping[Source, object]) -> str:
    """The paper's figure; for wrong bits, one for each key length."""
    if figure.paper is None:
        return "-"
    table, name = figure.paper
    if table != "XII":
        paper = paper_figure(table, name, data)
        return "-" if paper is None else f"{paper:.3f}"
    lengths = {source.bits for source in sources}
    printed = {bits: paper_figure("XII", f"{bits} bits, 1 wrong", data) for bits in sorted(lengths)}
    return "; ".join(f"{paper:.3f} ({bits} bits)" for bits, paper in printed.items() if paper is not None) or "-"


def target_words(figure: Figure, data: str, sources: Mapping[Source, object]) -> str:
    """The target, and the methods whose target differs."""
    said = {name: target(figure.name, data, name) for name in dict.fromkeys(s.method.name for s in sources)}
    words = {name: "-" if aim is None else aim.words() for name, aim in said.items()}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    usual = "-" if figure.name not in TARGETS else TARGETS[figure.name].words()
    others = {name: "none" if text == "-" else text for name, text in words.items() if text != usual}
    return "; ".join([usual, *(f"{name}: {text}" for name, text in others.items())])


def posture(folder: Path, data: str) -> str:
    """The table of head pose and expression (Table IV); empty without files."""
    sources = by_source({"posture": columns(folder, data, "posture")})
    if not sources:
        return ""
    lines = []
    for figure in POSTURE:
        cells = [cell(figure, data, source, files) for source, files in sources.items()]
        lines.append([figure.words, *cells, paper_words(figure, data, sources)])
    table = markdown(["figure", *(source.words for source in sources), "paper"], lines)
    return f"**Posture, {DATA[data]}**, a key a person: how far photo and virtual face differ.\n\n{table}"


def alone(folder: Path, data: str) -> str:
    """A sentence with the AUC of E, u and the judge on pairs of real photos; empty without a file."""
    for file in columns(folder, data, "recognisers").values():
        rows = {row.name: row for row in file.rows}
        listed = [(name, rows.get(f"{name}: AUC")) for name in ("E", "u", "judge")]
        words = [f"{name} {row.value:.3f} ({interval(row)}, n {row.n})" for name, row in listed if row is not None]
        of = f"real photos of {file.people} people"
        return f"**E, u and the judge alone, {DATA[data]}**, {of}: AUC of {'; '.join(words)}."
    return ""
