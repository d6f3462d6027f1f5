"""The command `anonymise`: make virtual faces of photos, and key files if no key is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
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
    Person,
    PresetName,
    Threads,
    load_stages,
    pose,
    settings_of,
    show_json,
    warn,
)
from kfaar_core.commands.outputs import (
    OutputPath,
    check_folder,
    done_before,
    key_file,
    make_folder,
    output_paths,
    refuse_existing,
    refuse_other_keys,
    refuse_unusable,
)
from kfaar_core.commands.progress import PhotoProgress
from kfaar_core.commands.run_keys import COST, KeyWishes, PhotoKeys, RunKeys, path_from, recorded
from kfaar_core.errors import BadSetting, BadWeights, KfaarError
from kfaar_core.files import NewFile, write_together
from kfaar_core.mark import FORMATS
from kfaar_core.presets import Preset
from kfaar_core.records import Rejection

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.pipeline import AnonymiseRequest, Progress
    from kfaar_core.records import Photo, VirtualFace
    from kfaar_core.servers import AnonymisationServer


class Mode(StrEnum):
    """The names of pipeline.MODES, repeated because importing that module takes seconds."""

    portrait = "portrait"
    paste = "paste"


class PostureKept(StrEnum):
    """How exactly head pose and expression are kept."""

    exact = "exact"
    coarse = "coarse"


POSTURE = (
    "keep head pose and expression exactly, or left, ahead or right and a smile alone: an exact posture tells whoever "
    "holds many photos which one a face was made from"
)


class SomeFailed(KfaarError):
    """Some of several photos failed."""


class FacesLeft(KfaarError):
    """Faces that were seen are still in a pasted picture."""


@dataclass(frozen=True)
class Order:
    """The settings of a run, the same for every photo."""

    preset: Preset
    keys: RunKeys
    face: str | int
    mode: Mode
    side: int | None
    force: bool
    device: str
    threads: int
    refine: bool
    coarse: bool

    @cached_property
    def stages(self) -> Stages:
        """The networks, loaded after the first photo has been opened."""
        return load_stages(self.preset, self.device, self.threads)

    @cached_property
    def server(self) -> AnonymisationServer:
        """The server on these networks."""
        from kfaar_core.servers import AnonymisationServer

        return AnonymisationServer(self.stages)


@dataclass(frozen=True)
class Answer:
    """One virtual face and its files."""

    target: OutputPath
    output: Path
    key: Path | None  # the key file, if there is one
    person: str | None  # label of the derived key; None: the key of the run itself
    number: int  # index of the face in the photo, 0 being the largest
    face: VirtualFace
    left: int  # faces that stay in the pasted picture as they were

    def record(self) -> dict[str, Any]:
        """The JSON object of `anonymise --json`."""
        face = self.face
        return {
            "input": str(self.target.photo),
            "output": str(self.output),
            "key_file": None if self.key is None else str(self.key),
            "person": self.person,
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
        """One line of text for the terminal."""
        face = self.face
        before, after = pose(face.posture_original), pose(face.posture_after)
        gaps = ", ".join(f"{name} {abs((after[name] - before[name] + 180) % 360 - 180):.1f}" for name in before)
        word = "anonymous" if face.anonymous else "NOT anonymous"
        return (
            f"{self.output}: {word} (judge {face.judge_cosine:.3f}, limit {face.judge_threshold:.3f}); "
            f"off in degrees: {gaps}; {sum(face.seconds.values()):.2f} s"
            + (f"; key in {self.key}" if self.key is not None else "")
            + (f", as {self.person!r}" if self.person is not None else "")
        )


def anonymise(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="photos, or folders of photos")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT", help="a .png, .jpg or .webp; a folder for several photos")
    ],
    key: Key = None,
    person: Person = None,
    one_key: Annotated[
        bool, typer.Option("--one-key", help="the same key for all faces: see docs/security.md")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="another stranger in each picture: nothing to link")] = False,
    stateless: Annotated[
        bool, typer.Option("--stateless", help="forget each photo: a named person's photos look less alike")
    ] = False,
    preset: PresetName = "lab",
    method: MethodName = None,
    face: Annotated[
        str, typer.Option("--face", metavar="largest|central|all|N", help="N counts from 0, the largest")
    ] = "largest",
    mode: Annotated[
        Mode, typer.Option("--mode", metavar="portrait|paste", help="the portrait alone, or pasted into the photo")
    ] = Mode.portrait,
    quick: Annotated[bool, typer.Option("--quick", help="skip the refinement (hashed)")] = False,
    posture: Annotated[
        PostureKept, typer.Option("--posture", metavar="exact|coarse", help=POSTURE)
    ] = PostureKept.exact,
    size: Annotated[int | None, typer.Option("--size", metavar="512|1024", help="pixels of the portrait")] = None,
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Anonymise photos. Without --key, a new key is made and saved as OUT.key.

    Of several photos, each person gets a key derived from a master key. In a folder of PERSON/photo.jpg, each inner
    folder is one person; every other photo counts as a person of its own. OUT/kfaar.keys.json stores the master key and
    whose key each picture has. Whoever has this file can undo every picture. Photos that an earlier run finished are
    skipped, unless --force is given.

    The first photo of a person with a name (an inner folder's, or --person) is enrolled in the key file: later photos
    show the same virtual person and take less time. A photo of somebody else under that name is refused.
    """
    settings, which = settings_of(preset, method), face_of(face)
    alone = len(photos) == 1 and not photos[0].is_dir()
    wishes = KeyWishes(key, person, one_key, fresh, which == "all", alone, stateless)
    wishes.check()
    targets, left_out = output_paths(photos, output)
    home = wishes.home(output)
    before = [] if alone or force else [target for target in targets if done_before(target, kept_by(wishes, home))]
    wanted = [target for target in targets if target not in before]
    check_outputs(candidates(wanted, which), output, wishes, home, force)
    keys = RunKeys.open(wishes, home)
    if not wishes.derived and key is not None:
        refuse_other_keys(candidates(targets, which), keys.ring.master)
    if one_key:
        warn(COST)
    order = Order(settings, keys, which, mode, size, force, device, threads, not quick, posture == PostureKept.coarse)
    failed = left = 0
    with PhotoProgress(len(wanted)) as progress:
        bar = progress.bar
        for target in wanted:
            try:
                answers = anonymise_one(target, order, progress.stage)
            except (BadSetting, BadWeights):  # the same for every photo
                raise
            except Exception as error:
                if len(targets) == 1:
                    raise
                failed += 1
                tell(bar, f"{target.photo}: {sentence_of(error)}")
            else:
                show(answers, bar, as_json)
                left += answers[-1].left
            progress.photo_done()
    if left_out:
        warn(
            f"{left_out} other {'file was' if left_out == 1 else 'files were'} left out, no pictures by name or hidden"
        )
    inside = {target.person for target in targets if target.person != target.name}
    if inside and wishes.derived and person is None and not fresh and which != "all":
        count = (
            "one folder counts as one person" if len(inside) == 1 else f"{len(inside)} folders count as one person each"
        )
        warn(f"{count}, so all photos in such a folder share a key; --fresh gives each picture its own")
    if before:
        warn(f"{len(before)} of {len(targets)} photos were done before and stay as they are; --force makes them anew")
    if failed:
        raise SomeFailed(
            got=f"{failed} of {len(wanted)} photos failed",
            mend="mend what is said about each above and repeat the command; the others stay as they are",
        )
    if left:
        some = "1 face is" if left == 1 else f"{left} faces are"
        raise FacesLeft(
            got=f"the pictures are written, and {some} still in them as before",
            mend="use --face all, or cover them by other means before the pictures are passed on",
        )


