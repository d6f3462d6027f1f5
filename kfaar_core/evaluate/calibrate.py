"""Set thresholds and reference cosines on dev people (Fig. 9a; see kfaar_core.calibration)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kfaar_core.calibration import ENROLLED_FMR, FAR_MAX, Calibration, load_calibration
from kfaar_core.data.cache import content_key
from kfaar_core.evaluate.authentication import authentication
from kfaar_core.evaluate.context import EvaluationContext, features
from kfaar_core.evaluate.recognition import verification
from kfaar_core.evaluate.trials import trials_of
from kfaar_core.metrics.random_direction import reached
from kfaar_core.metrics.verification import best_crr_threshold, threshold_at_fmr
from kfaar_core.scenarios import pairs, populations


def calibrated(
    context: EvaluationContext,
    people: Sequence[pairs.Person],
    judged: Sequence[pairs.Person],
    trials: int,
    command: str,
) -> Calibration:
    """Compute the thresholds: the judge's at false match rates of 1 % and 0.1 %, KVFA's by the rule of FAR_MAX.

    Args:
        people: dev people who are anonymised.
        judged: dev people whose photos are compared by the judge and by u. They can be more, since no face is
            generated for them.
        trials: number of shared keys.
        command: for the record in the file.
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
        judge_fmr_1=threshold_at_fmr(judge.impostor, 0.01),
        judge_fmr_01=threshold_at_fmr(judge.impostor, 0.001),
        kvfa_dev=best,
        enrolled=threshold_at_fmr(compared["u"].impostor, ENROLLED_FMR),
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


def enrolment_calibrated(context: EvaluationContext, people: Sequence[pairs.Person], command: str) -> Calibration:
    """The committed calibration with the threshold of enrolled people set anew, for which no face is drawn.

    Args:
        people: dev people, whose photos are compared.
        command: for the record in the file.
    """
    preset = context.stages.preset
    u = verification(context, people)["u"]
    threshold = threshold_at_fmr(u.impostor, ENROLLED_FMR)
    about = (
        f"{command}; {len(people)} people, {len(u.impostor)} pairs of strangers, of whom {ENROLLED_FMR:.1%} pass; "
        f"{np.mean(u.genuine >= threshold):.1%} of {len(u.genuine)} pairs of one person do"
    )
    old = load_calibration(preset.name, preset.method, preset.key_bits)
    return replace(old, enrolled=threshold, made_by={**old.made_by, "enrolled": about})


def strangers(context: EvaluationContext, people: Sequence[pairs.Person], trials: int) -> np.ndarray:
    """Impostor cosines, (N,): each virtual face, with its right key, and every photo of all other people.

    With one impostor for each face, as in the tables, the threshold would depend on the two or three largest cosines.
    """
    identifier = context.stages.identifier
    photos = [(person.number, context.real(index)) for person in people for index in person.photos]
    embedded = [(number, identifier.original(photo.features)) for number, photo in photos if photo is not None]
    numbers, originals = np.array([number for number, _ in embedded]), np.stack([u for _, u in embedded])
    cosines = []
    for trial in trials_of(people, populations.SHARED, trials, context.stages.preset.key_bits):
        face = features(context.ask(trial.face))
        if face is not None:
            read = identifier.virtual(face.features, context.key(trial.purpose))
            cosines.append(originals[numbers != trial.person.number] @ read)
    return np.concatenate(cosines)
