"""The commands `authenticate` and `scenarios`: compare a virtual face with a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfaar_core.commands.options import (
    KEY_FORMS,
    Device,
    Json,
    Key,
    MethodName,
    NeededKey,
    Original,
    Person,
    PresetName,
    Threads,
    Virtual,
    key_of,
    load_stages,
    open_both,
    ring_of,
    settings_of,
    show_json,
    warn,
)
from kfaar_core.commands.run_keys import path_from
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey
from kfaar_core.scenarios.populations import SCENARIOS

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.records import Photo, Verdict
    from kfaar_core.servers import AuthenticationServer


def authenticate(
    virtual: Virtual,
    original: Original,
    key: Key = None,
    person: Person = None,
    preset: PresetName = "lab",
    method: MethodName = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Decide whether a virtual face shows the person of a photo, with or without the key.

    With a key file of several people, the key that it records for the picture is used. If the file does not know the
    picture, all its keys are tried.
    """
    settings = settings_of(preset, method)
    tried = [] if key is None else keys_for(key, person, virtual)
    photos = open_both(virtual, original)
    from kfaar_core.servers import AuthenticationServer

    server = AuthenticationServer(load_stages(settings, device, threads))
    answer, whose = answer_of(server, *photos, tried)
    if max(answer.among) > 1:
        warn(
            f"the virtual picture shows {faces(answer.among[0])} and the photo {faces(answer.among[1])}; the answer "
            f"is about the pair that fits best: face {answer.faces[0]} of the first, face {answer.faces[1]} of the "
            "second (0 is the largest)"
        )
    if as_json:
        record = {**asdict(answer), "cosine": float(answer.cosine), "same_person": bool(answer.same_person)}
        show_json({**record, "person": whose, "keys_tried": len(tried)})
    else:
        word = "the same person" if answer.same_person else "not the same person"
        typer.echo(
            f"{word}: cosine {answer.cosine:.3f}, threshold {answer.threshold:.3f} "
            f"({answer.compared}, d = {answer.dimension})" + said_of(whose, len(tried))
        )


@dataclass(frozen=True)
class PersonKey:
    """A key that a picture may have been made with."""

    label: str | None  # None: the key that was named, not a derived one
    key: UserKey = field(repr=False)


def keys_for(spec: str, person: str | None, virtual: Path) -> list[PersonKey]:
    """The keys to try on a virtual picture: one person's, those that the key file records for it, else all of the file.

    Raises:
        BadKey: see keyring.read_ring and keyring.derived_key.
    """
    ring = ring_of(spec)
    labels: tuple[str | None, ...] = (person,)
    if person is None:
        labels = ring.labels_of(path_from(Path(spec[1:]).expanduser(), virtual)) if ring.faces else ()
    return [PersonKey(label, ring.key(label)) for label in labels or ring.labels()]


def answer_of(
    server: AuthenticationServer, virtual: Photo, original: Photo, tried: Sequence[PersonKey]
) -> tuple[Verdict, str | None]:
    """The verdict with the key that fits best, and whose it is."""
    if len(tried) < 2:
        if not tried:
            return server.authenticate(virtual, original, None), None
        return server.authenticate(virtual, original, tried[0].key), tried[0].label
    comparison = server.compare(virtual, original)
    verdicts = [(comparison.with_key(one.key), one.label) for one in tried]
    return max(verdicts, key=lambda pair: pair[0].cosine - pair[0].threshold)


def said_of(whose: str | None, tried: int) -> str:
    """Which key an answer is about, where there was a choice."""
    name = "the master key itself" if whose is None else f"the key of {whose!r}"
    if tried > 1:
        return f"; with {name}, which fits best of the {tried} that were tried"
    return "" if whose is None else f"; with {name}"


def faces(count: int) -> str:
    """A number of faces in words."""
    return "one face" if count == 1 else f"{count} faces"


@dataclass(frozen=True)
class Outcome:
    """Result of one scenario of Table VII for one pair of pictures."""

    scenario: int  # 1 to 4
    title: str
    compared: str  # what is compared, in words
    cosine: float
    threshold: float
    same_person: bool  # cosine >= threshold


def scenarios(
    virtual: Virtual,
    original: Original,
    key: NeededKey,
    wrong_key: Annotated[
        str | None,
        typer.Option("--wrong-key", metavar="KEY", help=f"{KEY_FORMS}; random if not given"),
    ] = None,
    person: Person = None,
    preset: PresetName = "lab",
    method: MethodName = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Evaluate the four scenarios of Table VII for one virtual face and one photo."""
    settings = settings_of(preset, method)
    tried = keys_for(key, person, virtual)
    wrong = None if wrong_key is None else key_of(wrong_key)
    if wrong is not None and wrong in [one.key for one in tried]:
        raise BadKey(got="the wrong key is the right one", mend="give another --wrong-key, or none")
    photos = open_both(virtual, original)
    stages = load_stages(settings, device, threads)
    right = right_key(stages, *photos, tried)
    results = outcomes(stages, *photos, right.key, wrong or different_key(right.key))
    if as_json:
        show_json([asdict(outcome) for outcome in results])
        return
    for outcome in results:
        word = "same person" if outcome.same_person else "not the same person"
        typer.echo(
            f"{outcome.scenario}  {outcome.title:<19} cosine {outcome.cosine:6.3f}  threshold {outcome.threshold:.3f}  "
            f"{word:<19}  {outcome.compared}"
        )


def right_key(stages: Stages, virtual: Photo, original: Photo, tried: Sequence[PersonKey]) -> PersonKey:
    """The key that fits best; which one that was is said."""
    if len(tried) == 1:
        return tried[0]
    from kfaar_core.servers import AuthenticationServer

    _, whose = answer_of(AuthenticationServer(stages), virtual, original, tried)
    warn(f"the right key is taken to be {said_of(whose, len(tried)).removeprefix('; with ')}")
    return next(one for one in tried if one.label == whose)


def different_key(key: UserKey) -> UserKey:
    """A random key of the same length that differs from `key`."""
    wrong = UserKey.generate(key.bits)
    return wrong if wrong != key else key.next()


def outcomes(stages: Stages, virtual: Photo, original: Photo, right: UserKey, wrong: UserKey) -> list[Outcome]:
    """Scenarios 1 to 4. The judge decides the first at its own threshold, KVFA decides the others."""
    from kfaar_core.image import from_array
    from kfaar_core.pipeline import AnonymiseRequest
    from kfaar_core.servers import AnonymisationServer, AuthenticationServer

    comparison = AuthenticationServer(stages).compare(virtual, original)
    pair = comparison.with_key(right).faces  # that the right key says is one person
    face, own = (faces[number] for faces, number in zip(comparison.faces, pair, strict=True))
    again = AnonymisationServer(stages).anonymise(AnonymiseRequest(photo=virtual, key=right, face=face))
    judged = float(stages.judge_cosines([original, from_array(again.portrait)], [own, "largest"])[0, 1])
    verdicts = [comparison.without_key(), comparison.with_key(wrong), comparison.with_key(right)]
    measured = [(judged, stages.judge_threshold), *((float(v.cosine), float(v.threshold)) for v in verdicts)]
    return [
        Outcome(entry.number, entry.title, entry.compared, cosine, threshold, cosine >= threshold)
        for entry, (cosine, threshold) in zip(SCENARIOS, measured, strict=True)
    ]
