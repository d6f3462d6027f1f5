"""Output paths. They are checked before any work starts, and existing files are never overwritten by accident."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfaar_core.errors import BadKey, BadOutput, BadPicture
from kfaar_core.keyring import unwritable
from kfaar_core.keys import UserKey
from kfaar_core.mark import FORMATS, marked

# File suffixes that count as pictures in a folder. image.open_photo cannot read the second group. They are listed too,
# to give an error for each: a photo that is not anonymised must not go unnoticed.
READ = ".jpg .jpeg .jpe .jfif .png .apng .webp .avif .heic .heif .hif .tif .tiff .bmp .dib .gif .ppm .pgm .pbm .pnm"
UNREAD = ".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .psd .jxl .jp2 .j2k .tga .ico .svg .eps .pcx .exr .hdr .pfm .xcf"
PICTURES = frozenset((*READ.split(), *UNREAD.split()))
PNG = ".png"  # of every picture in a folder; it keeps all pixels that a verdict depends on
KEY_FILE = "kfaar.keys.json"  # of a run with several photos, in its output folder


@dataclass(frozen=True)
class OutputPath:
    """A photo and the path of its virtual picture."""

    photo: Path
    output: Path
    name: str  # of the photo, unique in the run
    person: str  # label of the person that it counts as: its folder inside the one that was named, else its name

    def numbered(self, number: int) -> Path:
        """The output path of face `number` of several, counted from 1: OUT-1.png."""
        return self.output.with_name(f"{self.output.stem}-{number}{self.output.suffix}")


def key_file(output: Path) -> Path:
    """The path of an output's key file."""
    return output.with_name(f"{output.name}.key")


def output_paths(photos: Sequence[Path], output: Path) -> tuple[list[OutputPath], int]:
    """Choose the output path of each photo.

    Args:
        photos: files or folders of photos.
        output: the file for a single photo; otherwise a folder.

    Returns:
        The output paths, and the number of files in the folders that are not pictures or are hidden.

    Raises:
        BadPicture: a folder without pictures.
        BadOutput: a file name of another format, a folder name that is a file's, two photos with the same
            output, or a photo that is its own output.
    """
    alone = len(photos) == 1 and not photos[0].is_dir()
    if alone:
        targets, left_out = [OutputPath(photos[0], picture_file(output), photos[0].name, photos[0].name)], 0
    else:
        targets, left_out = into_folder(photos, output)
    refuse_unusable(target.output for target in targets)
    for target in targets:
        if target.output.exists() and target.photo.exists() and target.output.samefile(target.photo):
            raise BadOutput(
                got=f"the output {target.output.name!r} is the photo itself", mend="choose another name or folder"
            )
    return targets, left_out


def picture_file(output: Path) -> Path:
    """Return the path if its suffix is one of a format that is written.

    Raises:
        BadOutput: another suffix.
    """
    if output.suffix.lower() not in FORMATS:
        raise BadOutput(
            got=f"the output {output.name!r} does not end in .png, .jpg or .webp",
            mend="give a name that does; .png and .webp keep all pixels that a verdict depends on",
        )
    return output


def into_folder(photos: Sequence[Path], folder: Path) -> tuple[list[OutputPath], int]:
    """The output paths of photos and folders of photos in the output folder, and the number of other files.

    Raises:
        BadPicture, BadOutput: as output_paths.
    """
    if folder.suffix.lower() in PICTURES or (folder.exists() and not folder.is_dir()):
        raise BadOutput(got=f"the output {folder.name!r} is a file's name", mend="name a folder for several photos")
    relative_paths: dict[Path, Path] = {}  # photo -> path below the output folder
    people: dict[Path, str] = {}  # photo -> label, if the photo is in a folder inside the one that was named
    left_out = 0
    for photo in photos:
        if photo.is_dir():
            inside = Path(photo.resolve().name) if len(photos) > 1 else Path()
            pictures, others = pictures_in(photo, folder)
            relative_paths.update({path: inside / relative for path, relative in pictures.items()})
            people.update({path: label(relative.parent) for path, relative in pictures.items() if relative.parent.name})
            left_out += others
        else:
            relative_paths[photo] = Path(photo.name)
    crowded = Counter(relative.with_suffix(PNG) for relative in relative_paths.values())
    targets = [
        OutputPath(
            photo,
            folder / (with_png(relative) if crowded[relative.with_suffix(PNG)] > 1 else relative.with_suffix(PNG)),
            label(relative),
            people.get(photo, label(relative)),
        )
        for photo, relative in relative_paths.items()
    ]
    twice = [output for output, count in Counter(target.output for target in targets).items() if count > 1]
    if twice:
        raise BadOutput(
            got=f"two photos would both become {twice[0].name!r}",
            mend="rename one, or give each folder a run and an output of its own",
        )
    return targets, left_out


