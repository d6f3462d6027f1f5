"""The method `folder:PATH`: pictures that any other tool made of the photos, paired with them by name.

The picture of `person/photo.jpg` is `person/photo.*` below PATH, or `person/photo_WORD.*` as tools name their output
(`photo_anonymized.jpg`); without a folder of the person, PATH itself is searched. A picture may be the whole photo, of
any size, or the face alone. Photos without a picture count as failures.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from kfaar_core.errors import BadSetting, DataMissing, NoFaceFound
from kfaar_core.files import PICTURES, file_sha256, joined_sha256
from kfaar_core.image import open_photo
from kfaar_core.keys import UserKey
from kfaar_core.methods.base import Method, MethodNetworks, SharedStages
from kfaar_core.records import Photo
from kfaar_core.stages.locate import LocatedFace


class Pictures:
    """Editor: finds the picture of a photo by its name."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            DataMissing: the folder does not exist or holds no picture.
        """
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES and path.is_file()]
        if not paths:
            raise DataMissing(
                got=f"no pictures in the folder {folder.name!r}", mend="give the folder of a tool's output"
            )
        self.paths = paths
        self._by_name = {path.relative_to(folder).with_suffix("").as_posix(): path for path in reversed(paths)}

    def find(self, name: str) -> Path | None:
        """The picture of a photo `person/photo.jpg` or `photo.jpg`; None without one."""
        stem = PurePosixPath(name).with_suffix("").as_posix()
        for wanted in (stem, PurePosixPath(stem).name):
            found = [key for key in self._by_name if re.fullmatch(re.escape(wanted) + r"([_.-][A-Za-z]\w*)?", key)]
            if found:
                return self._by_name[min(found, key=len)]
        return None

    def __call__(self, photo: Photo, face: LocatedFace, key: UserKey) -> np.ndarray:
        path = self.find(photo.name) if photo.name else None
        if path is None:
            raise NoFaceFound(got="a photo without a picture in the folder", mend="let the tool run on every photo")
        return open_photo(path).pixels


def build(shared: SharedStages, folder: Path) -> MethodNetworks:
    """Only E and the list of pictures."""
    pictures = Pictures(folder)
    content = joined_sha256((path.relative_to(folder).as_posix(), file_sha256(path)) for path in pictures.paths)
    return MethodNetworks(encoder=shared.encoder, editor=pictures, content=content)


def method(path: str) -> Method:
    """The method of one folder.

    Raises:
        BadSetting: no folder of that path.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BadSetting(got=f"the folder {folder.name!r} of the method", mend="give the folder of a tool's output")
    name = re.sub(r"[^\w.]+", "-", folder.resolve().name)
    return Method(
        name=f"folder-{name}",
        label=f"pictures of {name}",
        about=f"pictures that another tool made, from the folder {name}",
        order=30,
        build=partial(build, folder=folder),
        keyed=False,
        readable=False,
        corrects_posture=False,
    )


def none(shared: SharedStages) -> MethodNetworks:
    """
    Raises:
        BadSetting: always.
    """
    raise BadSetting(got="the method 'folder' alone", mend="write folder:PATH")


METHOD = Method(
    name="folder",
    label="pictures of another tool",
    about="pictures that any other tool made of the photos, paired with them by name",
    order=30,
    build=none,
    keyed=False,
    readable=False,
    corrects_posture=False,
    variant=method,
    argument="PATH, the folder of a tool's output",
    needs_argument=True,
)
