"""Which picture goes where, settled before any work is done: nothing is overwritten or half-written by surprise."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfaar_core.errors import BadOutput, BadPicture

# Names that are looked for in a folder; what a file really is, image.open_photo decides.
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"))
PNG = ".png"


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


def places(photos: Sequence[Path], output: Path) -> list[Place]:
    """One photo goes to the file `output`; several, or a folder's, go into the folder `output`.

    Raises:
        BadPicture: a folder without pictures.
        BadOutput: a name that is no PNG's or no folder's, two photos for one name, a photo as its own output.
    """
    alone = len(photos) == 1 and not photos[0].is_dir()
    answer = [Place(photos[0], png(output))] if alone else into_folder(photos, output)
    for place in answer:
        if place.output.exists() and place.photo.exists() and place.output.samefile(place.photo):
            raise BadOutput(
                got=f"the output {place.output.name!r} is the photo itself", mend="choose another name or folder"
            )
    return answer


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


def into_folder(photos: Sequence[Path], folder: Path) -> list[Place]:
    """A place for every photo, and for every picture in a folder, below the output folder."""
    if folder.suffix.lower() in PICTURES or (folder.exists() and not folder.is_dir()):
        raise BadOutput(got=f"the output {folder.name!r} is a file's name", mend="name a folder for several photos")
    found: dict[Path, Path] = {}  # photo -> its place below the folder that it was found in
    for photo in photos:
        if photo.is_dir():
            inside = Path(photo.resolve().name) if len(photos) > 1 else Path()
            found.update({path: inside / relative for path, relative in pictures_in(photo, folder).items()})
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
    return answer


def with_png(name: Path) -> Path:
    """me.jpg -> me.jpg.png, for a folder that also has a me.png."""
    return name.with_name(f"{name.name}{PNG}")


def pictures_in(folder: Path, output: Path) -> dict[Path, Path]:
    """Pictures below a folder, in the order of their names, without hidden ones and without earlier results."""
    answer = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        result = path.resolve().is_relative_to(output.resolve())
        if path.suffix.lower() in PICTURES and path.is_file() and not hidden and not result:
            answer[path] = relative
    if not answer:
        raise BadPicture(got=f"the folder {folder.name!r} holds no pictures", mend="name one that holds photos")
    return answer


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
