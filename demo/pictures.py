"""Pictures between the browser and the core."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from demo.core import MARK as SYNTHETIC
from kfaar_core.errors import BadPicture
from kfaar_core.image import open_photo
from kfaar_core.records import Face, Photo

EXAMPLES = Path(__file__).resolve().parents[1] / "assets" / "examples"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
SHOWN_SIDE = 1024  # px, longest side of a picture that is only looked at
MARK = (178, 78, 18)  # of frames; dark enough for white numbers on it


def photo_box(label: str, elem_id: str, **settings: Any) -> gr.Image:
    """A picture input by upload, webcam or clipboard, which hands the file on as it came.

    Gradio would decode it first and fail without words on a file that is no picture; the core has words for that.
    """
    box = gr.Image(
        type="filepath",
        image_mode=None,
        label=label,
        elem_id=elem_id,
        sources=["upload", "webcam", "clipboard"],
        buttons=["fullscreen"],
        format="png",
        **settings,
    )
    box.preprocess = uploaded_path  # type: ignore[method-assign]
    return box


def uploaded_path(payload: Any) -> str | None:
    """Where gradio put an upload."""
    return payload.path if payload is not None else None


def read_photo(path: str | None, missing: tuple[str, str]) -> Photo:
    """The photo at an upload's path.

    Raises:
        BadPicture: none was given (`missing`: what came and how to mend it), or it is no picture. Errors do not show
            the name of a visitor's file.
    """
    if path is None:
        raise BadPicture(got=missing[0], mend=missing[1])
    try:
        content = Path(path).read_bytes()
    except OSError:
        raise BadPicture(got="the picture is no longer on the server", mend="give it again") from None
    return open_photo(content)


def examples() -> list[Path]:
    """The synthetic faces that come with the project, in the order of their names."""
    return sorted(path for path in EXAMPLES.glob("*") if path.suffix.lower() in ENDINGS)


def small(pixels: np.ndarray, side: int = SHOWN_SIDE) -> np.ndarray:
    """A copy whose longest side is at most `side`."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def signed(pixels: np.ndarray) -> Image.Image:
    """A picture that says of itself that it is synthetic: gradio writes these text chunks (PNG) or EXIF (others)."""
    picture = Image.fromarray(pixels)
    picture.info.update(SYNTHETIC)
    picture.info["exif"] = _exif()
    return picture


def _exif() -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Software] = SYNTHETIC["Software"]
    tags[ExifTags.Base.ImageDescription] = SYNTHETIC["Comment"]
    return tags.tobytes()


def marked(photo: Photo, faces: Sequence[Face], chosen: int | None = 0) -> np.ndarray:
    """The photo with a frame around each face, a thick one around the chosen one; several have their numbers above."""
    picture = Image.fromarray(photo.pixels)
    scale = max(photo.pixels.shape[:2]) / SHOWN_SIDE
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(12.0, 34 * scale))
    for number, face in enumerate(faces):
        width = max(4, round(8 * scale)) if number == chosen else max(2, round(3 * scale))
        left, top, right, bottom = (float(value) for value in face.box)
        pen.rectangle([left, top, right, bottom], outline=MARK, width=width)
        if len(faces) > 1:
            label = str(number + 1)
            wide, high = font.getbbox(label, anchor="lt")[2:]
            margin = max(2.0, 8 * scale)
            base = max(0.0, top - high - 2 * margin)  # above the face, or at the very top of the picture
            pen.rectangle([left, base, left + wide + 2 * margin, base + high + 2 * margin], fill=MARK)
            pen.text((left + margin, base + margin), label, fill="white", font=font, anchor="lt")
    return small(np.asarray(picture))


def face_at(faces: Sequence[Face], shape: tuple[int, ...], x: float, y: float) -> int | None:
    """The number of the face that a tap on `marked` meets: the nearest one whose frame holds it.

    Args:
        shape: of the photo, (height, width, ...). x, y: px of the picture that is shown.
    """
    scale = max(1.0, max(shape[:2]) / SHOWN_SIDE)
    at = np.array([x, y]) * scale
    hit = [
        (float(np.hypot(*(at - (face.box[:2] + face.box[2:]) / 2))), number)
        for number, face in enumerate(faces)
        if (face.box[:2] <= at).all() and (at <= face.box[2:]).all()
    ]
    return min(hit)[1] if hit else None


def inline(pixels: np.ndarray, side: int = 160, *, synthetic: bool = False) -> str:
    """A small picture as a data address: it lives in the page and in no file."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side * 2, side * 2), Image.Resampling.LANCZOS)
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=88, exif=_exif() if synthetic else b"")
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
