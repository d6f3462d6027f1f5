"""Identification in a gallery: the CMC curve, and errors of searches for people who may be absent (ISO/IEC 19795-1)."""

from __future__ import annotations

import numpy as np

from kfaar_core.metrics.anonymity import hit_chances


def cumulative_match(
    similarity: np.ndarray, probe_people: np.ndarray, gallery_people: np.ndarray, ranks: int
) -> np.ndarray:
    """CMC: the share of probes whose person is among the k most similar of the gallery, for k = 1 to `ranks`.

    Args:
        similarity, probe_people, gallery_people: as in hit_chances; every person is in the gallery.
        ranks: highest k.

    Returns:
        (ranks,) in [0, 1], not decreasing; its first entry is the rank-1 identification rate.
    """
    chances = [hit_chances(similarity, probe_people, gallery_people, k) for k in range(1, ranks + 1)]
    return np.array([float(each.mean()) for each in chances])


def false_positives(similarity: np.ndarray, threshold: float) -> np.ndarray:
    """Searches for people who are not enrolled that return anybody; their share is the FPIR.

    Args:
        similarity: (N, G) of each probe to each photo of the gallery, higher = more similar.
        threshold: a photo is returned when its similarity is at least this.

    Returns:
        (N,) bool.
    """
    return np.asarray((np.asarray(similarity) >= threshold).any(axis=1))


def false_negatives(
    similarity: np.ndarray, probe_people: np.ndarray, gallery_people: np.ndarray, threshold: float, rank: int = 1
) -> np.ndarray:
    """Searches for enrolled people that do not return them among the first `rank`; their share is the FNIR.

    Args:
        similarity: (N, G) as in false_positives.
        probe_people, gallery_people: (N,) and (G,) int, one photo of each person in the gallery.
        threshold: as in false_positives.
        rank: number of photos that are returned. A tie counts against the search.

    Returns:
        (N,) bool.
    """
    similarity = np.asarray(similarity, dtype=np.float64)
    own = np.asarray(probe_people)[:, None] == np.asarray(gallery_people)
    best = np.where(own, similarity, -np.inf).max(axis=1)  # (N,)
    ahead = ((similarity >= best[:, None]) & ~own).sum(axis=1)
    return np.asarray((best < threshold) | (ahead >= rank))
