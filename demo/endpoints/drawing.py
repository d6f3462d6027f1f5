"""The endpoints that draw or look at photos: anonymise, compare, detect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo import pictures, words
from demo.core import Core, Request, fault
from demo.pictures import Encoded
from demo.records import Inputs
from demo.tabs import compare as compare_tab
from kfaar_core.errors import BadKey, BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.records import VirtualFace

EVERYBODY = -1  # the number of all faces


@dataclass(frozen=True)
class Drawing(Inputs):
    """What the endpoint for drawing is given."""

    photo: str
    key: str
    mode: str
    method: str
    face: float
    refine: bool
    projector: str  # the older name of `method`, which counts when it is given
    size: str


def anonymise(drawing: Drawing, *, core: Core) -> tuple[Encoded, dict[str, Any]]:
    """Draw the virtual face of one face in a photo, or replace all faces of it.

    Args:
        photo: a picture file with a face.
        key: the user key as hex digits, 8 to 512 bits; make it on your side and keep it.
        mode: "portrait"; "rough" for a portrait that keeps head pose and expression only roughly; or "paste" for the
            whole photo with the face exchanged.
        method: how the key moves the identity; the app's first one unless given.
        face: which face, by size: 0 is the largest. -1 replaces everybody in the whole photo under the same key, and
            pixelates whom it cannot replace.
        refine: draw the face so that the key reads it reliably; slower, for the default method only.
        projector: an older name of method.
        size: pixels of the portrait, "512" or "1024"; empty takes the usual one.
    Returns:
        The picture as PNG, which says of itself that it is synthetic, and facts: `anonymous` (what an independent
        recogniser says), `judge_cosine`, `judge_threshold`, `kvfa_cosine` (what the key reads; null if not refined),
        `seconds` by stage (refine is one of them), `fault` (a code, or null), `warnings`. For everybody: `faces`, a
        list of these facts by number, and `pixelated`, the numbers of faces that could not be replaced.
    """
    given = pictures.read_photo(drawing.photo, words.NO_PHOTO)
    number = whole("face", drawing.face)
    everybody = number == EVERYBODY
    faces = tuple(range(len(core.faces(given)))) if everybody else (number,)
    wanted = Request(
        given,
        UserKey.parse(drawing.key),
        drawing.projector or drawing.method,
        faces or (0,),  # of none, the core says that there is none
        drawing.mode,
        drawing.refine,
        int(drawing.size) if drawing.size else None,
    )
    notes = words.sentences(given.notes)
    if everybody and len(faces) > 1:
        group = core.anonymise_group(wanted)
        listed = [{"face": which, **facts_of(face, [])} for which, face in sorted(group.replaced.items())]
        facts = {"faces": listed, "pixelated": list(group.pixelated), "warnings": notes}
        return Encoded.of_face(group.picture, ".png", pasted=True), facts
    answer = core.anonymise(wanted)
    facts = facts_of(answer, notes)
    return Encoded.of_face(answer.picture, ".png", pasted=drawing.mode == "paste"), facts


def facts_of(face: VirtualFace, notes: list[str]) -> dict[str, Any]:
    """What is said of one virtual face; `notes` are warnings about its photo."""
    found = fault(face)
    return {
        "anonymous": bool(face.anonymous),
        "judge_cosine": round(float(face.judge_cosine), 4),
        "judge_threshold": round(float(face.judge_threshold), 4),
        "kvfa_cosine": face.reading and round(face.reading.cosine, 4),
        "seconds": {name: round(value, 3) for name, value in face.seconds.items()},
        "fault": found,
        "warnings": [*notes, *([words.fault(found, face)] if found else [])],
    }


def whole(name: str, value: Any) -> int:
    """A number without a fraction, -1 or more.

    Raises:
        BadSetting: it is none.
    """
    if isinstance(value, (int, float)) and value == int(value) and value >= EVERYBODY:
        return int(value)
    raise BadSetting(got=f"{name} is {value!r}", mend="give a whole number, 0 or more, or -1 for everybody")


@dataclass(frozen=True)
class Photo(Inputs):
    """What the endpoint for detection is given."""

    photo: str


def detect(given: Photo, *, core: Core) -> dict[str, Any]:
    """Find the faces of a photo; nothing is drawn.

    Args:
        photo: a picture file.
    Returns:
        `width` and `height` of the upright photo, px, and `faces`, the largest first: `box` (left, top, right, bottom,
        px) and `confidence` from 0 to 1.
    """
    photo = pictures.read_photo(given.photo, words.NO_PHOTO)
    faces = [
        {"box": [round(float(edge), 1) for edge in face.box], "confidence": round(float(face.confidence), 4)}
        for face in core.faces(photo)
    ]
    return {"width": photo.pixels.shape[1], "height": photo.pixels.shape[0], "faces": faces}


@dataclass(frozen=True)
class Grid(Inputs):
    """What the endpoint for comparison is given."""

    photos: list[str] | None
    keys: Any
    method: str
    refine: bool


def compare(given: Grid, *, core: Core) -> tuple[Encoded, dict[str, Any]]:
    """Draw each photo under each key, and say how alike all pictures are to an independent recogniser.

    Args:
        photos: one to four picture files.
        keys: one to eight keys as a list of hex digits.
        method: how the key moves the identity; the app's first one unless given.
        refine: see anonymise.
    Returns:
        A zip of the virtual faces (photo-a-key-1.png and so on), and `labels`, `cosines` (a square of numbers in the
        order of the labels, photos first) and `threshold`, from which the recogniser calls two pictures one person.
    """
    if not isinstance(given.keys, list) or not all(isinstance(key, str) for key in given.keys):
        raise BadKey(got="keys that are no list of texts", mend='give a list such as ["0123456789abcdef"]')
    photos, keys = compare_tab.given_photos(given.photos), compare_tab.given_keys("\n".join(given.keys))
    rows = [
        [core.anonymise(Request(photo, key, given.method, refine=given.refine)) for key in keys] for photo in photos
    ]
    labels, cosines = compare_tab.likeness(rows, core)
    return compare_tab.zipped(rows), {
        "labels": labels,
        "cosines": [[round(float(value), 4) for value in line] for line in cosines],
        "threshold": round(core.facts(given.method).judge_threshold, 4),
    }
