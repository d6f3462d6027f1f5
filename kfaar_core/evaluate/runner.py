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
from kfaar_core.evaluate import enrolled, keys, likeness, looks, mask, posture, recognition, robustness
from kfaar_core.evaluate.authentication import authentication, thresholds_of
from kfaar_core.evaluate.calibrate import calibrated, enrolment_calibrated
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext, Progress
from kfaar_core.evaluate.jobs import ENGINES, PROCESSES
from kfaar_core.evaluate.trials import rounds_of
from kfaar_core.files import write_whole
from kfaar_core.keys import UserKey
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
    "observers": likeness.observers_table,
    "person": likeness.person_table,
    "enrolled": enrolled.enrolled_table,
    "looks": looks.looks_table,
}
THRESHOLDS = ("thresholds", "enrolment")  # set on dev people; the second, that of enrolled people, draws no face
TABLES = ("VI", "VII", *THRESHOLDS, *ROWS)
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


def run(asked: Evaluation, out: Path, progress: Progress | None = None) -> Path:
    """Evaluate one table and write its files.

    Args:
        asked: the settings.
        out: folder of the files.
        progress: called with (done, of) faces.

    Returns:
        The path of the result file.

    Raises:
        BadKey: a key length that the method does not support.
        DataMissing: the data do not exist.
    """
    table, preset, out = asked.table, asked.preset, out / asked.folder
    config = EvaluationConfig(
        preset,
        asked.data,
        asked.limit,
        asked.seed,
        asked.threads,
        calibrated=table not in THRESHOLDS,
        jobs=asked.jobs,
        engine=asked.engine,
        gpus=asked.gpus,
        judge_weights=asked.judge_weights,
    )
    context = config.open(progress)
    allowed = context.data.identities_of(DEV if asked.dev or table in ON_DEV else TEST)
    people = pairs.people(context.data.samples, allowed, limit=asked.limit, seed=asked.seed)
    command = safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]])
    if table == "thresholds":
        judged = pairs.people(context.data.samples, allowed, seed=asked.seed)
        calibration = calibrated(context, people, judged, asked.repetitions, command)
        return save_calibration(calibration, preset.calibrated_as, preset.method, out)
    if table == "enrolment":
        calibration = enrolment_calibrated(context, people, command)
        return save_calibration(calibration, preset.calibrated_as, preset.method, out)
    part = "-dev" if asked.dev or table in ON_DEV else ""
    stem = out / f"{preset.calibrated_as}-{preset.method}-{context.data.name}{part}-{table.lower()}-{asked.key_mode}"
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
