"""Run an evaluation: photos of people through the pipeline, to result files that every table is made from.

python -m kfaar_core evaluate --table VI|VII|thresholds|recognisers|anonymity|posture --data PATH -o DIR

What a face looks like to the networks is cached by content (photo, key, preset, weights), so a killed run goes on where
it stopped and a second table of the same people costs little. Failures are counted, never dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kfaar_core import weights
from kfaar_core.calibration import Calibration, save_calibration
from kfaar_core.errors import BadSetting
from kfaar_core.evaluate import posture, recognition
from kfaar_core.evaluate.cache import ArrayCache, content_key
from kfaar_core.evaluate.data import open_dataset
from kfaar_core.evaluate.laboratory import Laboratory, Look, Progress
from kfaar_core.evaluate.results import Result, Thresholds, safe_command, save_result
from kfaar_core.evaluate.split import DEV, TEST
from kfaar_core.files import cache_folder, write_whole
from kfaar_core.metrics.verification import best_crr_threshold
from kfaar_core.pipeline import AnonymisationServer, load
from kfaar_core.presets import Preset, get_preset
from kfaar_core.records import Scores
from kfaar_core.scenarios import pairs, populations
from kfaar_core.stages.assemble import Stages
from kfaar_core.tables import Table, to_json, to_markdown

TRIALS = 8  # keys that everyone shares in turn  [design]
TABLES = ("VI", "VII", "thresholds", "recognisers", "anonymity", "posture")


def run(
    table: str,
    data: str | None,
    *,
    limit: int | None,
    key_mode: str,
    preset: str | Preset,
    out: Path,
    projector: str = "floor",
    threads: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Run one table and write its files into `out`; answers the file to read first.

    Args:
        table: one of TABLES.
        data: path, name in KFAAR_DATA or Hub id; None = lfw in KFAAR_DATA.
        limit: people at most; None takes all.
        key_mode: `shared` (TRIALS keys, each shared by everyone) or `own` (a key a person).
    Raises:
        BadSetting: an unknown table or key mode. DataMissing: no data.
    """
    if table not in TABLES:
        raise BadSetting(got=f"the table {table!r} is unknown", mend=f"choose one of {', '.join(TABLES)}")
    if key_mode not in populations.KEY_MODES:
        raise BadSetting(got=f"the key mode {key_mode!r} is unknown", mend="choose shared or own")
    chosen = replace(get_preset(preset) if isinstance(preset, str) else preset, projector=projector)
    stages = load(chosen, threads=threads)
    laboratory = Laboratory(
        stages=stages,
        server=AnonymisationServer(stages),
        data=open_dataset(data),
        cache=ArrayCache(cache_folder("evaluate")),
        seed=seed,
        used=hashes(chosen),
    )
    part = DEV if table == "thresholds" else TEST
    allowed = laboratory.data.identities_of(part)
    people = pairs.people(laboratory.data.samples, allowed, limit=limit, seed=seed)
    stem = out / f"{chosen.name}-{projector}-{laboratory.data.name}-{table.lower()}-{key_mode}"
    if table == "thresholds":
        return calibrate(laboratory, people, out, progress)
    if table == "recognisers":
        return write_table(stem, recognition.recognisers(laboratory, people, progress))
    if table == "anonymity":
        return write_table(stem, recognition.anonymity(laboratory, people, TRIALS, progress))
    if table == "posture":
        return write_table(stem, posture.posture_table(laboratory, people, progress))
    scores, failures = authentication(laboratory, people, key_mode, populations.names_for(table), progress)
    result = Result(
        table=table,
        dataset=laboratory.data.name,
        key_mode=key_mode,
        preset=chosen.name,
        preset_sha256=content_key(preset=chosen),
        data_sha256=laboratory.data.sha256,
        weights=laboratory.used,
        seed=seed,
        people=len(people),
        trials=TRIALS if key_mode == populations.SHARED else 1,
        dimension=stages.identity.dimension,
        command=safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]]),
        thresholds=thresholds_of(stages),
        populations=tuple(scores),
        failures=failures,
    )
    path = stem.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_result(path, result, force=True)
    return path


def hashes(preset: Preset) -> dict[str, str]:
    """Every weight of the registry with its pinned sha256; the tiny preset has none."""
    if preset.name == "tiny":
        return {}
    return {name: weights.pin_of(weight).sha256 for name, weight in weights.WEIGHTS.items()}


def thresholds_of(stages: Stages) -> Thresholds:
    """Both KVFA thresholds and the judge's own."""
    calibration = stages.calibration
    return Thresholds(
        paper=stages.preset.match_threshold,
        dev=calibration.kvfa_dev,
        in_force=stages.preset.threshold_in_force,
        recogniser={"FMR 1 %": calibration.judge_fmr_1, "FMR 0.1 %": calibration.judge_fmr_01},
    )


