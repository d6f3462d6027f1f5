"""The populations of Tables VI and VII: KVFA's cosines of virtual faces with photos, and FR's in scenario 1."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

import numpy as np

from kfaar_core.assemble import Stages
from kfaar_core.evaluate.context import EvaluationContext, FaceFeatures, Real, Request, Virtual
from kfaar_core.evaluate.jobs import fill
from kfaar_core.records import Scores
from kfaar_core.results import Thresholds
from kfaar_core.scenarios import pairs, populations


def authentication(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    key_mode: str,
    trials: int,
    names: Sequence[str],
    twice: int | None = None,
) -> tuple[list[Scores], dict[str, int]]:
    """The named populations, and what failed how often.

    With shared keys everyone takes part in so many trials, each with one key; with own keys there is one trial.

    Args:
        twice: only so many people, the first ones, take part in scenario 1, which anonymises twice; None: all.
    """
    rounds = rounds_of(key_mode, trials)
    values: dict[str, list[tuple[float | None, int]]] = {name: [] for name in names}
    failures = {"no face in the virtual picture": 0, "no face in a photo": 0}
    scenario_1 = populations.scenario(1, populations.SAME) in values
    again_of = {person.number for person in people[:twice]} if scenario_1 else set()
    fill(context, requests(context, people, key_mode, rounds, again_of))
    for trial in range(rounds):
        neighbours = pairs.impostors(tuple(people), trial, seed=context.seed)
        for place, person in enumerate(people):
            purpose = purpose_of(key_mode, trial, person)
            seen = context.virtual(person.photos[0], purpose)
            failures["no face in the virtual picture"] += seen is None
            # Scenario 1 anonymises twice; one trial of it keeps a run short.
            regenerates = trial == 0 and person.number in again_of
            again = context.regenerated(person.photos[0], purpose) if regenerates else None
            photos = zip((populations.SAME, populations.OTHER), person.photos, strict=False)
            compared = {photo: context.real(index) for photo, index in photos}
            failures["no face in a photo"] += sum(real is None for real in compared.values())
            compared[populations.STRANGER] = context.real(int(neighbours.probes[place]))
            for photo, real in compared.items():
                found = keyed_scores(context, seen, real, purpose, person.number)
                if regenerates:
                    found[1] = float(real.judge @ again.judge) if real is not None and again is not None else None
                for number, cosine in found.items():
                    name = populations.scenario(number, photo)
                    if name in values:
                        values[name].append((cosine, person.number))
    return [population(name, found) for name, found in values.items()], failures


def rounds_of(key_mode: str, trials: int) -> int:
    """How often everybody takes part."""
    return trials if key_mode == populations.SHARED else 1


def purpose_of(key_mode: str, trial: int, person: pairs.Person) -> str:
    """The name of the key that a person has in a trial."""
    return f"shared {trial}" if key_mode == populations.SHARED else f"own {person.number}"


def requests(
    context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, rounds: int, again_of: Container[int]
) -> Iterator[Request]:
    """Every look that the populations are made from; `again_of` are the people of scenario 1."""
    bits = context.stages.preset.key_bits
    for person in people:
        yield from map(Real, person.photos)
        for trial in range(rounds):
            purpose = purpose_of(key_mode, trial, person)
            yield Virtual(person.photos[0], purpose, bits)
            if trial == 0 and person.number in again_of:
                yield Virtual(person.photos[0], purpose, bits, rounds=2)


def keyed_scores(
    context: EvaluationContext, seen: FaceFeatures | None, real: FaceFeatures | None, purpose: str, person: int
) -> dict[int, float | None]:
    """KVFA's cosines of one virtual face with one real photo, by scenario: no key, wrong key, right key."""
    if seen is None or real is None:
        return dict.fromkeys((2, 3, 4))
    recogniser = context.stages.identifier
    reference = recogniser.original(real.features)
    right = context.key(purpose)
    wrong = context.wrong_key(f"wrong, {purpose}, person {person}", right)
    return {
        2: float(np.max(recogniser.keyless(seen.features) @ reference)),
        3: float(recogniser.virtual(seen.features, wrong) @ reference),
        4: float(recogniser.virtual(seen.features, right) @ reference),
    }


def population(name: str, found: Sequence[tuple[float | None, int]]) -> Scores:
    """Scores with the failures counted."""
    kept = [(float(value), person) for value, person in found if value is not None]
    return Scores(
        name=name,
        values=np.array([value for value, _ in kept], dtype=np.float64),
        people=np.array([person for _, person in kept], dtype=np.int64),
        failed=len(found) - len(kept),
    )


def thresholds_of(stages: Stages) -> Thresholds:
    """Both KVFA thresholds and the judge's own."""
    calibration = stages.calibration
    return Thresholds(
        paper=stages.preset.match_threshold,
        dev=calibration.kvfa_dev,
        in_force=stages.preset.threshold_in_force,
        recogniser={"FMR 1 %": calibration.judge_fmr_1, "FMR 0.1 %": calibration.judge_fmr_01},
    )
