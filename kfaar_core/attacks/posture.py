"""A13: posture as a fingerprint. Head pose and expression, which are kept, tell which photo a face was made from.

Whoever has the photo among N others needs neither key nor recogniser. The matcher predicts the posture of the photo
from that of the virtual face, and weighs what is left by its covariance; both are fitted on the other half of people.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence, Faces
from kfaar_core.metrics.anonymity import ahead_of, rank_chances
from kfaar_core.metrics.pose import expression_cosines
from kfaar_core.runtime import stream
from kfaar_core.stages.correct import ANGLE_UNIT, ANGLES
from kfaar_core.targets import Target

SIZES = (10, 30, 100, 300, 1000, 2000, 3000)  # photos in the gallery  [design]
RANKS = (1, 10, 100)
ENTRIES = {"head angles": ANGLES, "head angles and expression": slice(None)}  # of a posture vector
MODES = {"own": "exact posture", "coarse": "coarse posture"}
SHRINK = 1.0  # of the ridge  [design]
ESTIMATED = "estimated from {others} other photos: each of the {size} is ahead as often as one of them"


def distances(faces: np.ndarray, photos: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Distances (M, G) of M faces to G photos, by a matcher fitted on pairs.

    Args:
        faces: (K + M, n) posture entries of virtual faces, those of the pairs first.
        photos: (K, n) of the photos of the first K.
        gallery: (G, n).
    """
    known = len(photos)
    model = Ridge(alpha=SHRINK).fit(faces[:known], photos)
    errors = photos - model.predict(faces[:known])
    inverse = np.linalg.inv(ledoit_wolf(errors)[0])
    gaps = model.predict(faces[known:])[:, None] - gallery[None]  # (M, G, n)
    found: np.ndarray = np.einsum("mgi,ij,mgj->mg", gaps, inverse, gaps)
    return found


def nearer_photos(evidence: Evidence, faces: Faces, entries: slice) -> tuple[np.ndarray, int]:
    """How many photos are nearer to each virtual face (P,) than its own photo, and how many others there are."""
    photos = evidence.photos.posture[:, entries]
    gallery = np.concatenate([photos, evidence.others("gallery").posture[:, entries]])
    order = stream(evidence.seed, "halves").permutation(evidence.people)
    ahead = np.zeros(evidence.people, dtype=np.int64)
    for fitted, tested in (np.array_split(order, 2), np.array_split(order, 2)[::-1]):
        postures = np.concatenate([faces.posture[fitted], faces.posture[tested]])[:, entries]
        # The matcher knows the photos of the half that it was fitted on; they are left in the gallery all the same.
        apart = distances(postures, photos[fitted], gallery)
        ahead[tested] = ahead_of(-apart, tested)
    return ahead, len(gallery) - 1


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Rank-1, rank-10 and rank-100 against the number of photos; how exactly posture is kept beside it."""
    modes = {part: words for part, words in MODES.items() if evidence.has(part)}
    figures, people = [], np.arange(evidence.people)
    for done, (part, words) in enumerate(modes.items()):
        progress(done, len(modes))
        faces = evidence.faces(part)
        for name, entries in ENTRIES.items():
            ahead, others = nearer_photos(evidence, faces, entries)
            for size in SIZES:
                for rank in RANKS:
                    series = f"{words}, {name}: rank-{rank}"
                    if rank < size:
                        hits, note = chances(ahead, others, size, rank)
                        figures.append(share(evidence, Condition(series, size, rank / size, note=note), hits, people))
        gaps = np.abs(faces.posture - evidence.photos.posture)[:, ANGLES] * ANGLE_UNIT
        figures.append(
            share(evidence, Condition(f"{words}: difference of the angles, degrees"), gaps.mean(axis=1), people)
        )
        shapes = [np.pad(some.posture[:, 3:], ((0, 0), (1, 0))) for some in (evidence.photos, faces)]  # with _neutral
        alike = expression_cosines(shapes[0], shapes[1])
        figures.append(share(evidence, Condition(f"{words}: expression cosine"), alike, people))
    return figures


def chances(ahead: np.ndarray, others: int, size: int, rank: int) -> tuple[np.ndarray, str]:
    """Rank-k in a gallery of `size` photos, and a note where there are not so many: then it is extrapolated."""
    if size <= others + 1:
        return rank_chances(ahead, others, size, rank), ""
    more = np.round(ahead / others * (size - 1)).astype(int)
    return (more < rank).astype(float), ESTIMATED.format(others=others, size=size)


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    size = max((f.at for f in figures if f.at and not f.note), default=0.0)
    name = "head angles and expression"
    exact, coarse = (percent(value_of(figures, f"{mode}, {name}: rank-10", size)) for mode in MODES.values())
    words = (
        f"Who holds the very photo among {size:.0f} others narrows it down to ten by head pose and expression alone in "
        f"{exact} of the cases where posture is kept exactly"
    )
    return f"{words}, in {coarse} with coarse posture." if coarse != percent(None) else f"{words}."


ATTACK = Attack(
    code="A13",
    name="posture",
    title="Posture as a fingerprint",
    holds="a virtual face and a gallery that holds the very photo; no key, no face recogniser",
    learns="which photo it was made from",
    across="photos in the gallery",
    needs=("own", "coarse", "gallery"),
    looks=True,
    measure=measure,
    says=says,
    aims=(
        *(
            Aim(f"{MODES['coarse']}, {name}: rank-{rank}", 2000, Target(at_most=most))
            for name in ENTRIES
            for rank, most in ((10, 0.05), (100, 0.25))
        ),
        Aim(f"{MODES['coarse']}: difference of the angles, degrees", None, Target(at_most=5)),
        Aim(f"{MODES['coarse']}: expression cosine", None, Target(at_least=0.6)),
    ),
    order=13,
)
