"""Fig. 5, Fig. 6, Fig. 7 and Fig. 8: galleries of virtual faces, from synthetic people or the user's own photos.

python -m kfaar_core figure 5 [PHOTO...] -o figure-5.png
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kfaar_core import image
from kfaar_core.errors import BadSetting, NoFaceFound
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.records import Photo, VirtualFace
from kfaar_core.report.gallery import Gallery
from kfaar_core.runtime import stream
from kfaar_core.servers import AnonymisationServer

KEYS = 6  # of Fig. 6
MOST = 12  # photos of a gallery

Column = tuple[np.ndarray | None, ...]
Progress = Callable[[int, int], None]  # done, of faces


class FaceMaker(Protocol):
    """What a gallery is made with."""

    def key(self, name: str) -> UserKey:
        """The key with this name."""

    def face(self, photo: Photo, key: UserKey) -> VirtualFace | None:
        """The virtual face of the largest face of a photo; None without one."""


@dataclass(frozen=True)
class Maker:
    """Makes the virtual faces of a gallery on this machine, with keys from a seed."""

    server: AnonymisationServer
    bits: int  # length of the keys
    seed: int = 0  # of the keys
    refine: bool = True

    def key(self, name: str) -> UserKey:
        """The key with this name, a function of the seed."""
        return UserKey(stream(self.seed, f"key of a figure: {name}").bytes(self.bits // 8))

    def face(self, photo: Photo, key: UserKey) -> VirtualFace | None:
        """The virtual face of the largest face of a photo; None without one."""
        try:
            return self.server.anonymise(AnonymiseRequest(photo=photo, key=key, refine=self.refine))
        except NoFaceFound:
            return None


def figure_5(maker: FaceMaker, photos: Sequence[Photo]) -> Iterator[Column]:
    """Fig. 5, photos and virtual faces: yields (photo, virtual face) of each, every one under a key of its own."""
    for number, photo in enumerate(photos):
        face = maker.face(photo, maker.key(f"own {number}"))
        yield (photo.pixels, None) if face is None else (face.crop.picture, face.portrait)


def figure_6(maker: FaceMaker, photos: Sequence[Photo]) -> Iterator[Column]:
    """Fig. 6, diversity: yields (photo, faces under KEYS keys) of each; a place stands for one key in all of them."""
    for photo in photos:
        faces = [maker.face(photo, maker.key(f"shared {number}")) for number in range(KEYS)]
        first = next((face.crop.picture for face in faces if face is not None), photo.pixels)
        yield (first, *(None if face is None else face.portrait for face in faces))


def figure_7(maker: FaceMaker, photos: Sequence[Photo]) -> Iterator[Column]:
    """Fig. 7, posture correction: yields (photo, virtual face with it, without it) of each."""
    for number, photo in enumerate(photos):
        face = maker.face(photo, maker.key(f"own {number}"))
        yield (photo.pixels, None, None) if face is None else (face.crop.picture, face.portrait, face.draft)


def figure_8(maker: FaceMaker, photos: Sequence[Photo]) -> Iterator[Column]:
    """Fig. 8, no way back through HPVFG: yields (photo, virtual face, that face anonymised again with its key)."""
    for number, photo in enumerate(photos):
        key = maker.key(f"own {number}")
        face = maker.face(photo, key)
        again = None if face is None else maker.face(image.from_array(face.portrait), key)
        if face is None:
            yield photo.pixels, None, None
        else:
            yield face.crop.picture, face.portrait, None if again is None else again.portrait


@dataclass(frozen=True)
class Figure:
    """One gallery of the paper."""

    title: str
    rows: tuple[str, ...]  # what stands in each place of a column
    columns: Callable[[FaceMaker, Sequence[Photo]], Iterator[Column]]


FIGURES = {
    "5": Figure("Fig. 5: photos and their virtual faces", ("photo", "virtual face"), figure_5),
    "6": Figure(
        "Fig. 6: photos under several keys; a row shares its key",
        ("photo", *(f"key {number + 1}" for number in range(KEYS))),
        figure_6,
    ),
    "7": Figure(
        "Fig. 7: what posture correction does",
        ("photo", "with posture correction", "without posture correction"),
        figure_7,
    ),
    "8": Figure(
        "Fig. 8: a virtual face, anonymised again with the right key, is not the photo",
        ("photo", "virtual face", "recovered face"),
        figure_8,
    ),
}


def gallery(number: str, maker: FaceMaker, photos: Sequence[Photo], progress: Progress | None = None) -> Gallery:
    """One gallery of the paper.

    Args:
        number: in FIGURES.
        maker: makes the faces.
        photos: at most MOST; the largest face of each counts.
        progress: called with (done, of) photos.

    Raises:
        BadSetting: another number, no photo or too many.
    """
    if number not in FIGURES:
        raise BadSetting(got=f"the gallery {number!r}", mend=f"choose one of {', '.join(FIGURES)}")
    if not 0 < len(photos) <= MOST:
        raise BadSetting(got=f"{len(photos)} photos for a gallery", mend=f"give 1 to {MOST}")
    figure, columns = FIGURES[number], []
    for done, column in enumerate(figure.columns(maker, photos), 1):
        columns.append(column)
        if progress:
            progress(done, len(photos))
    rows = tuple((name, tuple(column[place] for column in columns)) for place, name in enumerate(figure.rows))
    return Gallery(figure.title, tuple(f"photo {place + 1}" for place in range(len(photos))), rows)