def authentication(
    laboratory: Laboratory,
    people: Sequence[pairs.Person],
    key_mode: str,
    names: Sequence[str],
    progress: Progress | None = None,
) -> tuple[list[Scores], dict[str, int]]:
    """The populations of Tables VI and VII.

    With shared keys everyone takes part in TRIALS trials, each with one key; with own keys there is one trial.
    """
    rounds = TRIALS if key_mode == populations.SHARED else 1
    values: dict[str, list[tuple[float | None, int]]] = {name: [] for name in names}
    failures = {"no face in the virtual picture": 0, "no face in a photo": 0}
    scenario_1 = populations.scenario(1, populations.SAME) in values
    for trial in range(rounds):
        neighbours = pairs.impostors(tuple(people), trial, seed=laboratory.seed)
        for place, person in enumerate(people):
            if progress:
                progress(trial * len(people) + place, rounds * len(people))
            purpose = f"shared {trial}" if key_mode == populations.SHARED else f"own {person.number}"
            seen = laboratory.virtual(person.photos[0], purpose)
            failures["no face in the virtual picture"] += seen is None
            # Scenario 1 anonymises twice; one trial of it keeps a run short.
            again = laboratory.regenerated(person.photos[0], purpose) if scenario_1 and trial == 0 else None
            for photo, index in zip((populations.SAME, populations.OTHER), person.photos, strict=False):
                real = laboratory.real(index)
                failures["no face in a photo"] += real is None
                found = keyed_scores(laboratory, seen, real, photo, purpose, person.number)
                if trial == 0:
                    judged = float(real.judge @ again.judge) if real is not None and again is not None else None
                    found[populations.scenario(1, photo)] = judged
                for name in values.keys() & found.keys():
                    values[name].append((found[name], person.number))
            other = laboratory.real(int(neighbours.probes[place]))
            if populations.IMPOSTOR in values:
                scores = keyed_scores(laboratory, seen, other, populations.SAME, purpose, person.number)
                values[populations.IMPOSTOR].append((scores[populations.genuine(populations.SAME)], person.number))
    return [population(name, found) for name, found in values.items()], failures


def keyed_scores(
    laboratory: Laboratory, seen: Look | None, real: Look | None, photo: str, purpose: str, person: int
) -> dict[str, float | None]:
    """KVFA's cosines of one virtual face with one real photo: right key, no key, wrong key."""
    names = populations.genuine(photo), populations.scenario(2, photo), populations.scenario(3, photo)
    if seen is None or real is None:
        return dict.fromkeys(names)
    recogniser = laboratory.stages.recogniser
    reference = recogniser.original(real.sight)
    wrong = laboratory.key(f"wrong, {purpose}, person {person}")
    cosines = (
        recogniser.virtual(seen.sight, laboratory.key(purpose)) @ reference,
        np.max(recogniser.keyless(seen.sight) @ reference),
        recogniser.virtual(seen.sight, wrong) @ reference,
    )
    return {name: float(cosine) for name, cosine in zip(names, cosines, strict=True)}


def population(name: str, found: Sequence[tuple[float | None, int]]) -> Scores:
    """Scores with the failures counted."""
    kept = [(float(value), person) for value, person in found if value is not None]
    return Scores(
        name=name,
        values=np.array([value for value, _ in kept], dtype=np.float64),
        people=np.array([person for _, person in kept], dtype=np.int64),
        failed=len(found) - len(kept),
    )


def calibrate(laboratory: Laboratory, people: Sequence[pairs.Person], out: Path, progress: Progress | None) -> Path:
    """Set the thresholds and reference marks on dev people; written as <preset>.json."""
    judge, encoder = recognition.verification(laboratory, people)
    names = populations.names_for("VI")
    scores, _ = authentication(laboratory, people, populations.SHARED, names, progress)
    named = {entry.name: entry.values for entry in scores}
    other = named[populations.genuine(populations.OTHER)]
    calibration = Calibration(
        judge_fmr_1=judge.threshold(0.01),
        judge_fmr_01=judge.threshold(0.001),
        kvfa_dev=best_crr_threshold(other, named[populations.IMPOSTOR]).threshold,
        marks={
            "KVFA: same photo, right key": float(named[populations.genuine(populations.SAME)].mean()),
            "KVFA: another photo, right key": float(other.mean()),
            "KVFA: another person": float(named[populations.IMPOSTOR].mean()),
            "two photos of one person": float(encoder.genuine.mean()),
            "two strangers": float(encoder.impostor.mean()),
            "judge: two photos of one person": float(judge.genuine.mean()),
            "judge: two strangers": float(judge.impostor.mean()),
        },
        made_by={
            "command": safe_command(["python", "-m", "kfaar_core", *sys.argv[1:]]),
            "people": str(len(people)),
            "data": laboratory.data.sha256,
            "preset": content_key(preset=laboratory.stages.preset),
            **{f"weights {name}": digest for name, digest in laboratory.used.items()},
        },
    )
    return save_calibration(calibration, laboratory.stages.preset.name, out)


def write_table(stem: Path, table: Table) -> Path:
    """A table without score populations, as JSON and Markdown."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_whole(stem.with_suffix(".md"), to_markdown(table).encode(), force=True)
    path = stem.with_suffix(".json")
    write_whole(path, to_json(table).encode(), force=True)
    return path
