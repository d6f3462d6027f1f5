"""Score lists of any recogniser: read and write the formats of other tools.

| format | files | row | both people |
| --- | --- | --- | --- |
| pyeer | two text files, genuine and impostor | the score is the last word | no |
| Bob, 4 columns | one text file | claimed person, real person, label, score | yes |
| Bob, 5 columns | one text file | claimed person, model, real person, label, score | yes |
| CSV, TSV, Parquet | one file with named columns | see COLUMNS | if there are columns for them |
| npz | arrays `genuine` and `impostor` | see read_npz | if there are arrays for them |
| a result of evaluate | NAME.json | genuine trials on another photo, and impostors | as recorded |

A score that is not a number (`nan`) is a comparison that failed, such as a face that was not found; it is counted.
Names of people become numbers and are not kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.compute as compute
from pyarrow import csv, parquet

from kfaar_core.data.cache import DAMAGED, npz_arrays, npz_bytes
from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.files import NewFile, write_together
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.records import Scores
from kfaar_core.results import load_result
from kfaar_core.scenarios import populations

# Accepted names of columns; the first that a file has is used. A distance is a score with its sign turned.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "score": ("score", "scores", "similarity", "cosine"),
    "distance": ("distance", "dissimilarity"),
    "label": ("label", "labels", "genuine", "mated", "match", "same"),
    "person": ("person", "people", "probe", "person_1", "claimed_id"),
    "other": ("other", "others", "reference", "person_2", "real_id"),
}
GENUINE_WORDS = ("1", "1.0", "true", "yes", "genuine", "mated", "match", "same", "target", "client")
IMPOSTOR_WORDS = (
    "0",
    "0.0",
    "-1",
    "false",
    "no",
    "impostor",
    "imposter",
    "non-mated",
    "nonmated",
    "different",
    "nontarget",
)
SIDES = ("genuine", "impostor")
FORMATS = ("pyeer", "bob4", "bob5", "csv", "parquet", "npz")
SUFFIXES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".npz": "npz", ".json": "result"}
BOB = {4: "bob4", 5: "bob5"}  # number of columns -> format
SHOWN = 8  # bad rows that an error names
ACCEPTED = (
    "give one file of Bob (4 or 5 columns), CSV, Parquet or npz with named columns, or the genuine and the impostor "
    "file of pyeer; see docs/evaluation.md"
)


@dataclass(frozen=True)
class ScoreList:
    """Genuine and impostor comparisons of one recogniser."""

    name: str
    genuine: Scores
    impostor: Scores
    people_known: bool  # otherwise every comparison has a number of its own in Scores.people

    @property
    def pair(self) -> ScorePair:
        return ScorePair.of(self.genuine, self.impostor)


def read_scores(paths: Sequence[Path], *, distances: bool = False) -> ScoreList:
    """Read a score list.

    Args:
        paths: one file, or the genuine and the impostor file of pyeer.
        distances: the numbers are distances: smaller means the same person. Scores are then the negated numbers.

    Raises:
        DataMissing: a file is missing or damaged, has bad rows (the first lines are named), or lacks genuine or
            impostor scores.
        BadSetting: more than two files.
    """
    if len(paths) not in (1, 2):
        raise BadSetting(got=f"{len(paths)} score files", mend=ACCEPTED)
    kind = SUFFIXES.get(paths[0].suffix.lower(), "text")
    if len(paths) == 1 and kind == "result":
        return of_result(paths[0])
    try:
        rows = two_files(*paths) if len(paths) == 2 else READERS[kind](paths[0])
    except (arrow.ArrowException, UnicodeError) as error:  # lists in a column, names that are no text, and the like
        raise DataMissing(got=f"{paths[0].name} holds something else than scores and names", mend=ACCEPTED) from error
    return rows.listed(paths[0].stem, -1.0 if distances else 1.0)


def of_result(path: Path) -> ScoreList:
    """The genuine trials on another photo and the impostors of a result of Table VI."""
    result = load_result(path)
    genuine, impostor = (
        result.population(name) for name in (populations.genuine(populations.OTHER), populations.IMPOSTOR)
    )
    return ScoreList(path.stem, genuine, impostor, people_known=True)


@dataclass(frozen=True)
class Rows:
    """Comparisons as they stand in a file, in its order."""

    scores: np.ndarray  # (N,) float64, NaN for a failed comparison
    genuine: np.ndarray  # (N,) bool
    people: np.ndarray | None = None  # (N,) int
    others: np.ndarray | None = None  # (N,) int, numbered like `people`

    def listed(self, name: str, sign: float = 1.0) -> ScoreList:
        """The list, without the failed comparisons, which are counted.

        Raises:
            DataMissing: no genuine or no impostor score.
        """
        people = np.arange(len(self.scores)) if self.people is None else self.people
        usable = np.isfinite(self.scores)
        sides = {}
        for kind, rows in (("genuine", self.genuine), ("impostor", ~self.genuine)):
            kept = rows & usable
            if not kept.any():
                raise DataMissing(got=f"{name} has no {kind} score", mend=ACCEPTED)
            others = None if self.others is None or kind == "genuine" else self.others[kept]
            sides[kind] = Scores(kind, sign * self.scores[kept], people[kept], int(rows.sum() - kept.sum()), others)
        return ScoreList(name, sides["genuine"], sides["impostor"], self.people is not None)


# ---- text: pyeer and Bob


def two_files(genuine: Path, impostor: Path) -> Rows:
    """The genuine and the impostor file of pyeer: the last word of each row is the score."""
    sides = [numbers(words_of(path)[-1], partial(text_lines, path), path.name) for path in (genuine, impostor)]
    return Rows(np.concatenate(sides), np.repeat([True, False], [len(side) for side in sides]))


def read_text(path: Path) -> Rows:
    """A file of Bob with 4 or 5 columns."""
    columns = words_of(path)
    if len(columns) not in BOB:
        raise DataMissing(got=f"{path.name} has rows of {len(columns)} words", mend=ACCEPTED)
    claimed, real = columns[0], columns[-3]
    people, others = numbered(claimed, real)
    return Rows(numbers(columns[-1], partial(text_lines, path), path.name), people == others, people, others)


def text_lines(path: Path) -> list[str]:
    """The last word of every row; an empty row is passed over, as a failed comparison is."""
    return [(line.split() or ["nan"])[-1] for line in content(path).decode("utf-8", "replace").splitlines()]


def words_of(path: Path) -> list[arrow.Array]:
    """The columns of a text file whose words are separated by blanks.

    Raises:
        DataMissing: rows of different lengths; they are named.
    """
    text = content(path)
    untidy = text[:1].isspace() or any(mark in text for mark in (b"  ", b"\t", b"\r", b" \n", b"\n "))
    tidy = b"\n".join(b" ".join(line.split()) for line in text.splitlines()) if untidy else text
    try:
        table = csv.read_csv(
            io.BytesIO(tidy),
            csv.ReadOptions(autogenerate_column_names=True),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys((f"f{i}" for i in range(5)), arrow.string()), null_values=[]),
        )
    except (arrow.ArrowInvalid, UnicodeError) as error:
        lengths = [len(line.split()) for line in text.decode("utf-8", "replace").splitlines()]
        width = max(set(lengths) - {0}, key=lengths.count, default=0)
        odd = [number for number, length in enumerate(lengths, 1) if length != width]
        raise bad_rows(path.name, odd, f"with another number of columns than {width}") from error
    return [column.combine_chunks() for column in table.columns]


def numbers(column: arrow.Array, words: Callable[[], Sequence[Any]], name: str, first: int = 1) -> np.ndarray:
    """A column as (N,) float64.

    Args:
        column: text or numbers.
        words: the column again as a list with an entry a line, asked for if a row is bad.
        name: of the file.
        first: line of the first row.

    Raises:
        DataMissing: a row that is no number; the first lines are named. `nan` is one, infinity is not.
    """
    try:
        values = np.array(column.cast(arrow.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        if not np.isinf(values).any() and not column.null_count:
            return values
    except arrow.ArrowInvalid:
        pass
    raise bad_rows(name, [line for line, word in enumerate(words(), first) if not is_score(word)], "without a number")


def is_score(word: Any) -> bool:
    """Whether a text or number is a finite number or `nan`."""
    try:
        return not np.isinf(float(word))
    except (TypeError, ValueError):
        return False


def bad_rows(name: str, lines: Sequence[int], what: str) -> DataMissing:
    """The error that names the first bad lines of a file."""
    if not lines:
        return DataMissing(got=f"{name} is not a whole text file", mend=ACCEPTED)
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    named = ", ".join(str(line) for line in lines[:SHOWN])
    return DataMissing(
        got=f"{name} has {len(lines)} {'row' if len(lines) == 1 else 'rows'} {what}: line {named}{more}",
        mend="mend or remove these rows; a comparison without a score is written nan",
    )


def content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataMissing: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataMissing(got=f"there is no score file {path.name!r} to read", mend=ACCEPTED) from error


def numbered(*columns: arrow.Array) -> list[np.ndarray]:
    """Names of people as numbers, equal for equal names in all columns."""
    whole = arrow.chunked_array([column.cast(arrow.string()) for column in columns]).combine_chunks()
    codes = whole.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return list(np.split(codes, np.cumsum([len(column) for column in columns])[:-1]))


# ---- named columns


def read_csv(path: Path) -> Rows:
    """A CSV file, or a TSV file, with a header."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        table = csv.read_csv(
            io.BytesIO(content(path)),
            parse_options=csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(null_values=[""]),  # nan is a number
        )
    except arrow.ArrowInvalid as error:
        raise DataMissing(got=f"{path.name} is no table: {str(error).splitlines()[0]}", mend=ACCEPTED) from error
    return of_table(table, path.name, first=2)


