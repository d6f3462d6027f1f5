"""Anonymity metrics: the share of pairs that the judge takes for two people (Table II), and re-identification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from kfaar_core.errors import DataMissing
from kfaar_core.metrics.verification import checked


@dataclass(frozen=True)
class Different:
    """The share of pairs of faces that the judge takes for different people."""

    share: float  # in [0, 1], higher = more anonymous (or more diverse)
    n: int  # pairs


def different(cosines: np.ndarray, threshold: float) -> Different:
    """Anonymity (Eq. 1), diversity (Eq. 3) and differentiation (Eq. 4) as shares of pairs, as in Table II.

    Args:
        cosines: (N,) judge cosines of pairs, for example of x and x_v.
        threshold: pairs with a cosine below it count as different people.

    Raises:
        DataMissing: no cosine, or cosines that are not finite.
    """
    cosines = checked("judge", cosines)
    return Different(share=float(np.mean(cosines < threshold)), n=cosines.size)


def hit_chances(similarity: np.ndarray, probe_people: np.ndarray, gallery_people: np.ndarray, k: int) -> np.ndarray:
    """Rank-k re-identification: the probability that the right person is among the k most similar of the gallery.

    Args:
        similarity: (N, G) of each probe (a virtual face) to each gallery photo, higher = more similar.
        probe_people: (N,) int, the person behind each virtual face.
        gallery_people: (G,) int, the person in each photo. A person with several photos counts by the most similar.
        k: rank.

    Returns:
        (N,) in [0, 1]; 0 or 1 unless people tie at rank k. Ties are broken at random.

    Raises:
        DataMissing: an empty gallery, shapes that do not fit, or a probe whose person is not in the gallery.
    """
    similarity = np.asarray(similarity, dtype=np.float64)
    if similarity.shape != (len(probe_people), len(gallery_people)) or similarity.size == 0:
        raise DataMissing(
            got=f"similarities {similarity.shape} for {len(probe_people)} probes and {len(gallery_people)} photos",
            mend="give one row for each probe and one column for each gallery photo, at least one of both",
        )
    names, column = np.unique(gallery_people, return_inverse=True)
    best = np.full((len(similarity), names.size), -np.inf)  # (N, people)
    for photo, person in enumerate(column):
        np.maximum(best[:, person], similarity[:, photo], out=best[:, person])
    position = np.searchsorted(names, probe_people).clip(max=names.size - 1)
    if not np.array_equal(names[position], probe_people):
        raise DataMissing(
            got="a probe whose person is not in the gallery",
            mend="put a photo of every probed person into the gallery",
        )
    own = np.take_along_axis(best, position[:, None], axis=1)  # (N, 1)
    ahead, tied = (best > own).sum(axis=1), (best == own).sum(axis=1)  # tied counts the person too
    return np.clip((k - ahead) / tied, 0.0, 1.0)


def rank_hits(similarity: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """As hit_chances for a gallery with one photo a person, given the column of each probe's right photo.

    Args:
        similarity: (N, G) of each probe to each photo, higher = more similar.
        right: (N,) int, the column of the right photo.
        k: rank.

    Returns:
        (N,) in [0, 1]. Ties are broken at random.
    """
    own = np.take_along_axis(similarity, np.asarray(right)[:, None], axis=1)  # (N, 1)
    return np.clip((k - ahead_of(similarity, right)) / (similarity == own).sum(axis=1), 0.0, 1.0)


def ahead_of(similarity: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How many photos of a gallery are more similar to each probe than the right one: (N,) int; rank - 1 without ties.

    Args:
        similarity: (N, G) of each probe to each photo, higher = more similar.
        right: (N,) int, the column of the right photo.
    """
    own = np.take_along_axis(similarity, np.asarray(right)[:, None], axis=1)  # (N, 1)
    ahead: np.ndarray = (similarity > own).sum(axis=1)
    return ahead


def rank_chances(ahead: np.ndarray, others: int, size: int, k: int) -> np.ndarray:
    """Rank-k re-identification in smaller galleries: the probability over all random galleries of `size` photos.

    A gallery has the right photo and size - 1 of the others.

    Args:
        ahead: (N,) int, how many of the others are more similar to the probe than the right photo.
        others: number of other photos.
        size: photos in the gallery, at most others + 1.
        k: rank.

    Returns:
        (N,) in [0, 1].

    Raises:
        DataMissing: a gallery that is larger than all photos.
    """
    if not 1 <= size <= others + 1:
        raise DataMissing(got=f"a gallery of {size} of {others + 1} photos", mend="give more photos, or ask for fewer")
    chances: np.ndarray = hypergeom.cdf(k - 1, others, ahead, size - 1)
    return chances
