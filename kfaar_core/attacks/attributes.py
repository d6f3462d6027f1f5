"""A11: attributes. Does a virtual face tell sex, age group or skin tone of the original?

The truth is what networks for sex and age say of the photo (evaluate/observers.py), and whether its skin is lighter
than that of half of the photos. The adversary looks at the virtual face with the same networks, or learns on the other
half of the people from all that KVFA reads. Who always names the most frequent answer reaches the prior.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence, Faces, Photos
from kfaar_core.runtime import stream
from kfaar_core.targets import Target

ADULT, OLD = 30, 50  # years, where age groups begin
KINDS = ("sex", "age group", "skin tone")
OVER = 0.05  # accuracy over the prior that is allowed  [design, target]
LOOKED, LEARNED = "the networks look", "learned from virtual faces"


def labels_of(shown: Photos | Faces) -> dict[str, np.ndarray]:
    """Sex (0, 1), age group (0, 1, 2) and skin tone (0 darker, 1 lighter than the median; NaN unseen), (N,) each."""
    light = shown.colours[:, 1, 0]
    tone = np.where(np.isnan(light), np.nan, light > np.nanmedian(light)) if not np.isnan(light).all() else light
    return {
        "sex": (shown.male >= 0.5).astype(float),
        "age group": (shown.age >= ADULT).astype(float) + (shown.age >= OLD),
        "skin tone": tone,
    }


def learned(features: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Answers (N,) of a linear classifier for people that it was not fitted on, in two halves."""
    order, answers = rng.permutation(len(truth)), np.zeros(len(truth))
    for known, unseen in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
        if np.unique(truth[known]).size < 2:
            answers[unseen] = truth[known[0]]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        answers[unseen] = model.fit(features[known], truth[known]).predict(features[unseen])
    return answers


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Accuracy of both adversaries, the prior, and the difference, for each attribute."""
    faces, true = evidence.faces("own"), labels_of(evidence.photos)
    looked, figures = labels_of(faces), []
    for done, kind in enumerate(KINDS):
        progress(done, len(KINDS))
        seen = ~np.isnan(true[kind]) & ~np.isnan(looked[kind])
        if not seen.any():
            continue
        truth, people = true[kind][seen], np.flatnonzero(seen)
        values, counts = np.unique(truth, return_counts=True)
        prior, often = counts.max() / truth.size, values[counts.argmax()]
        rng = stream(evidence.seed, f"attributes, {kind}")
        answers = {LOOKED: looked[kind][seen], LEARNED: learned(faces.features[seen], truth, rng)}
        for how, given in answers.items():
            hits = (given == truth).astype(float)
            figures.append(share(evidence, Condition(f"{kind}, {how}", chance=prior), hits, people))
            over = hits - (truth == often)
            figures.append(share(evidence, Condition(f"{kind}, {how}: over the prior", chance=0.0), over, people))
    return figures


def says(figures: Sequence[Figure]) -> str:
    """What it means."""

    def told(kind: str) -> str:
        values = [value_of(figures, f"{kind}, {how}: over the prior") for how in (LOOKED, LEARNED)]
        best = max((value for value in values if value is not None), default=None)
        return "not measured" if best is None else f"{100 * best:+.0f}"

    prior = next((figure.chance for figure in figures if figure.series.startswith("sex")), None)
    return (
        f"From the virtual face alone, sex is guessed {told('sex')} percentage points better than by always naming the "
        f"more frequent one ({percent(prior)}), age group {told('age group')}, skin tone {told('skin tone')}."
    )


ATTACK = Attack(
    code="A11",
    name="attributes",
    title="Sex, age and skin tone of the original",
    holds="a virtual face; no key",
    learns="sex, age group and skin tone of the person in the photo",
    needs=("own",),
    looks=True,
    measure=measure,
    says=says,
    aims=tuple(
        Aim(f"{kind}, {how}: over the prior", None, Target(at_most=OVER))
        for kind in ("sex", "age group")
        for how in (LOOKED, LEARNED)
    ),
    order=11,
)
