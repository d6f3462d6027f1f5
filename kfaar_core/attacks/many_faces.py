"""A5: several faces of one person, each with its stolen key: what is read from them is averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.attacks.base import Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.metrics.anonymity import rank_hits
from kfaar_core.stages.linear import unit

PHOTOS = {"photos": "the very photo", "again": "another photo"}


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Cosine of the averaged reading with the identity, and rank-1 in the gallery, against the number of faces."""
    reads = [evidence.faces(part).read for part in ("own", "shared")]
    beside, people, figures = evidence.others("gallery").u, np.arange(evidence.people), []
    for m in range(1, len(reads) + 1):
        progress(m - 1, len(reads))
        read = unit(np.sum(reads[:m], axis=0))
        for photo, words in PHOTOS.items():
            own = evidence.others(photo).u
            cosines = read @ np.concatenate([own, beside]).T
            hits = rank_hits(cosines, people, 1)
            figures.append(share(evidence, Condition(f"{words}: cosine", m), cosines[people, people], people))
            figures.append(share(evidence, Condition(f"{words}: rank-1", m, 1 / cosines.shape[1]), hits, people))
    return figures


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    most = max((figure.at or 0 for figure in figures), default=0)
    one, all_ = (percent(value_of(figures, f"{PHOTOS['again']}: rank-1", m)) for m in (1, most))
    return (
        f"Whoever has several faces of a person with their keys reads more exactly: the right person is named first in "
        f"{one} of the cases from one face, and in {all_} from {most:.0f}."
    )


ATTACK = Attack(
    code="A5",
    name="many-faces",
    title="Several faces of one person, keys stolen",
    holds="several virtual faces of one person under different keys, all these keys, and a gallery of photos",
    learns="who the person is",
    across="faces",
    needs=("again", "own", "shared", "gallery"),
    measure=measure,
    says=says,
    order=5,
)
