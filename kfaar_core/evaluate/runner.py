"""Run an evaluation: anonymise photos of people and write result files, from which tables are made.

python -m kfaar_core evaluate --table TABLE --data PATH -o DIR

Features of faces are cached (context.py). An interrupted run is resumed, and another table on the same people is fast.
Failures are counted, never dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kfaar_core import methods
from kfaar_core.calibration import save_calibration
from kfaar_core.data.cache import content_key
from kfaar_core.data.split import DEV, TEST
from kfaar_core.errors import BadKey, BadSetting, DataMissing
from kfaar_core.evaluate import (
    enrolled,
    groups,
    identification,
    keys,
    lengths,
    likeness,
    looks,
    mask,
    posture,
    quality,
    recognition,
    robustness,
    wild,
)
from kfaar_core.evaluate.authentication import authentication, thresholds_of
from kfaar_core.evaluate.calibrate import calibrated, enrolment_calibrated
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext, Progress
from kfaar_core.evaluate.jobs import ENGINES, PROCESSES
from kfaar_core.evaluate.trials import rounds_of
from kfaar_core.files import write_whole
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method
from kfaar_core.presets import LAB, PRECISIONS, PRESETS, Preset, one_of
from kfaar_core.report.tables import Table, to_json, to_markdown
from kfaar_core.results import Result, safe_command, save_result
from kfaar_core.scenarios import pairs, populations

# Tables without score files. The arguments are the context, the people, the key mode and the number of keys.
ROWS: Mapping[str, Callable[[EvaluationContext, Sequence[pairs.Person], str, int], Table]] = {
    "recognisers": recognition.encoders_table,
    "anonymity": recognition.anonymity,
    "posture": posture.posture_table,
    "keys": keys.keys_table,
    "robustness": robustness.robustness_table,
    "mask": mask.mask_table,
    "quality": quality.quality_table,
    "wild": wild.wild_table,
    "lengths": lengths.lengths_table,
    "identification": identification.identification_table,
    "groups": groups.groups_table,
    "observers": likeness.observers_table,
    "person": likeness.person_table,
    "enrolled": enrolled.enrolled_table,
    "looks": looks.looks_table,
}
THRESHOLDS = ("thresholds", "enrolment")  # set on dev people; the second, that of enrolled people, draws no face
TABLES = ("VI", "VII", *THRESHOLDS, *ROWS)
# The paper's numbers of tables that have a name here. IX and X train networks: python -m kfaar_core ablation.
NUMBERS = {
    "II": "anonymity",
    "III": "anonymity",
    "IV": "posture",
    "V": "quality",
    "VIII": "wild",
    "XI": "lengths",
    "XII": "keys",
}
ALL = ("anonymity", "posture", "quality", "VI", "VII", "wild", "lengths", "keys", "identification", "groups")
READ = ("VI", "VII", "keys", "robustness", "mask", "recognisers", *THRESHOLDS)  # need a method that can be read
KEYED = ("lengths",)  # need a method with keys
ON_DEV = (*THRESHOLDS, "observers")  # tables that dev people make


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The settings of one evaluation."""

    table: str  # one of TABLES
    data: str | None = None  # path, name in KFAAR_DATA or Hub id; None = lfw; `synthetic` = synthetic people
    preset: Preset = LAB  # includes method, key length and precision
    key_mode: str = populations.SHARED  # or OWN: a key for each person
    repetitions: int = populations.TRIALS  # number of shared keys
    limit: int | None = None  # most people; None takes all
    twice: int | None = None  # most people in scenario 1 of Table VII, which anonymises twice; None takes all
    seed: int = 0  # of people, pairs, keys and bootstrap
    threads: int = 0  # of the CPU runtime; 0 lets it choose
    jobs: int = 1  # number of processes, or of workers of the cluster
    engine: str = PROCESSES  # or RAY
    gpus: float = 0  # of each worker of the cluster
    dev: bool = False  # dev people in place of test people, to choose by
    judge_weights: Path | None = None  # of SphereFace, a file of the user's; it is the judge then

    def __post_init__(self) -> None:
        """
        Raises:
            BadSetting: an unknown table, key mode or engine.
        """
        one_of("table", self.table, TABLES)
        one_of("key mode", self.key_mode, populations.KEY_MODES)
        one_of("engine", self.engine, ENGINES)

    @property
    def folder(self) -> str:
        """Subfolder for the results: `<bits>-bit` for keys of another length than the preset's, otherwise none."""
        usual = PRESETS[self.preset.name].key_bits
        return "" if self.preset.key_bits == usual else f"{self.preset.key_bits}-bit"

    @property
    def config(self) -> EvaluationConfig:
        """What its context is opened from."""
        calibrated = self.table not in THRESHOLDS
        return EvaluationConfig(
            self.preset,
            self.data,
            self.limit,
            self.seed,
            self.threads,
            calibrated=calibrated,
            jobs=self.jobs,
            engine=self.engine,
            gpus=self.gpus,
            judge_weights=self.judge_weights,
        )


def settings(
    preset: Preset, method: str | None = None, key_bits: int | None = None, precision: str | None = None
) -> Preset:
    """A copy of the preset with these settings; None keeps the preset's own.

    Raises:
        BadSetting: an unknown method or precision.
        BadKey: an invalid key length.
    """
    chosen = methods.with_method(preset, method)
    if precision is not None:
        chosen = replace(chosen, precision=one_of("precision", precision, PRECISIONS))
    if key_bits is not None:
        chosen = replace(chosen, key_bits=UserKey.generate(key_bits).bits)  # checks the length
    return chosen