def face_of(text: str) -> str | int:
    """Parse --face: largest, central, all, or an index from 0.

    Raises:
        BadSetting: another value.
    """
    if text in ("largest", "central", "all"):
        return text
    if text.isascii() and text.isdigit() and len(text) < 6:
        return int(text)
    raise BadSetting(
        got="the value of --face is unknown", mend="choose largest, central, all, or a number from 0 (the largest)"
    )


def candidates(wanted: Sequence[OutputPath], face: str | int) -> list[Path]:
    """The pictures that will be written, as far as is known before faces are detected."""
    return [*(target.output for target in wanted), *(target.numbered(1) for target in wanted if face == "all")]


def kept_by(wishes: KeyWishes, home: Path | None) -> Callable[[Path], bool]:
    """Whether the key of a picture that is there already can be found: in the key file, or beside it."""
    known = recorded(home)

    def kept(picture: Path) -> bool:
        if home is not None and path_from(home, picture) in known:
            return True
        return key_file(picture).is_file() if wishes.spec is None else home is None

    return kept


def check_outputs(pictures: Sequence[Path], output: Path, wishes: KeyWishes, home: Path | None, force: bool) -> None:
    """Check the outputs before a network is loaded or a passphrase is asked for.

    Raises:
        BadOutput: an output exists and `force` is false, its folder is missing or not writable, or its name is invalid.
    """
    if wishes.alone:
        check_folder(output.parent)
    elif output.is_dir():
        check_folder(output)
    files = [*pictures, *map(key_file, pictures)] if wishes.spec is None else pictures
    if home is not None and not wishes.goes_on(home):
        files = [*files, home]
    refuse_unusable(files)
    if not force:
        refuse_existing(files)


