"""A2: no pairs. All virtual faces under one key, and a gallery: who is who follows from who resembles whom.

A shared key turns all codes alike, so the similarities between virtual faces are those between the people. Matching the
two matrices of similarities is quadratic assignment; FAQ (Vogelstein et al., PLoS ONE 2015) starts it, and alternating
Procrustes and assignment ends it. Some known pairs may help (seeds).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import linear_sum_assignment, quadratic_assignment

from kfaar_core.attacks.base import Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.runtime import stream

SEEDS = (0, 5, 10, 20)  # known pairs  [design]
OVERLAPS = (1.0, 0.5, 0.1)  # share of the virtual faces whose person is in the gallery  [design]
PHOTOS = {"photos": "the very photos", "again": "other photos"}
KEYS = {"shared": "one key for all", "own": "a key each"}
ROUNDS = 30  # of alternating Procrustes and assignment  [design]


def matched(codes: np.ndarray, gallery: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Match N virtual faces with N photos of a gallery.

    Args:
        codes: (N, d) of the virtual faces.
        gallery: (N, d) of the photos. The first `seeds` rows of both are known pairs.
        seeds: number of known pairs.
        rng: of FAQ's start.

    Returns:
        (N,) int, the photo of each virtual face.
    """
    pairs = np.column_stack([np.arange(seeds)] * 2)
    options = {"maximize": True, "partial_match": pairs, "rng": rng, "P0": "barycenter"}
    chosen: np.ndarray = quadratic_assignment(codes @ codes.T, gallery @ gallery.T, "faq", options)["col_ind"]
    weight = np.where(np.arange(len(codes)) < seeds, 1.0, 0.3)[:, None]
    for _ in range(ROUNDS):
        turn = orthogonal_procrustes(weight * codes, weight * gallery[chosen])[0]
        cosines = codes @ turn @ gallery.T
        cosines[np.arange(seeds), np.arange(seeds)] = 10.0  # known
        again = linear_sum_assignment(cosines, maximize=True)[1]
        if np.array_equal(again, chosen):
            break
        chosen = again
    return chosen


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """The share of people in the gallery who are named, against the number of known pairs."""
    work = [
        (keys, photo, overlap, seeds)
        for keys in KEYS
        for photo in PHOTOS
        for overlap in OVERLAPS
        for seeds in SEEDS
        if seeds + 2 <= overlap * evidence.people and (overlap == 1.0 or evidence.has("gallery"))
    ]
    figures = []
    for done, (keys, photo, overlap, seeds) in enumerate(work):
        progress(done, len(work))
        figures.append(at(evidence, keys, photo, overlap, seeds))
    return figures


def at(evidence: Evidence, keys: str, photo: str, overlap: float, seeds: int) -> Figure:
    """The figure of one condition; photos of others fill the gallery up to as many photos as virtual faces."""
    rng = stream(evidence.seed, f"no pairs, {overlap}, {seeds}")
    order = rng.permutation(evidence.people)
    inside = round(overlap * evidence.people)
    known = evidence.others(photo).u[order[:inside]]
    gallery = known if overlap == 1.0 else np.concatenate([known, evidence.others("gallery").u])[: evidence.people]
    codes = evidence.faces(keys).code[order][: len(gallery)]
    shuffle = np.concatenate([np.arange(seeds), seeds + rng.permutation(len(gallery) - seeds)])
    chosen = shuffle[matched(codes, gallery[shuffle], seeds, rng)]
    unseen = np.arange(seeds, inside)
    hits = (chosen[unseen] == unseen).astype(float)
    series = f"{KEYS[keys]}, {PHOTOS[photo]}, {overlap:.0%} of the people in the gallery: named"
    return share(evidence, Condition(series, seeds, 1 / (len(gallery) - seeds)), hits, order[unseen])


def says(figures: Sequence[Figure]) -> str:
    """What it means."""

    def named(keys: str, photo: str, seeds: int) -> str:
        series = f"{KEYS[keys]}, {PHOTOS[photo]}, 100% of the people in the gallery: named"
        return percent(value_of(figures, series, seeds))

    few = 10
    return (
        f"Where everybody's photo is in a gallery, {named('shared', 'photos', few)} of the people under one shared key "
        f"are named from {few} known pairs and who resembles whom ({named('shared', 'again', few)} from other photos "
        f"of them), and {named('shared', 'photos', 0)} without any pair. With a key each, from {few} pairs: "
        f"{named('own', 'photos', few)}."
    )


ATTACK = Attack(
    code="A2",
    name="no-pairs",
    title="All virtual faces of a group, no pair known",
    holds="the virtual faces of many people under one key, and a gallery with photos of some of them; no key",
    learns="who is who",
    across="known pairs",
    needs=("again", "shared", "own", "gallery"),
    measure=measure,
    says=says,
    order=2,
)
