"""A12: forgery. A picture that no method made is given as a virtual face, with the right key.

It may be a real photo, of the right person or of another, or a face that the public generator made from random numbers.
Whoever has weights and key can of course make a true virtual face; that is no forgery.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence, Forged
from kfaar_core.runtime import stream
from kfaar_core.targets import Target

REFUSED = 0.01  # share of true virtual faces that the check may refuse  [design]
KINDS = ("a photo of the person", "a photo of somebody else", "a random face of the generator")


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Acceptance of forged pictures by the right key; errors of a check whether a picture is a virtual face."""
    progress(0, 2)
    forged, people = forged_of(evidence), np.arange(evidence.people)
    hits = forged.cosine >= evidence.threshold  # (N, P)
    own = np.diag(hits[: evidence.people])
    others = hits[: evidence.people][~np.eye(evidence.people, dtype=bool)]
    foreign = hits[evidence.people :]
    owners = [people, np.tile(people, (evidence.people, 1))[~np.eye(evidence.people, dtype=bool)]]
    owners.append(np.tile(people, len(foreign)))
    figures = [
        share(evidence, Condition(f"{kind}: accepted with the right key"), np.asarray(values).ravel(), owner)
        for kind, values, owner in zip(KINDS, (own, others, foreign), owners, strict=True)
    ]
    progress(1, 2)
    return [*figures, *check(evidence, forged)]


def forged_of(evidence: Evidence) -> Forged:
    """The part `forged`."""
    found = evidence.part("forged")
    assert isinstance(found, Forged)
    return found


def check(evidence: Evidence, forged: Forged) -> list[Figure]:
    """Is this one of ours? A linear check of what KVFA reads, fitted on one half of the people, tried on the other."""
    true, photos, foreign = evidence.faces("own").features, *np.split(forged.features, [evidence.people])
    order = stream(evidence.seed, "halves").permutation(evidence.people)
    scores = {name: np.zeros(len(values)) for name, values in (("true", true), ("photos", photos))}
    strange = np.zeros(len(foreign))
    for known, unseen in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        shown = np.concatenate([true[known], photos[known]])
        model.fit(shown, np.repeat([1, 0], len(known)))
        scores["true"][unseen] = model.decision_function(true[unseen])
        scores["photos"][unseen] = model.decision_function(photos[unseen])
        strange += model.decision_function(foreign) / 2 if len(foreign) else 0
    bar = float(np.quantile(scores["true"], REFUSED))
    people = np.arange(evidence.people)
    figures = [
        share(evidence, Condition("check: a real photo passes for a virtual face"), scores["photos"] >= bar, people)
    ]
    if len(foreign):
        passed = strange >= bar
        series = "check: a random face of the generator passes for a virtual face"
        figures.append(share(evidence, Condition(series), passed, np.arange(len(foreign))))
    return figures


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    own, others, foreign = (value_of(figures, f"{kind}: accepted with the right key") for kind in KINDS)
    passes = value_of(figures, "check: a random face of the generator passes for a virtual face")
    return (
        f"A real photo that is given as a virtual face is accepted with the right key in {percent(own)} of the cases, "
        f"that of somebody else in {percent(others)}, a random generated face in {percent(foreign)}. A check of the "
        f"picture alone tells photos from virtual faces, but lets {percent(passes)} of the random generated faces "
        f"pass: it is the key that decides."
    )


ATTACK = Attack(
    code="A12",
    name="forgery",
    title="Forged virtual faces",
    holds="a real photo or a face of the public generator; the key is right, but he cannot use it",
    learns="nothing: he wants a picture to be accepted that is no virtual face of the person",
    needs=("own", "forged"),
    looks=True,
    measure=measure,
    says=says,
    aims=tuple(Aim(f"{kind}: accepted with the right key", None, Target(at_most=0.001)) for kind in KINDS),
    order=12,
)
