"""anonymise: photos in, virtual faces and, where none was given, their keys out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm

from kfaar_core.commands.group import sentence_of
from kfaar_core.commands.options import (
    Device,
    Force,
    Json,
    Key,
    MethodName,
    PresetName,
    Threads,
    key_of,
    load_stages,
    pose,
    settings_of,
    show_json,
    warn,
)
from kfaar_core.commands.places import (
    CHUNKS,
    Place,
    check_folder,
    done_before,
    key_file,
    make_folder,
    places,
    refuse_existing,
    refuse_other_keys,
    refuse_unusable,
)
from kfaar_core.errors import BadSetting, BadWeights, KfaarError
from kfaar_core.files import NewFile, write_together
from kfaar_core.keys import UserKey
from kfaar_core.presets import Preset
from kfaar_core.records import Rejection

if TYPE_CHECKING:
    from kfaar_core.pipeline import AnonymiseRequest, Progress
    from kfaar_core.records import Photo, VirtualFace
    from kfaar_core.servers import AnonymisationServer


class Mode(StrEnum):
    """Names of pipeline.MODES, here because that module takes seconds to import."""

    portrait = "portrait"
    paste = "paste"


class SomeFailed(KfaarError):
    """Several photos, not all of which became virtual faces."""


@dataclass(frozen=True)
class Order:
    """What is done with every photo of a run."""

    preset: Preset
    key: UserKey | None  # None: one is made for each photo
    face: str | int
    mode: Mode
    side: int | None
    force: bool
    device: str
    threads: int
    refine: bool

    @cached_property
    def server(self) -> AnonymisationServer:
        """Made when the first photo turns out to be one."""
        from kfaar_core.servers import AnonymisationServer

        return AnonymisationServer(load_stages(self.preset, self.device, self.threads))


@dataclass(frozen=True)
class Answer:
    """One virtual face and where it went."""

    place: Place
    output: Path
    key: Path | None  # the file of a key that was made
    number: int  # of the face in the photo, 0 being the largest
    face: VirtualFace

    def record(self) -> dict[str, Any]:
        """The JSON object of `anonymise --json`."""
        face = self.face
        return {
            "input": str(self.place.photo),
            "output": str(self.output),
            "key_file": None if self.key is None else str(self.key),
            "face": self.number,
            "rekeyed": face.rekeyed,
            "pose_original": pose(face.posture_original),
            "pose_before": pose(face.posture_before),
            "pose_after": pose(face.posture_after),
            "judge_cosine": round(face.judge_cosine, 6),
            "judge_threshold": round(face.judge_threshold, 6),
            "anonymous": bool(face.anonymous),
            "look_distance": round(face.look_distance, 6),
            "kvfa_cosine": face.reading and round(face.reading.cosine, 6),
            "kvfa_threshold": face.reading and round(face.reading.threshold, 6),
            "seconds": {stage: round(seconds, 4) for stage, seconds in face.seconds.items()},
            "warnings": remarks(face),
        }

    def line(self) -> str:
        """The same for a reader."""
        face = self.face
        before, after = pose(face.posture_original), pose(face.posture_after)
        gaps = ", ".join(f"{name} {abs((after[name] - before[name] + 180) % 360 - 180):.1f}" for name in before)
        word = "anonymous" if face.anonymous else "NOT anonymous"
        return (
            f"{self.output}: {word} (judge {face.judge_cosine:.3f}, limit {face.judge_threshold:.3f}); "
            f"off in degrees: {gaps}; {sum(face.seconds.values()):.2f} s"
            + (f"; key in {self.key}" if self.key is not None else "")
        )


def anonymise(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="photos, or folders of photos")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="a .png; a folder for several photos")],
    key: Key = None,
    preset: PresetName = "lab",
    method: MethodName = None,
    face: Annotated[
        str, typer.Option("--face", metavar="largest|central|all|N", help="N counts from 0, the largest")
    ] = "largest",
    mode: Annotated[
        Mode, typer.Option("--mode", metavar="portrait|paste", help="the portrait alone, or pasted back")
    ] = Mode.portrait,
    quick: Annotated[bool, typer.Option("--quick", help="leave out the refinement (hashed)")] = False,
    size: Annotated[int | None, typer.Option("--size", metavar="512|1024", help="pixels of the portrait")] = None,
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Give every photo a virtual face. Without --key a key is made and kept beside the output as OUT.key.

    Of several photos, those that an earlier run finished are left as they are, unless --force is given.
    """
    settings, which = settings_of(preset, method), face_of(face)
    found, left_out = places(photos, output)
    alone = len(photos) == 1 and not photos[0].is_dir()
    before = [] if alone or force else [place for place in found if done_before(place, key is None)]
    wanted = [place for place in found if place not in before]
    check_outputs(wanted, photos, output, key is None, which, force)
    given = None if key is None else key_of(key)
    if given is not None:
        refuse_other_keys(candidates(found, which), given)
    order = Order(settings, given, which, mode, size, force, device, threads, not quick)
    failed = 0
    with tqdm(total=len(wanted), unit="photo", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:
        for place in wanted:
            try:
                answers = anonymise_one(
                    place, order, lambda stage, done, of: bar.set_postfix_str(stage, refresh=done == 0)
                )
            except (BadSetting, BadWeights):  # the same for every photo
                raise
            except Exception as error:
                if len(found) == 1:
                    raise
                failed += 1
                tell(bar, f"{place.photo}: {sentence_of(error)}")
            else:
                show(answers, bar, as_json)
            bar.update()
    if left_out:
        warn(
            f"{left_out} other {'file was' if left_out == 1 else 'files were'} left out, no pictures by name or hidden"
        )
    if before:
        warn(f"{len(before)} of {len(found)} photos were done before and stay as they are; --force makes them anew")
    if failed:
        raise SomeFailed(
            got=f"{failed} of {len(wanted)} photos failed",
            mend="mend what is said about each above and repeat the command; the others stay as they are",
        )


def face_of(text: str) -> str | int:
    """largest, central, all, or a number from 0.

    Raises:
        BadSetting: something else.
    """
    if text in ("largest", "central", "all"):
        return text
    if text.isascii() and text.isdigit() and len(text) < 6:
        return int(text)
    raise BadSetting(
        got="the value of --face is unknown", mend="choose largest, central, all, or a number from 0 (the largest)"
    )


def candidates(wanted: Sequence[Place], face: str | int) -> list[Path]:
    """Every picture that may be written, as far as it is known before the faces are counted."""
    return [*(place.output for place in wanted), *(place.numbered(1) for place in wanted if face == "all")]


def check_outputs(
    wanted: Sequence[Place], photos: Sequence[Path], output: Path, makes_key: bool, face: str | int, force: bool
) -> None:
    """Refuse what cannot be written, before a network is loaded or a passphrase asked for.

    Raises:
        BadOutput: an output exists and not `force`; its folder is missing or closed to us, or takes no such name.
    """
    alone = len(photos) == 1 and not photos[0].is_dir()
    if alone:
        check_folder(output.parent)
    elif output.is_dir():
        check_folder(output)
    pictures = candidates(wanted, face)
    files = [*pictures, *map(key_file, pictures)] if makes_key else pictures
    refuse_unusable(files)
    if not force:
        refuse_existing(files)


def anonymise_one(place: Place, order: Order, progress: Progress) -> list[Answer]:
    """One photo: its picture or pictures and its new keys are all there afterwards, or none of them is."""
    from kfaar_core.image import open_photo

    photo = open_photo(place.photo)
    faces = virtual_faces(photo, order, progress)
    pasted = order.mode == Mode.paste
    single = len(faces) == 1 or pasted
    outputs = [place.output if single else place.numbered(number) for number in range(1, len(faces) + 1)]
    kept = [key_file(path) if order.key is None else None for path in outputs]
    first = order.face if isinstance(order.face, int) else 0
    answers = [
        Answer(place, output, key, first + number, face)
        for number, (output, key, face) in enumerate(zip(outputs, kept, faces, strict=True))
    ]
    write(answers[-1:] if pasted else answers, order.force)
    return answers


def virtual_faces(photo: Photo, order: Order, progress: Progress) -> list[VirtualFace]:
    """The faces of one photo. A key that was made may be passed over for its next one, a given key never."""
    from kfaar_core.pipeline import AnonymiseRequest

    server, tries = order.server, order.preset.rekey_tries if order.key is None else 0
    request = AnonymiseRequest(
        photo=photo,
        key=order.key or UserKey.generate(order.preset.key_bits),
        face=order.face,
        mode=order.mode.value,
        side=order.side,
        refine=order.refine,
        rekey=tries,
    )
    if order.face == "all":
        if order.mode == Mode.portrait:
            return server.anonymise_all(request, progress)
        found = one_key_for_all(server, request, progress)
    else:
        found = [server.anonymise(request, progress)]
    if order.mode == Mode.portrait:
        return found
    return [*found[:-1], with_rest(found[-1], len(server.faces(photo)) - len(found))]


def with_rest(face: VirtualFace, left: int) -> VirtualFace:
    """What is pasted back, with a word about the faces that can still be recognised beside it."""
    if left <= 0:
        return face
    words = f"{left} other {'face is' if left == 1 else 'faces are'} still in the picture as before; see --face"
    return replace(face, warnings=(*face.warnings, words))


def one_key_for_all(server: AnonymisationServer, request: AnonymiseRequest, progress: Progress) -> list[VirtualFace]:
    """All faces of one picture under one key, so that one key file belongs to it: they take the next key together."""
    request, tries, rekeyed = replace(request, rekey=0), request.rekey, 0
    faces = server.anonymise_all(request, progress)
    while rekeyed < tries and any(face.rejection for face in faces):
        request, rekeyed = replace(request, key=request.key.next()), rekeyed + 1
        faces = server.anonymise_all(request, progress)
    return [replace(face, rekeyed=rekeyed) for face in faces]


REJECTIONS: Mapping[Rejection, str] = {
    Rejection.NO_FACE: "no face can be made out in the virtual picture; take the next key",
    Rejection.TOO_CLOSE: "the virtual face is close to the photo; take the next key",
    Rejection.NOT_READ: "the key does not read the original identity from the virtual face; take the next key",
    Rejection.READ_WITHOUT_KEY: (
        "the original identity can be read from the virtual face without a key; take the next key"
    ),
}


def remarks(face: VirtualFace) -> list[str]:
    """Sentences about a virtual face for the user, without a full stop."""
    said = list(face.warnings)
    if face.rekeyed:
        passed = "the face of one key was" if face.rekeyed == 1 else f"the faces of {face.rekeyed} keys were"
        said.append(f"{passed} rejected; key number {face.rekeyed + 1} is in force")
    if face.rejection:
        said.append(REJECTIONS[face.rejection])
    return said


def write(answers: Sequence[Answer], force: bool) -> None:
    """Pictures and their new keys, all of them or none; keys first: a picture without its key could never be undone."""
    from kfaar_core.image import png_bytes

    files = []
    for answer in answers:
        if answer.key is not None:
            files.append(NewFile(answer.key, answer.face.key.content(), private=True))
        else:
            refuse_other_keys([answer.output], answer.face.key)
        files.append(NewFile(answer.output, png_bytes(answer.face.picture, CHUNKS)))
    make_folder(answers[0].output.parent)
    write_together(files, force=force)


def show(answers: Sequence[Answer], bar: tqdm, as_json: bool) -> None:
    """The result of one photo on standard output, what is remarkable about it on standard error."""
    for answer in answers:
        for words in remarks(answer.face):
            offer = "" if answer.key is not None or "next key" not in words else ", such as one that keygen makes"
            tell(bar, f"{answer.output}: note: {words.rstrip('.')}{offer}.")
        with bar.external_write_mode(file=sys.stdout):
            show_json(answer.record()) if as_json else typer.echo(answer.line())


def tell(bar: tqdm, words: str) -> None:
    """A line on standard error above the bar."""
    with bar.external_write_mode(file=sys.stderr):
        typer.echo(words, err=True)
