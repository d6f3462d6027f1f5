"""Who is on which photo of a folder or zip: by folders, by CelebA's list, or, in FFHQ, everybody once.

| layout | files | person |
| --- | --- | --- |
| folders | `person/photo.jpg`, at any depth | the folder |
| CelebA | `img_align_celeba/000001.jpg` and `identity_CelebA.txt` | the number in the list |
| FFHQ | `00000.png`, or `00000/00123.png` in folders of a thousand | the number of the photo: each is somebody else |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from kfaar_core.errors import DataMissing
from kfaar_core.files import PICTURES

CELEBA_LIST = "identity_celeba.txt"  # its name in lower case; rows `000001.jpg 2880`
FFHQ_NUMBER = re.compile(r"\d{5}")


def is_picture(name: str) -> bool:
    """Whether a posix path is a picture; hidden files such as `._photo.jpg` are not."""
    return name.lower().endswith(PICTURES) and not PurePosixPath(name).name.startswith(".")


def people_of(names: Sequence[str], read: Callable[[str], bytes]) -> dict[str, str]:
    """The pictures among the files of a folder or zip, and the person on each.

    Args:
        names: posix paths of all files.
        read: the content of a file, asked for CelebA's list alone.

    Returns:
        Path of each picture -> person, sorted by path. A picture that CelebA's list does not name, and one outside all
        folders (but for FFHQ's), is left out.

    Raises:
        DataMissing: a damaged list.
    """
    pictures = sorted(name for name in names if is_picture(name))
    lists = [name for name in names if PurePosixPath(name).name.lower() == CELEBA_LIST]
    if len(lists) == 1:
        listed = celeba_people(read(lists[0]).decode("utf-8", "replace"))
        found = ((name, listed.get(PurePosixPath(name).name)) for name in pictures)
        return {name: person for name, person in found if person is not None}
    if pictures and all(is_ffhq(PurePosixPath(name)) for name in pictures):
        return {name: PurePosixPath(name).stem for name in pictures}
    return {name: PurePosixPath(name).parent.name for name in pictures if "/" in name}


def is_ffhq(path: PurePosixPath) -> bool:
    """Whether a picture is named as in FFHQ: five digits, alone or in the folder of its thousand."""
    if not FFHQ_NUMBER.fullmatch(path.stem):
        return False
    folder = path.parent.name
    if not FFHQ_NUMBER.fullmatch(folder):
        return len(path.parts) == 1 or "ffhq" in path.as_posix().lower() or re.search(r"\d+x\d+$", folder) is not None
    return folder == f"{path.stem[:2]}000"  # the folder of its thousand


def celeba_people(text: str) -> dict[str, str]:
    """CelebA's list as file name -> person.

    Raises:
        DataMissing: a row that is not a file name and a number; it is named.
    """
    people = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdigit():
            raise DataMissing(
                got=f"line {number} of {CELEBA_LIST} is no file name and number", mend="fetch the list again"
            )
        people[words[0]] = words[1]
    return people
