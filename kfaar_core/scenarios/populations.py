"""Names and definitions of the populations of trials in Tables VI and VII.

x is a person's photo, x2 another photo of the same person, y a photo of another person, k the right key, x_v the
virtual face of x under k. "same photo" compares with x, "other photo" with x2, "stranger" with y.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfaar_core.errors import BadSetting

SAME, OTHER = "same", "other"
STRANGER = "stranger"
PHOTOS = (OTHER, SAME)  # the order in tables: another photo first (design: protocol)

SHARED, OWN = "shared", "own"
KEY_MODES = {
    SHARED: "one key shared by everyone in a trial",
    OWN: "a key a person",
}
TRIALS = 8  # repetitions with other keys  [design, protocol]

IMPOSTOR = "impostor"


@dataclass(frozen=True)
class Scenario:
    """One authentication scenario of Table VII, in which a virtual face is compared with a photo."""

    number: int  # 1 to 4
    title: str
    compared: str  # which identities are compared, in the paper's symbols
    by_judge: bool = False  # decided by the judge (FR) at its own threshold, not by KVFA


SCENARIOS = (
    Scenario(1, "right key, no KVFA", "FR(x) with FR(the face regenerated from x_v and k)", by_judge=True),
    Scenario(2, "KVFA without key", "I(x) with the most similar read-out of x_v that needs no key"),
    Scenario(3, "KVFA, wrong key", "I(x) with I(x_v, another key)"),
    Scenario(4, "KVFA, right key", "I(x) with I(x_v, k): the genuine population"),
)
ATTACKS = (1, 2, 3)  # the scenarios with an attacker


def genuine(photo: str) -> str:
    """The name of the genuine population: I(x) (SAME) or I(x2) (OTHER) compared with I(x_v, k)."""
    return f"genuine {checked(photo)} photo"


def scenario(number: int, photo: str) -> str:
    """The name of the population of a scenario of Table VII. Scenario 4 is the genuine population.

    Args:
        number: of the scenario, 1 to 4.
        photo: which photo is compared with x_v: SAME (x), OTHER (x2), or STRANGER (y, as a reference).

    Raises:
        BadSetting: a scenario other than 1 to 4, or another photo.
    """
    if number not in (entry.number for entry in SCENARIOS):
        raise BadSetting(got=f"scenario {number}", mend="choose 1, 2, 3 or 4")
    if photo == STRANGER:
        return IMPOSTOR if number == 4 else f"scenario {number} {STRANGER}"
    return genuine(photo) if number == 4 else f"scenario {number} {checked(photo)} photo"


def kept_for(table: str) -> tuple[str, ...]:
    """The populations that an evaluation stores: those of the table, and for `VII` strangers in each scenario."""
    strangers = (scenario(number, STRANGER) for number in ATTACKS)  # those of scenario 4 are in Table VI
    return (*names_for(table), *(strangers if table == "VII" else ()))


def names_for(table: str) -> tuple[str, ...]:
    """The populations that table `VI` or `VII` is made from.

    Raises:
        BadSetting: another table.
    """
    if table == "VI":
        return (*(genuine(photo) for photo in PHOTOS), IMPOSTOR)
    if table == "VII":
        return tuple(scenario(entry.number, photo) for entry in SCENARIOS for photo in PHOTOS)
    raise BadSetting(got=f"the table {table!r}", mend="choose VI or VII")


def checked(photo: str) -> str:
    """Return `photo` if it is SAME or OTHER.

    Raises:
        BadSetting: another value.
    """
    if photo not in PHOTOS:
        raise BadSetting(got=f"the photo {photo!r}", mend="choose same or other")
    return photo