def tables_of(words: str) -> tuple[str, ...]:
    """The tables that `--table` names: `all`, or names and the paper's numbers with commas between them.

    Raises:
        BadSetting: an unknown table, or IX or X.
    """
    if words == "all":
        return ALL
    found = [NUMBERS.get(word.strip(), word.strip()) for word in words.split(",")]
    for word in found:
        if word in ("IX", "X"):
            raise BadSetting(got=f"the table {word}, which trains networks", mend="run python -m kfaar_core ablation")
        one_of("table", word, TABLES)
    return tuple(dict.fromkeys(found))


def skipped(table: str, method: Method) -> str:
    """Why a method has no such table; empty if it has."""
    if table in method.not_for:
        return method.not_for[table]
    if table in READ and not method.readable:
        return "nobody can be read back from its faces"
    return "it has no key" if table in KEYED and not method.keyed else ""


@dataclass(frozen=True)
class Done:
    """One table of one method: its file, or why there is none."""

    table: str
    method: str
    path: Path | None
    reason: str = ""


def run_all(
    asked: Sequence[Evaluation], out: Path, progress: Progress | None, ready: Callable[[Done], None]
) -> list[Done]:
    """Evaluate several tables, and skip those that a method or this machine cannot make, with the reason.

    Each context is opened once for the tables of a method that follow each other.

    Args:
        asked: the tables.
        out: folder of the files.
        progress: called with (done, of) faces of one table.
        ready: called after each table.
    """
    done: list[Done] = []
    contexts: dict[EvaluationConfig, EvaluationContext] = {}
    for each in asked:
        method = methods.get(each.preset.method)
        path: Path | None = None
        reason = skipped(each.table, method)
        if not reason:
            try:
                if each.config not in contexts:
                    contexts = {each.config: each.config.open(progress)}
                path = run(each, out, progress, contexts[each.config])
            except (DataMissing, BadKey) as error:
                reason = str(error)
        done.append(Done(each.table, method.name, path, reason))
        ready(done[-1])
    return done


def run(
    asked: Evaluation, out: Path, progress: Progress | None = None, context: EvaluationContext | None = None
) -> Path:
    """Evaluate one table and write its files.

    Args:
        asked: the settings.
        out: folder of the files.
        progress: called with (done, of) faces.
        context: opened from asked.config; None opens it.

    Returns:
        The path of the result file.

    Raises:
        BadKey: a key length that the method does not support.
        BadSetting: a table that the method cannot have.
        DataMissing: the data do not exist.
    """
    reason = skipped(asked.table, methods.get(asked.preset.method))
    if reason:
        raise BadSetting(
            got=f"the table {asked.table} for the method {asked.preset.method!r}: {reason}", mend="choose another table"
        )
    table, preset, out = asked.table, asked.preset, out / asked.folder
    context = context or asked.config.open(progress)
    allowed = context.data.identities_of(DEV if asked.dev or table in ON_DEV else TEST)
    least = 1 if table == "wild" else pairs.PHOTOS_EACH
    people = pairs.people(context.data.samples, allowed, limit=asked.limit, at_least=least, seed=asked.seed)
    command = safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]])
    if table == "thresholds":
        judged = pairs.people(context.data.samples, allowed, seed=asked.seed)
        calibration = calibrated(context, people, judged, asked.repetitions, command)
        return save_calibration(calibration, preset.calibrated_as, preset.method, out)
    if table == "enrolment":
        calibration = enrolment_calibrated(context, people, command)
        return save_calibration(calibration, preset.calibrated_as, preset.method, out)
    part = "-dev" if asked.dev or table in ON_DEV else ""
    about = (preset.calibrated_as, context.stages.method.name, context.data.name + part, table.lower(), asked.key_mode)
    stem = out / "-".join(about)
    if table in ROWS:
        return write_table(stem, ROWS[table](context, people, asked.key_mode, asked.repetitions))
    path = stem.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_result(path, result(context, people, asked, command), force=True)
    return path


def result(context: EvaluationContext, people: Sequence[pairs.Person], asked: Evaluation, command: str) -> Result:
    """Compute the result of Table VI or VII."""
    table, key_mode, trials, twice = asked.table, asked.key_mode, asked.repetitions, asked.twice
    names = populations.kept_for(table)
    scores, failures = authentication(context, people, key_mode, trials, names, twice)
    stages = context.stages
    return Result(
        table=table,
        dataset=context.data.name,
        key_mode=key_mode,
        preset=stages.preset.name,
        method=stages.method.name,
        preset_sha256=content_key(preset=stages.preset),
        data_sha256=context.data.sha256,
        weights=context.used,
        seed=context.seed,
        people=len(people),
        trials=rounds_of(key_mode, trials),
        dimension=stages.identifier.dimension,
        command=command,
        thresholds=thresholds_of(stages),
        populations=tuple(scores),
        failures=failures,
    )


def write_table(stem: Path, table: Table) -> Path:
    """Write a table to `stem`.json and `stem`.md.

    Returns:
        The path of the JSON file.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_whole(stem.with_suffix(".md"), to_markdown(table).encode(), force=True)
    path = stem.with_suffix(".json")
    write_whole(path, to_json(table).encode(), force=True)
    return path
