"""Who is compared with whom. Every choice follows from names and a seed, never from the order of a file.

Numbers of photos are indices into the data set; numbers of people count from 0 in the order of people(), which is
what Scores.people holds: no name leaves this module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kfaar_core.errors import DataMissing
from kfaar_core.runtime import stream

PHOTOS_EACH = 2  # photos of one person in a test, at most  [design, protocol]
IMPOSTORS_EACH = 50  # impostor pairs of a recogniser test that start at one person, at most  [design]


class Sample(Protocol):
    """What a data set knows about a photo without opening it."""

    @property
    def identity(self) -> str: ...

    @property
    def file(self) -> str: ...


@dataclass(frozen=True)
class Person:
    """One person of a test."""

    number: int  # from 0, in the order of people()
    photos: tuple[int, ...]  # indices of at most two photos; the first is x, the second x2


@dataclass(frozen=True)
class Trials:
    """Comparisons of a probe photo with the virtual face of a source photo; T of them, read-only arrays."""

    people: np.ndarray  # (T,) int: the person whose virtual face it is
    sources: np.ndarray  # (T,) int: the photo x that is anonymised
    probe_people: np.ndarray  # (T,) int: the person in the probe
    probes: np.ndarray  # (T,) int: the photo x, x2 or y that is compared

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True)
class VerificationPairs:
    """Pairs of real photos that test a recogniser alone; read-only arrays."""

    genuine: np.ndarray  # (N, 2) int: two photos of one person
    genuine_people: np.ndarray  # (N,) int
    impostor: np.ndarray  # (M, 2) int: photos of two people
    impostor_people: np.ndarray  # (M,) int: the person of the first photo


def people(
    samples: Iterable[Sample],
    allowed: Collection[str] | None = None,
    *,
    limit: int | None = None,
    at_least: int = PHOTOS_EACH,
    seed: int = 0,
) -> tuple[Person, ...]:
    """The people of a test, in a random order that depends on their names and the seed only.

    Args:
        allowed: identities that may take part (a part of the split); None = all.
        limit: the first so many people of that order: 50 people are among the first 100.
        at_least: leave out people with fewer photos than this.

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
    """At most two of a person's (file, index), drawn by a stream of the person's own."""
    chosen = stream(seed, f"two photos of {name}").permutation(len(files))[:PHOTOS_EACH]
    files = sorted(files)
    return tuple(files[i][1] for i in chosen)


def same_photo(people: tuple[Person, ...]) -> Trials:
    """Genuine (Eq. 14): the virtual face of x with x itself; one trial a person."""
    return trials([(person, 0, person, 0) for person in people])


def other_photo(people: tuple[Person, ...]) -> Trials:
    """Genuine: the virtual face of x with x2; one trial for each person who has a second photo."""
    return trials([(person, 0, person, 1) for person in people if len(person.photos) > 1])


def impostors(people: tuple[Person, ...], trial: int, *, seed: int = 0) -> Trials:
    """Impostor (Eq. 13): the virtual face of x with the first photo of another person y; one trial a person.

    The people sit in a ring, shuffled anew for each trial, and y is the neighbour: everybody is y exactly once, nobody
    meets himself, and there are as many impostors as genuine trials.

    Raises:
        DataMissing: fewer than two people.
    """
    ring = ring_of(people, f"impostors of trial {trial}", seed)
    neighbour = {person.number: other for person, other in zip(ring, ring[1:] + ring[:1], strict=True)}
    return trials([(person, 0, neighbour[person.number], 0) for person in people])


def verification_pairs(
    people: tuple[Person, ...], *, impostors_each: int = IMPOSTORS_EACH, seed: int = 0
) -> VerificationPairs:
    """Pairs for a recogniser: each person's two photos, and each person with the next ones in a shuffled ring.

    Every person starts the same number of impostor pairs, no two people meet twice; a small ring has fewer pairs.

    Raises:
        DataMissing: fewer than two people, or nobody with two photos.
    """
    ring = ring_of(people, "impostors of verification", seed)
    genuine = [person for person in people if len(person.photos) > 1]
    if not genuine:
        raise DataMissing(got="nobody with two photos", mend="give data with at least two photos of some people")
    reach = max(1, min(impostors_each, (len(ring) - 1) // 2))
    # Two people are a ring in which both neighbours are the same person: one pair, started by the first.
    starts = ring if len(ring) > 2 else ring[:1]
    pairs = [(first, ring[(i + step) % len(ring)]) for i, first in enumerate(starts) for step in range(1, reach + 1)]
    return VerificationPairs(
        genuine=fixed([person.photos for person in genuine]),
        genuine_people=fixed([person.number for person in genuine]),
        impostor=fixed([(first.photos[0], second.photos[0]) for first, second in pairs]),
        impostor_people=fixed([first.number for first, _ in pairs]),
    )


def ring_of(people: tuple[Person, ...], purpose: str, seed: int) -> tuple[Person, ...]:
    """The people in a random order of that purpose's own stream."""
    if len(people) < 2:
        raise DataMissing(got=f"{len(people)} people, so nobody can be an impostor", mend="use at least two people")
    return tuple(people[i] for i in stream(seed, purpose).permutation(len(people)))


def trials(entries: list[tuple[Person, int, Person, int]]) -> Trials:
    """(person, place of x, probed person, place of the probe) -> Trials."""
    return Trials(
        people=fixed([person.number for person, _, _, _ in entries]),
        sources=fixed([person.photos[place] for person, place, _, _ in entries]),
        probe_people=fixed([probed.number for _, _, probed, _ in entries]),
        probes=fixed([probed.photos[place] for _, _, probed, place in entries]),
    )


def fixed(numbers: list) -> np.ndarray:
    """A read-only int64 array."""
    array = np.asarray(numbers, dtype=np.int64)
    array.flags.writeable = False
    return array
