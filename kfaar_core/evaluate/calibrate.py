"""Thresholds and reference marks from dev people (Fig. 9a; see kfaar_core.calibration)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.calibration import FAR_MAX, Calibration
from kfaar_core.data.cache import content_key
from kfaar_core.evaluate.authentication import authentication, purpose_of
from kfaar_core.evaluate.context import EvaluationContext
from kfaar_core.evaluate.recognition import verification
from kfaar_core.metrics.random_direction import reached
from kfaar_core.metrics.verification import best_crr_threshold
from kfaar_core.scenarios import pairs, populations


def calibrated(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    judged: Sequence[pairs.Person],
    trials: int,
    command: str,
) -> Calibration:
    """The thresholds that dev people set: the judge's at its false match rates, KVFA's by the rule of FAR_MAX.

    Args:
        people: whose virtual faces are made.
        judged: whose photos the judge and u compare; looking at a photo costs little, so they can be more.
    """
    names = populations.names_for("VI")
    scores, _ = authentication(context, people, populations.SHARED, trials, names)
    compared = verification(context, judged)
    judge = compared["judge"]
    named = {entry.name: entry.values for entry in scores}
    other, impostor = named[populations.genuine(populations.OTHER)], strangers(context, people, trials)
    best = best_crr_threshold(other, impostor, FAR_MAX, even=True).threshold
    rule = (
        f"best CRR, other photo of the person, at most {FAR_MAX:.1%} of dev impostors accepted; each virtual face with "
        f"every photo of everybody else, n {len(impostor)}"
    )
    largest = context.stages.method.random_key_max
    if largest is not None:
        best = max(best, reached(largest, context.stages.identifier.dimension))
        rule += f"; and at most {largest:g} of random keys, by the law of random directions"
    return Calibration(
        judge_fmr_1=judge.threshold(0.01),
        judge_fmr_01=judge.threshold(0.001),
        kvfa_dev=best,
        marks={
            "KVFA: same photo, right key": float(named[populations.genuine(populations.SAME)].mean()),
            "KVFA: another photo, right key": float(other.mean()),
            "KVFA: another person": float(impostor.mean()),
            "KVFA: two photos of one person": float(compared["u"].genuine.mean()),
            "judge: two photos of one person": float(judge.genuine.mean()),
            "judge: two strangers": float(judge.impostor.mean()),
        },
        made_by={
            "command": command,
            "rule": rule,
            "people": str(len(people)),
            "people of the judge": str(len(judged)),
            "data": context.data.sha256,
            "preset": content_key(preset=context.stages.preset),
            **{f"weights {name}": digest for name, digest in context.used.items()},
        },
    )


def strangers(context: EvaluationContext, people: Sequence[pairs.Person], trials: int) -> np.ndarray:
    """(N,) cosines of each virtual face, read with its key, with every photo of everybody else.

    One impostor a face, as the tables have it, would leave the threshold to the two or three largest of some hundred.
    """
    recogniser = context.stages.identifier
    photos = [(person.number, context.real(index)) for person in people for index in person.photos]
    seen = [(number, recogniser.original(look.features)) for number, look in photos if look is not None]
    numbers, originals = np.array([number for number, _ in seen]), np.stack([original for _, original in seen])
    found = []
    for trial in range(trials):
        for person in people:
            purpose = purpose_of(populations.SHARED, trial, person)
            face = context.virtual(person.photos[0], purpose)
            if face is not None:
                read = recogniser.virtual(face.features, context.key(purpose))
                found.append(originals[numbers != person.number] @ read)
    return np.concatenate(found)
