"""Run an evaluation: anonymise photos of people and write result files, from which tables are made.

python -m kfaar_core evaluate --table TABLE --data PATH -o DIR

Features of faces are cached (context.py). An interrupted run is resumed, and another table on the same people is fast.
Failures are counted, never dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kfaar_core import methods
from kfaar_core.calibration import save_calibration
from kfaar_core.data.cache import content_key
from kfaar_core.data.split import DEV, TEST
from kfaar_core.errors import BadSetting
from kfaar_core.evaluate import keys, mask, posture, recognition, robustness
from kfaar_core.evaluate.authentication import authentication, thresholds_of
from kfaar_core.evaluate.calibrate import calibrated
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext, Progress
from kfaar_core.evaluate.trials import rounds_of
from kfaar_core.files import write_whole
from kfaar_core.keys import UserKey
from kfaar_core.presets import PRECISIONS, Preset, get_preset, one_of
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
}
TABLES = ("VI", "VII", "thresholds", *ROWS)


def run(
    table: str,
    data: str | None,
    *,
    limit: int | None,
    key_mode: str,
    preset: str | Preset,
    out: Path,
    method: str | None = None,
    key_bits: int | None = None,
    precision: str | None = None,
    trials: int = populations.TRIALS,
    threads: int = 0,
    jobs: int = 1,
    seed: int = 0,
    twice: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Evaluate one table and write its files.

    Args:
        table: one of TABLES.
        data: path, name in KFAAR_DATA or Hub id; None = lfw in KFAAR_DATA; `synthetic` = synthetic people.
        limit: most people; None takes all.
        key_mode: `shared` (`trials` keys, each shared by everyone) or `own` (a key for each person).
        preset: a Preset or its name.
        out: folder for the files.
        method: one of kfaar_core.methods; None takes the preset's.
        key_bits: length of the keys; None takes the preset's. Results for another length go to `out`/<bits>-bit.
        precision: one of PRECISIONS; None takes the preset's.
        trials: number of shared keys.
        threads: of the CPU runtime; 0 lets it choose.
        jobs: number of processes.
        seed: of people, pairs, keys and bootstrap.
        twice: most people in scenario 1 of Table VII, which anonymises twice; None takes all.
        progress: called with (done, of) faces.

    Returns:
        The path of the result file.

    Raises:
        BadSetting: an unknown table, key mode or precision.
        BadKey: a key length that the method does not support.
        DataMissing: the data do not exist.
    """
    if table not in TABLES:
        raise BadSetting(got=f"the table {table!r} is unknown", mend=f"choose one of {', '.join(TABLES)}")
    if key_mode not in populations.KEY_MODES:
        raise BadSetting(got=f"the key mode {key_mode!r} is unknown", mend="choose shared or own")
    chosen = get_preset(preset) if isinstance(preset, str) else preset
    chosen = methods.with_method(chosen, method)
    if precision is not None:
        chosen = replace(chosen, precision=one_of("precision", precision, PRECISIONS))
    if key_bits is not None and key_bits != chosen.key_bits:
        chosen = replace(chosen, key_bits=UserKey.generate(key_bits).bits)  # checks the length
        out = out / f"{key_bits}-bit"
    config = EvaluationConfig(chosen, data, limit, seed, threads, calibrated=table != "thresholds", jobs=jobs)
    context = config.open(progress)
    allowed = context.data.identities_of(DEV if table == "thresholds" else TEST)
    people = pairs.people(context.data.samples, allowed, limit=limit, seed=seed)
    command = safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]])
    if table == "thresholds":
        judged = pairs.people(context.data.samples, allowed, seed=seed)
        calibration = calibrated(context, people, judged, trials, command)
        return save_calibration(calibration, chosen.name, chosen.method, out)
    stem = out / f"{chosen.name}-{chosen.method}-{context.data.name}-{table.lower()}-{key_mode}"
    if table in ROWS:
        return write_table(stem, ROWS[table](context, people, key_mode, trials))
    path = stem.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_result(path, result(context, people, table, key_mode, trials, command, twice), force=True)
    return path


def result(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    table: str,
    key_mode: str,
    trials: int,
    command: str,
    twice: int | None = None,
) -> Result:
    """Compute the result of Table VI or VII; arguments as in `run`."""
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
