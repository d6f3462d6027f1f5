"""The populations of Tables VI and VII: cosines of virtual faces and photos by KVFA (scenario 1: by the judge)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.assemble import Stages
from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, features
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import Trial, photos_of, rounds_of, trials_of
from kfaar_core.records import Scores
from kfaar_core.results import Thresholds
from kfaar_core.scenarios import pairs, populations

Entry = tuple[float | None, int, int | None]  # cosine, person, and the other person of a trial with a stranger


def authentication(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    key_mode: str,
    trials: int,
    names: Sequence[str],
    twice: int | None = None,
) -> tuple[list[Scores], dict[str, int]]:
    """Cosines of KVFA between virtual faces and photos, grouped by who is compared under which key (populations).

    Args:
        people: whose photos are anonymised and compared.
        key_mode: `shared` (each of `trials` repetitions has one key for everyone) or `own` (a key for each person, one
            repetition).
        trials: repetitions with shared keys.
        names: of the populations, see scenarios.populations.
        twice: number of people in scenario 1 of Table VII, which compares two virtual faces of a photo; None takes all.

    Returns:
        The populations, and the number of failures of each kind.
    """
    values: dict[str, list[Entry]] = {name: [] for name in names}
    failures = {"no face in the virtual picture": 0, "no face in a photo": 0}
    listed = trials_of(people, key_mode, trials, context.stages.preset.key_bits)
    again = frozenset[Trial]()  # trials of scenario 1
    if populations.scenario(1, populations.SAME) in values:
        # Scenario 1 anonymises twice; one repetition of it keeps a run short.
        again = frozenset(trial for trial in listed[: len(people)][:twice])
    fill(context, [*photos_of(people), *(trial.face for trial in listed), *(trial.regenerated for trial in again)])
    strangers = {
        repetition: pairs.impostors(tuple(people), repetition, seed=context.seed)
        for repetition in range(rounds_of(key_mode, trials))
    }
    for position, trial in enumerate(listed):
        virtual = features(context.ask(trial.face))
        failures["no face in the virtual picture"] += virtual is None
        photos = zip((populations.SAME, populations.OTHER), trial.person.photos, strict=False)
        compared = {photo: context.real(index) for photo, index in photos}
        failures["no face in a photo"] += sum(real is None for real in compared.values())
        impostors, place = strangers[trial.repetition], position % len(people)
        compared[populations.STRANGER] = context.real(int(impostors.probes[place]))
        second = features(context.ask(trial.regenerated)) if trial in again else None
        for photo, real in compared.items():
            cosines = keyed_scores(context, virtual, real, trial)
            if trial in again:
                cosines[1] = float(real.judge @ second.judge) if real is not None and second is not None else None
            for number, cosine in cosines.items():
                name = populations.scenario(number, photo)
                if name in values:
                    other = int(impostors.probe_people[place]) if photo == populations.STRANGER else None
                    values[name].append((cosine, trial.person.number, other))
    return [population(name, entries) for name, entries in values.items()], failures


def keyed_scores(
    context: EvaluationContext, virtual: FaceFeatures | None, real: FaceFeatures | None, trial: Trial
) -> dict[int, float | None]:
    """KVFA's cosines of a virtual face and a photo for scenarios 2 (no key), 3 (wrong key) and 4 (right key).

    The cosines are None if one of the two has no detected face.
    """
    if virtual is None or real is None:
        return dict.fromkeys((2, 3, 4))
    identifier = context.stages.identifier
    reference = identifier.original(real.features)
    right = context.key(trial.purpose, trial.bits)
    wrong = context.wrong_key(f"wrong, {trial.purpose}, person {trial.person.number}", right)
    return {
        2: float(np.max(identifier.keyless(virtual.features) @ reference)),
        3: float(identifier.virtual(virtual.features, wrong) @ reference),
        4: float(identifier.virtual(virtual.features, right) @ reference),
    }


def population(name: str, entries: Sequence[Entry]) -> Scores:
    """Scores from the entries of each trial; a cosine of None counts as failed."""
    kept = [(float(value), person, other) for value, person, other in entries if value is not None]
    others = [other for _, _, other in kept if other is not None]
    return Scores(
        name=name,
        values=np.array([value for value, _, _ in kept], dtype=np.float64),
        people=np.array([person for _, person, _ in kept], dtype=np.int64),
        failed=len(entries) - len(kept),
        others=np.array(others, dtype=np.int64) if others else None,
    )


def thresholds_of(stages: Stages) -> Thresholds:
    """The thresholds of KVFA and of the judge, for result files."""
    calibration = stages.calibration
    return Thresholds(
        paper=stages.preset.match_threshold,
        dev=calibration.kvfa_dev,
        in_force=stages.preset.threshold_in_force,
        judge={"FMR 1 %": calibration.judge_fmr_1, "FMR 0.1 %": calibration.judge_fmr_01},
    )