def read_parquet(path: Path) -> Rows:
    """A Parquet file."""
    try:
        table = parquet.read_table(io.BytesIO(content(path)))
    except (arrow.ArrowException, OSError) as error:
        raise DataMissing(got=f"{path.name} is not a whole parquet file", mend="fetch it again") from error
    return of_table(table, path.name, first=1)


def of_table(table: arrow.Table, name: str, first: int) -> Rows:
    """Rows of a table with the columns of COLUMNS.

    Without a label, a comparison is genuine if both people are the same.

    Args:
        table: the columns.
        name: of the file, for errors.
        first: line of the first row.
    """
    found = {
        what: next((column for column in names if column in table.column_names), None)
        for what, names in COLUMNS.items()
    }
    columns = {what: table.column(column).combine_chunks() for what, column in found.items() if column is not None}
    scored = columns.get("score", columns.get("distance"))
    if scored is None or not ("label" in columns or {"person", "other"} <= set(columns)):
        names = "; ".join(f"{what}: {', '.join(accepted)}" for what, accepted in COLUMNS.items())
        raise DataMissing(
            got=f"{name} has the columns {', '.join(table.column_names)}",
            mend=f"name a column for the score, and one for the label or two for the people ({names})",
        )
    values = numbers(scored, scored.to_pylist, name, first) * (1.0 if "score" in columns else -1.0)
    people: np.ndarray | None = None
    others: np.ndarray | None = None
    if {"person", "other"} <= set(columns):
        people, others = numbered(columns["person"], columns["other"])
    elif "person" in columns:
        (people,) = numbered(columns["person"])
    if "label" in columns:
        return Rows(values, labels(columns["label"], name, first), people, others)
    assert people is not None and others is not None
    return Rows(values, people == others, people, others)


