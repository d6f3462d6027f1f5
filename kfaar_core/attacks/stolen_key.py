"""A3: a stolen key. Who has key and virtual face reads the identity and looks it up in a gallery of photos.

The weights are public, so this is what the owner can do as well. It says what a key is worth when it is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.attacks.base import Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.metrics.anonymity import ahead_of, rank_chances

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)  # people in the gallery  [design]
RANKS = (1, 10)
PHOTOS = {"photos": "the very photo", "again": "another photo"}
REFUSED = 0.1  # share of enrolled people who are missed, at which false hits are counted  [design]


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Rank-1 and rank-10 against the size of the gallery; false positive identifications in the largest gallery."""
    beside = evidence.others("gallery").u
    sizes = [size for size in SIZES if size <= evidence.people + len(beside)]
    largest = evidence.people + len(beside)
    sizes = [*(size for size in sizes if size < largest), largest]
    figures: list[Figure] = []
    for done, photo in enumerate(PHOTOS):
        progress(done, len(PHOTOS))
        own, people = evidence.others(photo).u, np.arange(evidence.people)
        cosines = evidence.faces("own").read @ np.concatenate([own, beside]).T  # (P, P + G)
        for size in sizes:
            figures += ranks(evidence, photo, cosines, size)
        figures += open_set(evidence, photo, cosines, people)
    return figures


def ranks(evidence: Evidence, photo: str, cosines: np.ndarray, size: int) -> list[Figure]:
    """Rank-1 and rank-10 in galleries of `size` people of whom one is the right one.

    Args:
        cosines: (P, P + G) of each virtual face with the photos of all people and with those of others.
    """
    people, others = np.arange(evidence.people), cosines.shape[1] - 1
    ahead = ahead_of(cosines, people)
    return [
        share(
            evidence,
            Condition(f"{PHOTOS[photo]}: rank-{rank}", size, min(1.0, rank / size)),
            rank_chances(ahead, others, size, rank),
            people,
        )
        for rank in RANKS
    ]


def open_set(evidence: Evidence, photo: str, cosines: np.ndarray, people: np.ndarray) -> list[Figure]:
    """False positive identification: somebody of the gallery is named although the right person is not in it."""
    own = cosines[people, people]
    without = cosines.copy()
    without[people, people] = -np.inf
    best = without.max(axis=1)  # the most similar wrong person
    missed = float(np.quantile(own, REFUSED))
    return [
        share(
            evidence,
            Condition(f"{PHOTOS[photo]}: wrong person named at KVFA's threshold"),
            best >= evidence.threshold,
            people,
        ),
        share(
            evidence,
            Condition(f"{PHOTOS[photo]}: right person missed at KVFA's threshold"),
            own < evidence.threshold,
            people,
        ),
        share(
            evidence,
            Condition(
                f"{PHOTOS[photo]}: wrong person named where {REFUSED:.0%} of the right ones are missed",
                note=f"threshold {missed:.3f}",
            ),
            best >= missed,
            people,
        ),
    ]


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    size = max((figure.at or 0 for figure in figures), default=0)
    same, other = (percent(value_of(figures, f"{photo}: rank-1", size)) for photo in PHOTOS.values())
    return (
        f"A key that is stolen opens its pictures: among {size:.0f} people the right one is named first in {other} of "
        f"the cases from another photo, {same} from the very photo."
    )


ATTACK = Attack(
    code="A3",
    name="stolen-key",
    title="A stolen key",
    holds="a virtual face, its key and a gallery of photos",
    learns="who the person is",
    across="people in the gallery",
    needs=("again", "own", "gallery"),
    measure=measure,
    says=says,
    order=3,
)
