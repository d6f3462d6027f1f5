"""Which picture goes where, settled before any work is done: nothing is overwritten or half-written by surprise."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfaar_core.errors import BadKey, BadOutput, BadPicture
from kfaar_core.keys import UserKey

# Endings that are looked for in a folder. What a file really is, image.open_photo decides: of the second group it reads
# none, and says so of each, because a photo that stays as it is must never go unnoticed.
READ = ".jpg .jpeg .jpe .jfif .png .apng .webp .avif .heic .heif .hif .tif .tiff .bmp .dib .gif .ppm .pgm .pbm .pnm"
UNREAD = ".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .psd .jxl .jp2 .j2k .tga .ico .svg .eps .pcx .exr .hdr .pfm .xcf"
PICTURES = frozenset((*READ.split(), *UNREAD.split()))
PNG = ".png"
CHUNKS = {"Software": "kfaar", "Comment": "synthetic face"}  # in every picture that is written


@dataclass(frozen=True)
class Place:
    """One photo and the picture that it becomes."""

    photo: Path
    output: Path

    def numbered(self, number: int) -> Path:
        """The output of one of several faces, counted from 1."""
        return self.output.with_name(f"{self.output.stem}-{number}{self.output.suffix}")


def key_file(output: Path) -> Path:
    """Where the key of an output is kept."""
    return output.with_name(f"{output.name}.key")


def places(photos: Sequence[Path], output: Path) -> tuple[list[Place], int]:
    """One photo goes to the file `output`; several, or a folder's, go into the folder `output`.

    Returns:
        What goes where, and how many files of the folders are no pictures by their names, or hidden.
    Raises:
        BadPicture: a folder without pictures.
        BadOutput: a name that is no PNG's or no folder's, two photos for one name, a photo as its own output.
    """
    alone = len(photos) == 1 and not photos[0].is_dir()
    answer, left_out = ([Place(photos[0], png(output))], 0) if alone else into_folder(photos, output)
    refuse_unusable(place.output for place in answer)
    for place in answer:
        if place.output.exists() and place.photo.exists() and place.output.samefile(place.photo):
            raise BadOutput(
                got=f"the output {place.output.name!r} is the photo itself", mend="choose another name or folder"
            )
    return answer, left_out


def png(output: Path) -> Path:
    """The path itself, when it is a PNG's.

    Raises:
        BadOutput: another ending. JPEG would change the pixels on which a verdict rests.
    """
    if output.suffix.lower() != PNG:
        raise BadOutput(
            got=f"the output {output.name!r} does not end in .png",
            mend="give a name that does; other formats change the pixels on which a verdict rests",
        )
    return output


def into_folder(photos: Sequence[Path], folder: Path) -> tuple[list[Place], int]:
    """A place for every photo, and for every picture in a folder, below the output folder; and what is left out."""
    if folder.suffix.lower() in PICTURES or (folder.exists() and not folder.is_dir()):
        raise BadOutput(got=f"the output {folder.name!r} is a file's name", mend="name a folder for several photos")
    found: dict[Path, Path] = {}  # photo -> its place below the folder that it was found in
    left_out = 0
    for photo in photos:
        if photo.is_dir():
            inside = Path(photo.resolve().name) if len(photos) > 1 else Path()
            pictures, others = pictures_in(photo, folder)
            found.update({path: inside / relative for path, relative in pictures.items()})
            left_out += others
        else:
            found[photo] = Path(photo.name)
    crowded = Counter(relative.with_suffix(PNG) for relative in found.values())
    answer = [
        Place(
            photo,
            folder / (with_png(relative) if crowded[relative.with_suffix(PNG)] > 1 else relative.with_suffix(PNG)),
        )
        for photo, relative in found.items()
    ]
    twice = [output for output, count in Counter(place.output for place in answer).items() if count > 1]
    if twice:
        raise BadOutput(
            got=f"two photos would both become {twice[0].name!r}",
            mend="rename one, or give each folder a run and an output of its own",
        )
    return answer, left_out


def with_png(name: Path) -> Path:
    """me.jpg -> me.jpg.png, for a folder that also has a me.png."""
    return name.with_name(f"{name.name}{PNG}")


def pictures_in(folder: Path, output: Path) -> tuple[dict[Path, Path], int]:
    """Pictures below a folder in the order of their names, without earlier results, and how many other files there are.

    A hidden file is another file, a hidden folder is not looked into.
    """
    answer, others = {}, 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if (
            any(part.startswith(".") for part in relative.parts[:-1])
            or not path.is_file()
            or result(path, output, folder)
        ):
            continue
        if path.suffix.lower() in PICTURES and not path.name.startswith("."):
            answer[path] = relative
        else:
            others += 1
    if not answer:
        raise BadPicture(got=f"the folder {folder.name!r} holds no pictures", mend="name one that holds photos")
    return answer, others


def result(path: Path, output: Path, folder: Path) -> bool:
    """Whether a run with this output made the file: everything in an output folder that lies within the photos' own.

    Where photos and results share a folder, the mark that the results carry tells them apart.
    """
    into, photos = output.resolve(), folder.resolve()
    if not path.resolve().is_relative_to(into):
        return False
    if photos in into.parents:
        return True
    return marked(path) or (path.suffix == ".key" and marked(path.with_suffix("")))


def marked(path: Path) -> bool:
    """Whether the file is a picture that this program wrote."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return CHUNKS.items() <= picture.info.items()
    except Exception:  # no PNG, or a damaged one
        return False


def done_before(place: Place, makes_key: bool) -> bool:
    """Whether an earlier run finished this photo: the picture is there, or its first face's, and a key."""
    return any(
        marked(output) and (not makes_key or key_file(output).is_file()) for output in (place.output, place.numbered(1))
    )


def refuse_other_keys(outputs: Iterable[Path], key: UserKey) -> None:
    """An output's key file that holds another key would look like its key; it may be the only copy, so it stays.

    Raises:
        BadOutput: there is one.
    """
    for output in outputs:
        path = key_file(output)
        try:
            other = os.path.lexists(path) and UserKey.load(path) != key
        except BadKey:
            other = True
        if other:
            raise BadOutput(
                got=f"the file {path.name!r} holds another key than --key, and would look like the key of this picture",
                mend="move it away, or choose another output",
            )


def refuse_existing(paths: Iterable[Path]) -> None:
    """What `--force` is asked for.

    Raises:
        BadOutput: one of the files exists; a link counts.
    """
    existing = [path for path in paths if os.path.lexists(path)]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise BadOutput(
            got=f"the output {existing[0].name!r} exists already{more}", mend="choose another name, or add --force"
        )


def refuse_unusable(paths: Iterable[Path]) -> None:
    """Raises BadOutput when the file system takes no such name, which `--face all` and a key's ending make longer."""
    for path in paths:
        folder = next((parent for parent in path.parents if parent.is_dir()), Path())
        try:
            os.lstat(folder / path.name)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a usable file name"
            raise BadOutput(
                got=f"the output {path.name!r} cannot be written ({reason})", mend="choose another name"
            ) from None


def check_folder(folder: Path) -> None:
    """Raises BadOutput when nothing can be written there."""
    if not folder.is_dir():
        raise BadOutput(
            got=f"the folder {folder.name!r} for the output does not exist", mend="make it first, or choose another one"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadOutput(got=f"the folder {folder.name!r} cannot be written", mend="choose one that you may write to")


def make_folder(folder: Path) -> None:
    """The folder of an output, made when it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOutput(
            got=f"the folder {folder.name!r} cannot be made ({error.strerror})", mend="choose another output"
        ) from None