def labels(column: arrow.Array, name: str, first: int) -> np.ndarray:
    """A column of labels as (N,) bool, True for genuine.

    Raises:
        DataMissing: another word than GENUINE_WORDS and IMPOSTOR_WORDS; the first lines are named.
    """
    words = compute.utf8_trim_whitespace(compute.utf8_lower(column.cast(arrow.string())))
    genuine, impostor = (
        compute.is_in(words, arrow.array(known)).to_numpy(zero_copy_only=False)
        for known in (GENUINE_WORDS, IMPOSTOR_WORDS)
    )
    unknown = np.flatnonzero(~(genuine | impostor))
    if unknown.size:
        raise bad_rows(name, (unknown + first).tolist(), "with an unknown label")
    return genuine


def read_npz(path: Path) -> Rows:
    """An npz file: `genuine` and `impostor`, or `scores` and `labels` (1 = genuine), each (N,).

    Optional are the people of each score: `genuine_people`, `impostor_people` and `impostor_others`, or `people` and
    `others`, integers or text.
    """
    try:
        arrays = npz_arrays(content(path))
        people: np.ndarray | None = arrays.get("people")
        others: np.ndarray | None = arrays.get("others")
        if "genuine" in arrays:
            scores = np.concatenate([arrays[side] for side in SIDES])
            marks = np.repeat([True, False], [len(arrays[side]) for side in SIDES])
            if "genuine_people" in arrays:
                people = np.concatenate([arrays[f"{side}_people"] for side in SIDES])
            if "impostor_others" in arrays:
                others = np.concatenate([arrays["genuine_people"], arrays["impostor_others"]])
        else:
            scores, marks = arrays["scores"], arrays["labels"]
        columns = {"score": scores, "label": marks.astype(np.int64), "person": people, "other": others}
        table = arrow.table({what: arrow.array(values) for what, values in columns.items() if values is not None})
    except (*DAMAGED, arrow.ArrowException, TypeError, AttributeError) as error:
        raise DataMissing(
            got=f"{path.name} does not hold lists of scores",
            mend="give the arrays genuine and impostor, or scores and labels, of one length with people if any",
        ) from error
    return of_table(table, path.name, first=1)


