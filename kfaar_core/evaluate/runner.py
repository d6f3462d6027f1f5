"""Run an evaluation: photos of people through the pipeline, to result files that every table is made from.

python -m kfaar_core evaluate --table TABLE --data PATH -o DIR

What a face looks like to the networks is cached by content, so a killed run goes on where it stopped and a second table
of the same people costs little (context.py). Failures are counted, never dropped.
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

# The tables that are rows alone; the arguments are the context, the people, the key mode and the number of keys.
ROWS: Mapping[str, Callable[[EvaluationContext, Sequence[pairs.Person], str, int], Table]] = {
    "recognisers": recognition.recognisers,
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
    """Run one table and write its files into `out`; answers the file to read first.

    Args:
        table: one of TABLES.
        data: path, name in KFAAR_DATA or Hub id; None = lfw in KFAAR_DATA; `synthetic` = people who do not exist.
        limit: people at most; None takes all.
        key_mode: `shared` (`trials` keys, each shared by everyone) or `own` (a key a person).
        method: one of kfaar_core.methods; None takes the preset's.
        key_bits: length of the keys; None takes the preset's. Results of another length go to `out`/<bits>-bit.
        precision: one of PRECISIONS; None takes the preset's.
        jobs: processes that make and look at faces.
        twice: people at most in scenario 1 of Table VII, which anonymises twice; None takes all.
    Raises:
        BadSetting: an unknown table, key mode or precision. BadKey: a length that the method does not know.
        DataMissing: no data.
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
        chosen = replace(chosen, key_bits=UserKey.generate(key_bits).bits)  # which refuses a length that no key has
        out = out / f"{key_bits}-bit"
    config = EvaluationConfig(chosen, data, limit, seed, threads, calibrated=table != "thresholds", jobs=jobs)
    context = config.open(progress)
    allowed = context.data.identities_of(DEV if table == "thresholds" else TEST)
    people = pairs.people(context.data.samples, allowed, limit=limit, seed=seed)
    command = safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]])
    if table == "thresholds":
        judged = pairs.people(context.data.samples, allowed, seed=seed)
        found = calibrated(context, people, judged, trials, command)
        return save_calibration(found, chosen.name, chosen.method, out)
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
    """Everything that Table VI or VII is made from."""
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
    """A table without score populations, as JSON and Markdown."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_whole(stem.with_suffix(".md"), to_markdown(table).encode(), force=True)
    path = stem.with_suffix(".json")
    write_whole(path, to_json(table).encode(), force=True)
    return path
