"""Test protocol: which photos are compared with which. It depends on names and a seed, not on the order of files.

Photos are numbered by their index in the data set. People are numbered from 0 in the order of people(); Scores.people
holds these numbers, so results contain no names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kfaar_core.errors import DataMissing
from kfaar_core.runtime import stream

PHOTOS_EACH = 2  # most photos of one person in a test  [design, protocol]
IMPOSTORS_EACH = 50  # most impostor pairs that start at one person in a test of a face encoder  [design]


class Sample(Protocol):
    """Metadata of one photo: who is on it, and its file name."""

    @property
    def identity(self) -> str: ...

    @property
    def file(self) -> str: ...


@dataclass(frozen=True)
class Person:
    """One test person."""

    number: int  # from 0, in the order of people()
    photos: tuple[int, ...]  # indices of at most two photos; the first is x, the second x2


@dataclass(frozen=True)
class Trials:
    """T comparisons of the virtual face of a source photo with a probe photo; read-only arrays."""

    people: np.ndarray  # (T,) int: the person in the source photo
    sources: np.ndarray  # (T,) int: the photo x that is anonymised
    probe_people: np.ndarray  # (T,) int: the person in the probe photo
    probes: np.ndarray  # (T,) int: the probe photo: x, x2 (same person) or y (another person)

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True)
class VerificationPairs:
    """Pairs of real photos for the test of a face encoder; read-only arrays."""

    genuine: np.ndarray  # (N, 2) int: two photos of one person
    genuine_people: np.ndarray  # (N,) int
    impostor: np.ndarray  # (M, 2) int: photos of two people
    impostor_people: np.ndarray  # (M,) int: the person of the first photo
    impostor_others: np.ndarray  # (M,) int: the person of the second photo


def people(
    samples: Iterable[Sample],
    allowed: Collection[str] | None = None,
    *,
    limit: int | None = None,
    at_least: int = PHOTOS_EACH,
    seed: int = 0,
) -> tuple[Person, ...]:
    """Choose the test people, in a random order that depends only on their names and the seed.

    Args:
        samples: of the data set.
        allowed: identities to choose from, for example one part of the split; None = all.
        limit: number of people, the first of the order: the first 50 are among the first 100. None = all.
        at_least: leaves out people with fewer photos.
        seed: of the order.

    Raises:
        DataMissing: nobody is left.
    """
    photos: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for index, sample in enumerate(samples):
        if allowed is None or sample.identity in allowed:
            photos[sample.identity].append((sample.file, index))
    names = sorted(name for name, files in photos.items() if len(files) >= at_least)
    order = stream(seed, "order of people").permutation(len(names))[:limit]
    if len(order) == 0:
        raise DataMissing(
            got=f"nobody with at least {at_least} photos in the part of the data that is tested",
            mend="give data with more photos a person, or a higher --limit",
        )
    return tuple(Person(number, two_photos(names[i], photos[names[i]], seed)) for number, i in enumerate(order))


def two_photos(name: str, files: list[tuple[str, int]], seed: int) -> tuple[int, ...]:
    """Choose at most two of a person's photos, given as (file, index), at random by name and seed."""
    chosen = stream(seed, f"two photos of {name}").permutation(len(files))[:PHOTOS_EACH]
    files = sorted(files)
    return tuple(files[i][1] for i in chosen)


def same_photo(people: tuple[Person, ...]) -> Trials:
    """Genuine trials (Eq. 14): the virtual face of x and x itself, one trial for each person."""
    return trials([(person, 0, person, 0) for person in people])


def other_photo(people: tuple[Person, ...]) -> Trials:
    """Genuine trials: the virtual face of x and another photo x2, one for each person with a second photo."""
    return trials([(person, 0, person, 1) for person in people if len(person.photos) > 1])


def impostors(people: tuple[Person, ...], trial: int, *, seed: int = 0) -> Trials:
    """Impostor trials (Eq. 13): the virtual face of x and the first photo of another person y, one for each person.

    The people are shuffled into a ring for each `trial`, and y is the next person of the ring. Everybody is y exactly
    once, and there are as many impostor as genuine trials.

    Raises:
        DataMissing: fewer than two people.
    """
    ring = ring_of(people, f"impostors of trial {trial}", seed)
    neighbour = {person.number: other for person, other in zip(ring, ring[1:] + ring[:1], strict=True)}
    return trials([(person, 0, neighbour[person.number], 0) for person in people])


def verification_pairs(
    people: tuple[Person, ...], *, impostors_each: int = IMPOSTORS_EACH, seed: int = 0
) -> VerificationPairs:
    """Pairs for the test of a face encoder: the two photos of each person, and pairs of different people.

    The people are shuffled into a ring. Each person is paired with the next `impostors_each` people (fewer if the ring
    is small); no two people are paired twice.

    Raises:
        DataMissing: fewer than two people, or nobody with two photos.
    """
    ring = ring_of(people, "impostors of verification", seed)
    genuine = [person for person in people if len(person.photos) > 1]
    if not genuine:
        raise DataMissing(got="nobody with two photos", mend="give data with at least two photos of some people")
    reach = max(1, min(impostors_each, (len(ring) - 1) // 2))
    # In a ring of two people both neighbours are the same person: one pair only.
    starts = ring if len(ring) > 2 else ring[:1]
    pairs = [(first, ring[(i + step) % len(ring)]) for i, first in enumerate(starts) for step in range(1, reach + 1)]
    return VerificationPairs(
        genuine=fixed([person.photos for person in genuine]),
        genuine_people=fixed([person.number for person in genuine]),
        impostor=fixed([(first.photos[0], second.photos[0]) for first, second in pairs]),
        impostor_people=fixed([first.number for first, _ in pairs]),
        impostor_others=fixed([second.number for _, second in pairs]),
    )


def ring_of(people: tuple[Person, ...], purpose: str, seed: int) -> tuple[Person, ...]:
    """The people in a random order that depends on purpose and seed.

    Raises:
        DataMissing: fewer than two people.
    """
    if len(people) < 2:
        raise DataMissing(got=f"{len(people)} people, so nobody can be an impostor", mend="use at least two people")
    return tuple(people[i] for i in stream(seed, purpose).permutation(len(people)))


def trials(entries: list[tuple[Person, int, Person, int]]) -> Trials:
    """Make Trials of entries (person, which of their photos, probed person, which of their photos)."""
    return Trials(
        people=fixed([person.number for person, _, _, _ in entries]),
        sources=fixed([person.photos[which] for person, which, _, _ in entries]),
        probe_people=fixed([probed.number for _, _, probed, _ in entries]),
        probes=fixed([probed.photos[which] for _, _, probed, which in entries]),
    )


def fixed(numbers: list) -> np.ndarray:
    """A read-only int64 array."""
    array = np.asarray(numbers, dtype=np.int64)
    array.flags.writeable = False
    return array