def label(relative: Path) -> str:
    """A path as a label. Characters that a label must not have are written as Python escapes them."""
    return "".join(repr(c)[1:-1] if unwritable(c) else c for c in relative.as_posix())


def with_png(name: Path) -> Path:
    """me.jpg -> me.jpg.png, for folders that also contain me.png."""
    return name.with_name(f"{name.name}{PNG}")


def pictures_in(folder: Path, output: Path) -> tuple[dict[Path, Path], int]:
    """List the pictures below a folder, sorted. Hidden folders and results of earlier runs (`result`) are skipped.

    Args:
        folder: searched, with all folders in it.
        output: where this run writes; it may lie inside `folder`.

    Returns:
        Picture -> path relative to the folder, and the number of other files, hidden ones included.

    Raises:
        BadPicture: the folder has no pictures.
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
    """Whether a file is a result of an earlier run with this output.

    If the output folder is inside the folder of photos, all its files are results. If it is the same folder or contains
    it, results are recognised by their mark.
    """
    into, photos = output.resolve(), folder.resolve()
    if not path.resolve().is_relative_to(into):
        return False
    if photos in into.parents:
        return True
    return marked(path) or path.name == KEY_FILE or (path.suffix == ".key" and marked(path.with_suffix("")))


def done_before(target: OutputPath, kept: Callable[[Path], bool]) -> bool:
    """Whether an earlier run finished this photo.

    Args:
        target: the photo and its output.
        kept: whether the key of a picture can be found.
    """
    return any(marked(output) and kept(output) for output in (target.output, target.numbered(1)))


def refuse_other_keys(outputs: Iterable[Path], key: UserKey, home: Path | None = None) -> None:
    """Check that no output has a key file with another key. Such a file would seem to belong to the new picture.

    The file is never overwritten, because it may be the only copy of that key.

    Args:
        outputs: the pictures.
        key: their key.
        home: the key file of the run, which is not looked at.

    Raises:
        BadOutput: there is such a file.
    """
    for output in outputs:
        path = key_file(output)
        try:
            other = path != home and os.path.lexists(path) and UserKey.load(path) != key
        except BadKey:
            other = True
        if other:
            raise BadOutput(
                got=f"the file {path.name!r} holds another key than this picture's, and would look like its key",
                mend="move it away, or choose another output",
            )


def refuse_existing(paths: Iterable[Path]) -> None:
    """Check that no file exists, for runs without `--force`.

    Raises:
        BadOutput: a file exists, also as a symbolic link.
    """
    existing = [path for path in paths if os.path.lexists(path)]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise BadOutput(
            got=f"the output {existing[0].name!r} exists already{more}", mend="choose another name, or add --force"
        )


def refuse_unusable(paths: Iterable[Path]) -> None:
    """Check that the file system accepts the names of files that are to be written. Nothing is written.

    Args:
        paths: as they will be written, with all that `--face all` or a key file adds to a name.

    Raises:
        BadOutput: a name that is too long or not allowed.
    """
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
    """Check that a folder exists and is writable.

    Raises:
        BadOutput: it is not.
    """
    if not folder.is_dir():
        raise BadOutput(
            got=f"the folder {folder.name!r} for the output does not exist", mend="make it first, or choose another one"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadOutput(got=f"the folder {folder.name!r} cannot be written", mend="choose one that you may write to")


def make_folder(folder: Path) -> None:
    """Create the folder of an output if it does not exist.

    Raises:
        BadOutput: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOutput(
            got=f"the folder {folder.name!r} cannot be made ({error.strerror})", mend="choose another output"
        ) from None
