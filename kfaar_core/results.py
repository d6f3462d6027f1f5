"""Result files of an evaluation: NAME.json describes the run, NAME.npz holds every score.

People are numbers, never names. Photos, embeddings and keys are not stored. A report needs only these two files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from kfaar_core.data.cache import DAMAGED, npz_arrays, npz_bytes
from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.files import write_whole
from kfaar_core.records import Scores
from kfaar_core.scenarios.populations import KEY_MODES

SCHEMA = "kfaar-result"
VERSION = 1
AGAIN = "run the evaluation again"
HEX64 = re.compile(r"[0-9a-f]{64}")
MOST = 2**53  # of a count; floats are exact up to here
COSINE_MAX = 1 + 1e-5  # float32 cosines of equal features may exceed 1 by rounding


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of a report: two for KVFA, and those of the judge."""

    paper: float  # Preset.match_threshold, the paper's 0.7
    dev: float  # set on dev people
    in_force: str  # which of the two KVFA uses, "paper" or "dev"
    judge: Mapping[str, float] = field(default_factory=dict)  # for example {"FMR 1 %": 0.41}

    def __post_init__(self) -> None:
        if self.in_force not in ("paper", "dev"):
            raise BadSetting(got=f"the threshold in force {self.in_force!r}", mend="choose paper or dev")


@dataclass(frozen=True)
class Result:
    """The scores of one evaluation, and everything that they depend on."""

    table: str  # "VI" or "VII"
    dataset: str  # for example "lfw"
    key_mode: str  # "shared" or "own"
    preset: str  # its name
    method: str  # one of kfaar_core.methods
    preset_sha256: str  # cache.content_key(preset=preset)
    data_sha256: str
    weights: Mapping[str, str]  # name -> sha256
    seed: int
    people: int  # number of test people; the numbers in Scores.people are below it
    trials: int  # repetitions with other keys
    dimension: int  # d, length of the compared vectors
    command: str  # that reproduces this file, see safe_command
    thresholds: Thresholds
    populations: tuple[Scores, ...]
    failures: Mapping[str, int] = field(default_factory=dict)  # kind of failure -> count, for example "no face"

    def population(self, name: str) -> Scores:
        """The population with this name.

        Raises:
            DataMissing: the result has no such population.
        """
        for scores in self.populations:
            if scores.name == name:
                return scores
        raise DataMissing(got=f"the result holds no scores of {name!r}", mend=AGAIN)


def safe_command(arguments: Sequence[str]) -> str:
    """Join a command line for a result file, without absolute folders and without the values of --key options."""
    words: list[str] = []
    for word in arguments:
        option, equals, value = word.partition("=")
        if words and re.fullmatch(r"--[\w-]*key", words[-1]) and not word.startswith("-"):
            words.append("***")
        elif equals and re.fullmatch(r"--[\w-]*key", option):
            words.append(f"{option}=***")
        elif option.startswith("--") and equals:
            words.append(f"{option}={without_folder(value)}")
        else:
            words.append(without_folder(word))
    return " ".join(words)


def without_folder(word: str) -> str:
    """The file name of a path that is absolute or starts with `..`; other words are unchanged."""
    return Path(word).name if word.startswith(("/", "~", "..")) or re.match(r"[A-Za-z]:[\\/]", word) else word


