"""Pictures between the browser and the core."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from kfaar_core.errors import BadPicture
from kfaar_core.image import open_photo
from kfaar_core.records import Face, Photo

EXAMPLES = Path(__file__).resolve().parents[1] / "assets" / "examples"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
SHOWN_SIDE = 1024  # px, longest side of a picture that is only looked at
MARK = (224, 122, 52)


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


def marked(photo: Photo, faces: list[Face], chosen: int = 0) -> np.ndarray:
    """The photo with a frame around each face, a thicker one with five points for the chosen one."""
    picture = Image.fromarray(photo.pixels)
    scale = max(photo.pixels.shape[:2]) / SHOWN_SIDE
    pen = ImageDraw.Draw(picture)
    for number, face in enumerate(faces):
        width = max(2, round((6 if number == chosen else 2) * scale))
        pen.rectangle([float(value) for value in face.box], outline=MARK, width=width)
        if number == chosen:
            reach = max(2.0, 6 * scale)
            for x, y in face.points:
                pen.ellipse([x - reach, y - reach, x + reach, y + reach], fill=MARK)
    return small(np.asarray(picture))


def inline(pixels: np.ndarray, side: int = 160) -> str:
    """A small picture as a data address: it lives in the page and in no file."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side * 2, side * 2), Image.Resampling.LANCZOS)
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
