"""The trials of every table: person, photo, repetition and key of each virtual face.

A table lists its trials once. `fill` (jobs.py) computes all requests of the trials, then the table reads the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfaar_core.evaluate.context import Real, Request, Virtual
from kfaar_core.scenarios import pairs, populations


@dataclass(frozen=True)
class Trial:
    """One virtual face of one person."""

    person: pairs.Person
    photo: int  # which of the person's photos is anonymised: 0 for x, 1 for x2
    repetition: int  # number of the repetition; each has another key
    purpose: str  # of the key, see EvaluationContext.key
    bits: int  # length of the key

    @property
    def index(self) -> int:
        """The index of the photo in the data set."""
        return self.person.photos[self.photo]

    @property
    def face(self) -> Virtual:
        """The request for the virtual face."""
        return Virtual(self.index, self.purpose, self.bits)

    @property
    def regenerated(self) -> Virtual:
        """The request for scenario 1: the virtual face is anonymised again with the right key."""
        return Virtual(self.index, self.purpose, self.bits, rounds=2)


def trials_of(
    people: Sequence[pairs.Person], key_mode: str, repetitions: int, bits: int, photo: int = 0
) -> tuple[Trial, ...]:
    """List the trials: the virtual face of every person in every repetition.

    Args:
        people: test people.
        key_mode: `shared` (one key for everyone in a repetition) or `own` (a key for each person, one repetition).
        repetitions: with shared keys.
        bits: length of the keys.
        photo: which photo is anonymised, 0 or 1; people without it are left out.
    """
    return tuple(
        Trial(person, photo, repetition, purpose_of(key_mode, repetition, person), bits)
        for repetition in range(rounds_of(key_mode, repetitions))
        for person in people
        if len(person.photos) > photo
    )


def photos_of(people: Sequence[pairs.Person]) -> list[Request]:
    """Requests for the embeddings of every photo of these people."""
    return [Real(index) for person in people for index in person.photos]


def rounds_of(key_mode: str, repetitions: int) -> int:
    """The number of repetitions: `repetitions` with shared keys, 1 with own keys."""
    return repetitions if key_mode == populations.SHARED else 1


def purpose_of(key_mode: str, repetition: int, person: pairs.Person) -> str:
    """The purpose of a person's key in a repetition, see EvaluationContext.key."""
    return f"shared {repetition}" if key_mode == populations.SHARED else f"own {person.number}"