READERS: Mapping[str, Callable[[Path], Rows]] = {
    "text": read_text,
    "csv": read_csv,
    "parquet": read_parquet,
    "npz": read_npz,
}


# ---- writing


def write_scores(path: Path, scores: ScoreList, form: str | None = None, *, force: bool = False) -> tuple[Path, ...]:
    """Write a score list. A failed comparison is written as the score `nan`; whose it was is not recorded.

    Args:
        path: of the file. pyeer has two: NAME-genuine.txt and NAME-impostor.txt.
        scores: what read_scores answers.
        form: one of FORMATS; None = by the suffix.
        force: replace existing files.

    Returns:
        The paths of the files.

    Raises:
        BadSetting: an unknown format; or a Bob format, which names both people of a pair, for scores without names.
        BadOutput: see files.write_together.
    """
    form = form or SUFFIXES.get(path.suffix.lower(), "")
    if form not in FORMATS:
        raise BadSetting(
            got=f"the format of scores {form or path.suffix!r}", mend=f"choose one of {', '.join(FORMATS)}"
        )
    if form in BOB.values() and scores.impostor.others is None:
        raise BadSetting(
            got="scores whose two people are not known", mend="choose another format than Bob's, which names both"
        )
    files = [NewFile(name, data) for name, data in encoded(path, scores, form).items()]
    write_together(files, force=force)
    return tuple(file.path for file in files)


def encoded(path: Path, scores: ScoreList, form: str) -> dict[Path, bytes]:
    """The files of a score list in one format."""
    rows = rows_of(scores)
    if form == "pyeer":
        sides = zip(SIDES, (rows.genuine, ~rows.genuine), strict=True)
        return {path.with_name(f"{path.stem}-{side}.txt"): lines(rows.scores[kept]) for side, kept in sides}
    if rows.people is not None and rows.others is not None and form in BOB.values():
        model = [rows.people] if form == BOB[5] else []
        test = np.char.add("t", np.arange(len(rows.scores)).astype(str))
        return {path: lines(rows.people, *model, rows.others, test, rows.scores)}
    known = {"score": rows.scores, "label": rows.genuine.astype(np.int64), "person": rows.people, "other": rows.others}
    columns = {name: values for name, values in known.items() if values is not None}
    if form == "npz":
        return {path: npz_bytes({COLUMNS[name][1]: values for name, values in columns.items()})}
    table, buffer = arrow.table(columns), io.BytesIO()
    if form == "parquet":
        parquet.write_table(table, buffer)
    else:
        csv.write_csv(table, buffer, csv.WriteOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    return {path: buffer.getvalue()}


def rows_of(scores: ScoreList) -> Rows:
    """The rows of a list, genuine ones first. A failed comparison is a NaN of the person -1, and -2 if an impostor."""
    sides = (scores.genuine, scores.impostor)

    def both(arrays: Sequence[np.ndarray], failed: Sequence[float]) -> np.ndarray:
        parts = zip(arrays, failed, sides, strict=True)
        return np.concatenate([np.append(part, np.full(side.failed, value, part.dtype)) for part, value, side in parts])

    values = both([side.values for side in sides], (np.nan, np.nan))
    genuine = np.repeat([True, False], [len(side.values) + side.failed for side in sides])
    people = both([side.people for side in sides], (-1, -1)) if scores.people_known else None
    others = scores.impostor.others
    return Rows(values, genuine, people, None if others is None else both([scores.genuine.people, others], (-1, -2)))


def lines(*columns: np.ndarray) -> bytes:
    """Rows of words separated by blanks; numbers are written in full."""
    table = zip(*(column.tolist() for column in columns), strict=True)
    return ("\n".join(" ".join(map(str, row)) for row in table) + "\n").encode()
