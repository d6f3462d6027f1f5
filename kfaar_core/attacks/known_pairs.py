"""A1: known pairs. Who knows some pairs of photo and virtual face finds the rotation of the key, and names the rest.

Where a key is a rotation O_k, the virtual faces show O_k u. From n pairs under one key, orthogonal Procrustes estimates
O_k (Schönemann, 1966). The virtual faces of other people under the same key are then read with the estimate and looked
up in a gallery of photos. With derived keys, a pair tells about its own person's rotation alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import orthogonal_procrustes

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.metrics.anonymity import rank_hits
from kfaar_core.runtime import stream

KNOWN = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)  # known pairs  [design]
LEAST_UNSEEN = 10  # people who are left to be named  [design]
SPLITS = 20  # random choices of the known people  [design]
PHOTOS = {"photos": "the very photos", "again": "other photos"}
KEYS = {"shared": "one key for all", "own": "a key each"}


def rotation_from(codes: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """The orthogonal R (d, d) with the least |codes R - identities|, from n pairs (n, d): an estimate of O_k."""
    found: np.ndarray = orthogonal_procrustes(codes, identities)[0]
    return found


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Rank-1, rank-10 and acceptance of people whose pair is not known, against the number of known pairs."""
    places = [n for n in KNOWN if n <= evidence.people - LEAST_UNSEEN]
    figures, work = [], [(keys, photo, n) for keys in KEYS for photo in PHOTOS for n in places]
    for done, (keys, photo, n) in enumerate(work):
        progress(done, len(work))
        figures += at(evidence, keys, photo, n)
    return figures


def at(evidence: Evidence, keys: str, photo: str, n: int) -> list[Figure]:
    """The figures for n known pairs.

    Args:
        keys: a part of KEYS, the virtual faces.
        photo: a part of PHOTOS, of the pairs and of the gallery.
    """
    codes, gallery = evidence.faces(keys).code, evidence.others(photo).u
    rng = stream(evidence.seed, f"known pairs, {n}")  # the same splits for all conditions
    hits: dict[str, list[np.ndarray]] = {"rank-1": [], "rank-10": [], "accepted by KVFA": []}
    unseen = []
    for _ in range(SPLITS):
        order = rng.permutation(evidence.people)
        known, others = order[:n], np.sort(order[n:])
        cosines = codes[others] @ rotation_from(codes[known], gallery[known]) @ gallery.T  # (others, people)
        hits["rank-1"].append(rank_hits(cosines, others, 1))
        hits["rank-10"].append(rank_hits(cosines, others, 10))
        hits["accepted by KVFA"].append((cosines[np.arange(len(others)), others] >= evidence.threshold).astype(float))
        unseen.append(others)
    people, name = np.concatenate(unseen), f"{KEYS[keys]}, {PHOTOS[photo]}"
    chance = {"rank-1": 1 / evidence.people, "rank-10": min(1.0, 10 / evidence.people)}
    return [
        share(evidence, Condition(f"{name}: {what}", n, chance.get(what)), np.concatenate(values), people)
        for what, values in hits.items()
    ]


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    most = max((figure.at or 0 for figure in figures), default=0)
    same, other = (value_of(figures, f"{KEYS['shared']}, {photo}: rank-1") for photo in PHOTOS.values())
    own = value_of(figures, f"{KEYS['own']}, {PHOTOS['photos']}: rank-1")
    return (
        f"If many people share one key and {most:.0f} pairs of photo and virtual face are known, {percent(same)} of "
        f"the other people are named at once ({percent(other)} where he has other photos of them). With a key each: "
        f"{percent(own)}."
    )


ATTACK = Attack(
    code="A1",
    name="known-pairs",
    title="Known pairs of photo and virtual face",
    holds="some pairs of a photo and its virtual face, the public weights and a gallery of photos; no key",
    learns="who the other virtual faces are",
    across="known pairs",
    needs=("again", "shared", "own"),
    measure=measure,
    says=says,
    aims=tuple(Aim(f"{KEYS['own']}, {photo}: {rank}") for photo in PHOTOS.values() for rank in ("rank-1", "rank-10")),
    order=1,
)