def save_result(path: Path, result: Result, *, force: bool = False) -> None:
    """Write `path` (.json) and the scores (.npz, same name), each atomically. The JSON contains the hash of the npz.

    Raises:
        BadOutput: the file exists and `force` is false, or it cannot be written.
        DataMissing: scores that are not finite cosines, or people that are not numbers below result.people.
        BadSetting: another suffix than .json, an unknown key mode, an invalid hash.
    """
    if path.suffix != ".json":
        raise BadSetting(got=f"the result file {path.name!r}", mend="give a name that ends in .json")
    check(result)
    arrays = {}
    for number, scores in enumerate(result.populations):
        arrays[f"values_{number}"] = np.asarray(scores.values, dtype=np.float64)
        arrays[f"people_{number}"] = np.asarray(scores.people, dtype=np.int64)
        if scores.others is not None:
            arrays[f"others_{number}"] = np.asarray(scores.others, dtype=np.int64)
    packed = npz_bytes(arrays)
    listed = [{"name": s.name, "n": len(s.values), "failed": s.failed} for s in result.populations]
    thresholds = {**asdict(result.thresholds), "judge": dict(result.thresholds.judge)}
    plain = {name: getattr(result, name) for name in PLAIN}
    record = {
        "schema": SCHEMA,
        "version": VERSION,
        **plain,
        "weights": dict(sorted(result.weights.items())),
        "failures": dict(sorted(result.failures.items())),
        "thresholds": thresholds,
        "populations": listed,
        "scores_sha256": hashlib.sha256(packed).hexdigest(),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path.with_suffix(".npz"), packed, force=force)
    write_whole(path, text.encode(), force=force)


PLAIN: Mapping[str, type] = {
    "table": str,
    "dataset": str,
    "key_mode": str,
    "preset": str,
    "method": str,
    "preset_sha256": str,
    "data_sha256": str,
    "seed": int,
    "people": int,
    "trials": int,
    "dimension": int,
    "command": str,
}


def load_result(path: Path) -> Result:
    """Read a result that save_result wrote.

    Raises:
        DataMissing: a file is missing, altered, of another schema or version, or not a result at all.
    """
    record = read_record(path)
    arrays = read_scores(path.with_suffix(".npz"), record)
    try:
        # Older files call the judge `recogniser`.
        named = {"judge" if name == "recogniser" else name: value for name, value in record["thresholds"].items()}
        thresholds = of_stated_types(Thresholds(**named))
        thresholds = replace(thresholds, judge={name: number(value) for name, value in thresholds.judge.items()})
        populations = tuple(population_of(entry, arrays, number) for number, entry in enumerate(record["populations"]))
        # Older files have the method in their name alone: <preset>-<method>-<data>-<table>-<keys>.
        record.setdefault("method", path.stem.removeprefix(f"{record['preset']}-").partition("-")[0])
        plain = {name: typed(record[name], kind) for name, kind in PLAIN.items()}
        counts = {str(name): typed(count, int) for name, count in record["failures"].items()}
        weights = {str(name): typed(digest, str) for name, digest in record["weights"].items()}
        result = Result(**plain, weights=weights, failures=counts, thresholds=thresholds, populations=populations)
        check(result)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, BadSetting) as error:
        raise DataMissing(got=f"{path.name} lacks a field or holds a wrong one ({error})", mend=AGAIN) from error
    return result


def population_of(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray], number: int) -> Scores:
    """One population of a result file, from its entry in the JSON file and the arrays with its number."""
    values, people = frozen(arrays[f"values_{number}"]), frozen(arrays[f"people_{number}"])
    others = arrays.get(f"others_{number}")  # older files do not have them
    return Scores(str(entry["name"]), values, people, int(entry["failed"]), None if others is None else frozen(others))


def read_record(path: Path) -> dict[str, Any]:
    """Read the JSON file and check its schema and version.

    Raises:
        DataMissing: the file is missing, not JSON, or of another schema or version.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataMissing(got=f"there is no result file {path.name!r} to read", mend="run the evaluation") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        raise DataMissing(got=f"{path.name} is not JSON", mend=AGAIN) from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise DataMissing(got=f"{path.name} is not a result of an evaluation", mend="give a file that evaluate wrote")
    if record.get("version") != VERSION:
        raise DataMissing(
            got=f"{path.name} has version {record.get('version')} of the result schema, this program reads {VERSION}",
            mend=f"use the program version that wrote it, or {AGAIN}",
        )
    return record


def read_scores(path: Path, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read the scores of a result, and check that their hash is the one in the JSON file.

    Args:
        path: the npz file.
        record: the JSON file, from read_record.

    Returns:
        Name -> array: `values_0`, `people_0`, and so on, for each population.

    Raises:
        DataMissing: the file is missing, altered or damaged.
    """
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DataMissing(got=f"the scores {path.name!r} are missing", mend=f"put them back, or {AGAIN}") from error
    if hashlib.sha256(packed).hexdigest() != record.get("scores_sha256"):
        raise DataMissing(got=f"{path.name} is not the file that the result was written with", mend=AGAIN)
    try:
        return npz_arrays(packed)
    except DAMAGED as error:
        raise DataMissing(got=f"{path.name} holds no plain arrays", mend=AGAIN) from error