def anonymise_one(target: OutputPath, order: Order, progress: Progress) -> list[Answer]:
    """Anonymise one photo and write its pictures and key files: all of them, or none."""
    from kfaar_core.image import open_photo

    photo = open_photo(target.photo)
    keys = PhotoKeys(order.keys, target)
    faces = virtual_faces(photo, order, keys, progress)
    pasted = order.mode == Mode.paste
    left = len(order.server.faces(photo)) - len(faces) if pasted else 0
    faces = [*faces[:-1], with_rest(faces[-1], left)]
    single = len(faces) == 1 or pasted
    outputs = [target.output if single else target.numbered(number) for number in range(1, len(faces) + 1)]
    first = order.face if isinstance(order.face, int) else 0
    answers = [
        Answer(target, output, keys.file(output), keys.label(number), first + number, face, max(0, left))
        for number, (output, face) in enumerate(zip(outputs, faces, strict=True))
    ]
    write(answers, keys, pasted, order.force)
    return answers


def virtual_faces(photo: Photo, order: Order, keys: PhotoKeys, progress: Progress) -> list[VirtualFace]:
    """The virtual faces of one photo. A rejected face gets another key, unless the key is given."""
    from kfaar_core.pipeline import AnonymiseRequest

    server = order.server
    key_of = keys.key_of if order.keys.wishes.derived else None
    request = AnonymiseRequest(
        photo=photo,
        key=order.keys.ring.master,
        face=order.face,
        mode=order.mode.value,
        side=order.side,
        refine=order.refine,
        coarse=order.coarse,
        rekey=keys.tries(order.preset.rekey_tries),
    )
    if order.face == "all":
        if order.mode == Mode.portrait:
            return server.anonymise_all(request, progress, key_of)
        together = key_of is None  # one key, and so the same next key
        faces = (
            one_key_for_all(server, request, progress) if together else server.anonymise_all(request, progress, key_of)
        )
    elif keys.enrols():
        faces = [person_face(order, request, keys, progress)]
    else:
        faces = [server.anonymise(request, progress, key_of)]
    return faces


def person_face(order: Order, request: AnonymiseRequest, keys: PhotoKeys, progress: Progress) -> VirtualFace:
    """The virtual face of a person who is enrolled by their first photo, and looks the same in all later ones.

    Raises:
        OtherPerson: the photo shows somebody else than the first one did.
        BadKey: the person was enrolled with other networks.
    """
    from kfaar_core.enrolment import opened, sealed

    stages, before = order.stages, keys.enrolled()
    if before is not None:
        known = opened(before, keys.key_of(0, 0), stages.fingerprint)
        return order.server.anonymise(replace(request, person=known), progress, keys.key_of)
    face, person = order.server.enrol(request, progress, keys.key_of)
    if person is not None:
        keys.enrol(0, sealed(person, face.key, stages.fingerprint))
    return face


def with_rest(face: VirtualFace, left: int) -> VirtualFace:
    """The face with a warning if `left` other faces of the photo are not anonymised."""
    if left <= 0:
        return face
    words = f"{left} other {'face is' if left == 1 else 'faces are'} still in the picture as before; see --face"
    return replace(face, warnings=(*face.warnings, words))


def one_key_for_all(server: AnonymisationServer, request: AnonymiseRequest, progress: Progress) -> list[VirtualFace]:
    """Anonymise all faces of a photo with one key. If one is rejected, all of them get the next key."""
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
    """Notes on a virtual face for the user, clauses without a full stop."""
    said = list(face.warnings)
    if face.rekeyed:
        passed = "the face of one key was" if face.rekeyed == 1 else f"the faces of {face.rekeyed} keys were"
        said.append(f"{passed} rejected; key number {face.rekeyed + 1} is in force")
    if face.rejection:
        said.append(REJECTIONS[face.rejection])
    return said


def write(answers: Sequence[Answer], keys: PhotoKeys, pasted: bool, force: bool) -> None:
    """Write pictures and their key files, all of them or none. Keys first: a picture is lost without its key."""
    from kfaar_core.image import encoded

    ring = keys.record([(answer.output, answer.face) for answer in answers])
    files = [] if ring is None else [ring]
    for answer in answers[-1:] if pasted else answers:
        if ring is None and answer.key is not None:
            files.append(NewFile(answer.key, answer.face.key.content(), private=True))
        else:
            refuse_other_keys([answer.output], answer.face.key, keys.run.home)
        content = encoded(answer.face.picture, FORMATS[answer.output.suffix.lower()], pasted)
        files.append(NewFile(answer.output, content))
    for file in files:
        make_folder(file.path.parent)
    write_together(files, force=force)
    keys.written()


def show(answers: Sequence[Answer], bar: tqdm, as_json: bool) -> None:
    """Print the result of one photo to standard output, and notes to standard error."""
    for answer in answers:
        for words in remarks(answer.face):
            offer = "" if answer.key is not None or "next key" not in words else ", such as one that keygen makes"
            tell(bar, f"{answer.output}: note: {words.rstrip('.')}{offer}.")
        with bar.external_write_mode(file=sys.stdout):
            show_json(answer.record()) if as_json else typer.echo(answer.line())


def tell(bar: tqdm, words: str) -> None:
    """Print a line to standard error, above the progress bar."""
    with bar.external_write_mode(file=sys.stderr):
        typer.echo(words, err=True)
