"""The commands `authenticate` and `scenarios`: compare a virtual face with a photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
    PresetName,
    Threads,
    Virtual,
    key_of,
    load_stages,
    open_both,
    settings_of,
    show_json,
    warn,
)
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey
from kfaar_core.scenarios.populations import SCENARIOS

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.records import Photo


def authenticate(
    virtual: Virtual,
    original: Original,
    key: Key = None,
    preset: PresetName = "lab",
    method: MethodName = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Decide whether a virtual face shows the person of a photo, with or without the key."""
    settings = settings_of(preset, method)
    user_key = None if key is None else key_of(key)
    photos = open_both(virtual, original)
    from kfaar_core.servers import AuthenticationServer

    server = AuthenticationServer(load_stages(settings, device, threads))
    answer = server.authenticate(*photos, user_key)
    counts = [len(server.faces(photo)) for photo in photos]
    if max(counts) > 1:
        warn(
            f"the virtual picture shows {faces(counts[0])} and the photo {faces(counts[1])}; the answer is about the "
            f"pair that fits best: face {answer.faces[0]} of the first, face {answer.faces[1]} of the second "
            "(0 is the largest)"
        )
    if as_json:
        show_json({**asdict(answer), "cosine": float(answer.cosine), "same_person": bool(answer.same_person)})
    else:
        word = "the same person" if answer.same_person else "not the same person"
        typer.echo(
            f"{word}: cosine {answer.cosine:.3f}, threshold {answer.threshold:.3f} "
            f"({answer.compared}, d = {answer.dimension})"
        )


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
    preset: PresetName = "lab",
    method: MethodName = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Evaluate the four scenarios of Table VII for one virtual face and one photo."""
    settings = settings_of(preset, method)
    right = key_of(key)
    wrong = different_key(right) if wrong_key is None else key_of(wrong_key)
    if wrong == right:
        raise BadKey(got="the wrong key is the right one", mend="give another --wrong-key, or none")
    photos = open_both(virtual, original)
    results = outcomes(load_stages(settings, device, threads), *photos, right, wrong)
    if as_json:
        show_json([asdict(outcome) for outcome in results])
        return
    for outcome in results:
        word = "same person" if outcome.same_person else "not the same person"
        typer.echo(
            f"{outcome.scenario}  {outcome.title:<19} cosine {outcome.cosine:6.3f}  threshold {outcome.threshold:.3f}  "
            f"{word:<19}  {outcome.compared}"
        )


def different_key(key: UserKey) -> UserKey:
    """A random key of the same length that differs from `key`."""
    wrong = UserKey.generate(key.bits)
    return wrong if wrong != key else key.next()


def outcomes(stages: Stages, virtual: Photo, original: Photo, right: UserKey, wrong: UserKey) -> list[Outcome]:
    """Scenarios 1 to 4. The judge decides the first at its own threshold, KVFA decides the others."""
    from kfaar_core.image import from_array
    from kfaar_core.pipeline import AnonymiseRequest
    from kfaar_core.servers import AnonymisationServer, AuthenticationServer

    server = AuthenticationServer(stages)
    comparison = server.compare(virtual, original)
    first, second = comparison.with_key(right).faces  # the pair that the right key says is one person
    face, own = server.faces(virtual)[first], server.faces(original)[second]
    again = AnonymisationServer(stages).anonymise(AnonymiseRequest(photo=virtual, key=right, face=face))
    judged = float(stages.judge_cosines([original, from_array(again.portrait)], [own, "largest"])[0, 1])
    verdicts = [comparison.without_key(), comparison.with_key(wrong), comparison.with_key(right)]
    measured = [(judged, stages.judge_threshold), *((float(v.cosine), float(v.threshold)) for v in verdicts)]
    return [
        Outcome(entry.number, entry.title, entry.compared, cosine, threshold, cosine >= threshold)
        for entry, (cosine, threshold) in zip(SCENARIOS, measured, strict=True)
    ]