def check(result: Result) -> None:
    """Check a result before writing and after reading.

    Raises:
        BadSetting: an unknown key mode or an invalid hash.
        DataMissing: two populations of one name, or as check_scores.
    """
    if result.key_mode not in KEY_MODES:
        raise BadSetting(got=f"the key mode {result.key_mode!r}", mend=f"choose one of {', '.join(KEY_MODES)}")
    for digest in (result.preset_sha256, result.data_sha256, *result.weights.values()):
        if not HEX64.fullmatch(digest):
            raise BadSetting(got=f"the hash {digest[:80]!r}", mend="give 64 lower-case hex digits")
    names = [scores.name for scores in result.populations]
    if len(set(names)) < len(names):
        raise DataMissing(got="two populations of the same name", mend="pool them, or name them apart")
    for scores in result.populations:
        check_scores(scores, result.people)


def check_scores(scores: Scores, people: int) -> None:
    """Check that a population has (N,) finite cosines and (N,) numbers of people, from 0 to `people` - 1.

    Raises:
        DataMissing: it has not.
    """
    values, owners = np.asarray(scores.values), np.asarray(scores.people)
    others = owners if scores.others is None else np.asarray(scores.others)
    if values.ndim != 1 or not values.shape == owners.shape == others.shape or not 0 <= scores.failed <= MOST:
        raise DataMissing(
            got=f"{scores.name}: {values.shape} scores of {owners.shape} people, {scores.failed} failed",
            mend="give one score and one person's number a trial",
        )
    if values.size and not np.all(np.abs(values) <= COSINE_MAX):  # NaN fails too
        raise DataMissing(
            got=f"{scores.name}: a score that is no cosine",
            mend="count a trial without a score in Scores.failed instead of scoring it",
        )
    if not all(
        numbers.dtype.kind in "iu" and np.all((numbers >= 0) & (numbers < people)) for numbers in (owners, others)
    ):
        raise DataMissing(
            got=f"{scores.name}: people that are not numbers from 0 to {people - 1}",
            mend="number the people as scenarios.pairs does; names stay out of result files",
        )


def typed(value: Any, kind: type) -> Any:
    """Return `value` if it is exactly of this type.

    Raises:
        TypeError: another type.
    """
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    return value


def number(value: Any) -> float:
    """Return a number as float.

    Raises:
        TypeError: another type, such as bool or text.
    """
    return float(value) if type(value) is int else typed(value, float)


R = TypeVar("R")


def of_stated_types(record: R) -> R:
    """Return a dataclass that was read from JSON if each field has its stated type; an int is a float too.

    Raises:
        TypeError: another type. OverflowError: an int that no float is as large as.
    """
    for name, stated in get_type_hints(type(record)).items():
        choices = get_args(stated) if isinstance(stated, UnionType) else (stated,)
        kinds = tuple(get_origin(kind) or kind for kind in choices)
        value = getattr(record, name)
        if float in kinds and isinstance(value, int):
            float(value)
        elif not isinstance(value, kinds):
            raise TypeError(f"{name}: {kinds[0].__name__} expected")
    return record


def frozen(array: np.ndarray) -> np.ndarray:
    """Make the array read-only and return it."""
    array.flags.writeable = False
    return array
