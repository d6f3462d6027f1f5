"""The trials of every table: whose photo is anonymised, in which repetition, under which key.

A table lists its trials once. `fill` (jobs.py) makes all the faces that they need, then the table reads them.
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
    photo: int  # which of the person's photos is anonymised: 0 is x, 1 is x2
    repetition: int  # each has another key
    purpose: str  # names the key, for EvaluationContext.key
    bits: int  # length of the key

    @property
    def index(self) -> int:
        """Of the photo in the data set."""
        return self.person.photos[self.photo]

    @property
    def face(self) -> Virtual:
        """The virtual face."""
        return Virtual(self.index, self.purpose, self.bits)

    @property
    def regenerated(self) -> Virtual:
        """Scenario 1: the virtual face and its right key through HPVFG once more."""
        return Virtual(self.index, self.purpose, self.bits, rounds=2)


def trials_of(
    people: Sequence[pairs.Person], key_mode: str, repetitions: int, bits: int, photo: int = 0
) -> tuple[Trial, ...]:
    """Every person's virtual face in every repetition.

    With shared keys each repetition has one key for everyone; with own keys there is one repetition.

    Args:
        photo: which photo is anonymised; people who lack it are left out.
    """
    return tuple(
        Trial(person, photo, repetition, purpose_of(key_mode, repetition, person), bits)
        for repetition in range(rounds_of(key_mode, repetitions))
        for person in people
        if len(person.photos) > photo
    )


def photos_of(people: Sequence[pairs.Person]) -> list[Request]:
    """Every photo of these people, to be seen by the encoders and the judge."""
    return [Real(index) for person in people for index in person.photos]


def rounds_of(key_mode: str, repetitions: int) -> int:
    """How often everybody takes part."""
    return repetitions if key_mode == populations.SHARED else 1


def purpose_of(key_mode: str, repetition: int, person: pairs.Person) -> str:
    """The name of the key that a person has in a repetition."""
    return f"shared {repetition}" if key_mode == populations.SHARED else f"own {person.number}"
