"""A10: the rest of the photo. A pasted picture keeps everything outside the face: hair, ears, clothes, background.

The face of another photo of the person is covered as well, and the two surroundings are compared. With the very photo
they are equal pixel by pixel, so that case needs no measurement: whoever has it knows it again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.attacks.base import Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence, Surroundings
from kfaar_core.metrics.anonymity import rank_hits
from kfaar_core.stages.linear import unit

RANKS = (1, 10)


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Rank-1 and rank-10 in a gallery of other photos of everybody, by the encoder, the judge and colours."""
    around, people, figures = evidence.part("around"), np.arange(evidence.people), []
    assert isinstance(around, Surroundings)
    ways = {"the encoder": around.u, "the judge": around.judge, "colours": around.colours}
    for done, (way, both) in enumerate(ways.items()):
        progress(done, len(ways))
        first, second = both[:, 0], both[:, 1]  # (P, n) of x and x2
        centre = both.mean(axis=(0, 1))
        cosines = unit(first - centre) @ unit(second - centre).T
        for rank in RANKS:
            about = Condition(f"outside the face, {way}: rank-{rank}", chance=min(1.0, rank / evidence.people))
            figures.append(share(evidence, about, rank_hits(cosines, people, rank), people))
    return figures


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    people = max((figure.people for figure in figures), default=0)
    best = max((f.value for f in figures if f.series.endswith("rank-1")), default=None)
    encoder = value_of(figures, "outside the face, the encoder: rank-1")
    return (
        f"A face that is pasted into its photo leaves hair, clothes and background: among {people} people the right "
        f"one is named first in {percent(best)} of the cases by them alone ({percent(encoder)} by a face encoder), "
        f"from another photo. Whoever has the very photo knows it again."
    )


ATTACK = Attack(
    code="A10",
    name="surroundings",
    title="The rest of a pasted photo",
    holds="a photo with a virtual face pasted into it, and a gallery of other photos; no key",
    learns="who the person is, from what is outside the face",
    needs=("around",),
    looks=True,
    measure=measure,
    says=says,
    order=10,
)
