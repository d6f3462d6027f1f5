"""A4: a face again. Who has a stolen key makes a portrait of the person from what is read of the virtual face.

Reading gives the identity u, not a picture. The adversary looks for a latent of the public generator whose face has
this u for both encoders, with the descent that refinement uses: he writes u itself in place of the code. Success is
measured by recognisers that the descent did not see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.attacks.base import Attack, Condition, Figure, Progress, curve, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.metrics.anonymity import rank_hits
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import area

PHOTOS = {"photos": "the very photo", "again": "another photo"}
FAMILY = "a recogniser of another family"


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Acceptance, AUC against strangers and rank-1 of the portraits, by the encoder, the judge and another network."""
    made, people, figures = evidence.faces("rebuilt"), np.arange(evidence.people), []
    for done, (part, words) in enumerate(PHOTOS.items()):
        progress(done, len(PHOTOS))
        photos = evidence.others(part)
        by = {
            "the encoder": made.identity @ photos.u.T,
            "the judge": made.judge @ photos.judge.T,
            FAMILY: made.embedding @ photos.embedding.T,
        }
        for who, cosines in by.items():
            own, (left, right) = np.diag(cosines), np.nonzero(~np.eye(len(people), dtype=bool))
            scores = ScorePair(own, people, cosines[left, right], left, right)
            name = f"{words}, {who}"
            figures.append(share(evidence, Condition(f"{name}: cosine"), own, people))
            figures.append(curve(evidence, Condition(f"{name}: AUC", chance=0.5), area, scores))
            about = Condition(f"{name}: rank-1", chance=1 / len(people))
            figures.append(share(evidence, about, rank_hits(cosines, people, 1), people))
        accepted = np.diag(by["the judge"]) >= evidence.judge_threshold
        figures.append(share(evidence, Condition(f"{words}, the judge: accepted, FMR 1 %"), accepted, people))
    return figures


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    name = PHOTOS["again"]
    return (
        f"With a stolen key a portrait can be made that the judge takes for the person in "
        f"{percent(value_of(figures, f'{name}, the judge: accepted, FMR 1 %'))} of the cases (another photo). "
        f"{FAMILY.capitalize()} names the right person first in "
        f"{percent(value_of(figures, f'{name}, {FAMILY}: rank-1'))}."
    )


ATTACK = Attack(
    code="A4",
    name="reconstruction",
    title="A portrait from a stolen key",
    holds="a virtual face, its key and the public generator",
    learns="what the person looks like",
    needs=("again", "rebuilt"),
    refines=True,
    looks=True,
    measure=measure,
    says=says,
    order=4,
)
