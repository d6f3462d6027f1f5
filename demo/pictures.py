"""Pictures between the browser and the core."""

from __future__ import annotations

import base64
from abc import ABCMeta
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components.imageslider import SliderData
from gradio.data_classes import FileData, ImageData
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image, ImageDraw, ImageFont

from kfaar_core.errors import BadPicture
from kfaar_core.image import encoded, open_photo
from kfaar_core.mark import FORMATS
from kfaar_core.records import Face, Photo

SHOWN_SIDE = 1024  # px, longest side of a picture that is only looked at
FRAME = (178, 78, 18)  # RGB; dark enough for white numbers on it


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


def small(pixels: np.ndarray, side: int = SHOWN_SIDE) -> np.ndarray:
    """A copy whose longest side is at most `side`."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


@dataclass(frozen=True)
class Encoded:
    """A picture as the bytes of its file."""

    data: bytes
    name: str  # of the file

    @classmethod
    def of_face(cls, pixels: np.ndarray, ending: str = ".jpg", *, pasted: bool = False) -> Encoded:
        """A picture that says of itself that it is synthetic (kfaar_core.mark).

        Args:
            pixels: (H, W, 3) uint8.
            ending: of mark.FORMATS; JPEG is for looking, PNG is lossless.
            pasted: whether parts of it come from a photo.
        """
        return cls(encoded(pixels, FORMATS[ending], pasted), f"virtual-face{ending}")

    @classmethod
    def of_photo(cls, pixels: np.ndarray) -> Encoded:
        """(H, W, 3) uint8, which is not synthetic."""
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=88)
        return cls(stream.getvalue(), "photo.jpg")

    def stored(self, box: gr.components.Component) -> str:
        """The path of its file in gradio's folder, from where it is served and deleted."""
        return save_bytes_to_cache(self.data, self.name, box.GRADIO_CACHE)


def _component(base: type, answer: Callable[[Any, Any], Any]) -> Any:
    """A kind of component that answers a value in its own way, and is given files as they are.

    ComponentMeta would write a stub beside this file, which type checkers then read in its place; ABCMeta does not.
    """

    def preprocess(self: Any, payload: Any) -> str | None:
        return uploaded_path(payload)

    def postprocess(self: Any, value: Any) -> Any:
        return None if value is None else answer(self, value)

    # a template: the browser shows it as what it inherits from
    own = {"is_template": True, "__module__": __name__, "preprocess": preprocess, "postprocess": postprocess}
    return ABCMeta.__new__(type(base), f"Encoded{base.__name__}", (base,), own)  # type: ignore[type-var]


def served(box: gr.components.Component, value: Encoded | Path | str) -> ImageData:
    """A picture as gradio's own components answer it: encoded bytes, or a file that is marked already."""
    found = value if isinstance(value, Encoded) else Encoded(Path(value).read_bytes(), Path(value).name)
    return ImageData(path=found.stored(box), orig_name=found.name)


# Pictures that are only looked at, and files, served as they were encoded: gradio would encode a picture anew, without
# the mark.
EncodedImage = _component(gr.Image, served)
EncodedSlider = _component(
    gr.ImageSlider, lambda box, pair: SliderData(root=(served(box, pair[0]), served(box, pair[1])))
)
EncodedFile = _component(gr.File, lambda box, value: FileData(path=value.stored(box), orig_name=value.name))


def framed(photo: Photo, faces: Sequence[Face], chosen: Collection[int] = (0,)) -> np.ndarray:
    """The photo with a frame around each face, thick ones around those chosen; several have their numbers above."""
    picture = Image.fromarray(photo.pixels)
    scale = max(photo.pixels.shape[:2]) / SHOWN_SIDE
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(12.0, 34 * scale))
    for number, face in enumerate(faces):
        width = max(4, round(8 * scale)) if number in chosen else max(2, round(3 * scale))
        left, top, right, bottom = (float(value) for value in face.box)
        pen.rectangle([left, top, right, bottom], outline=FRAME, width=width)
        if len(faces) > 1:
            label = str(number + 1)
            wide, high = font.getbbox(label, anchor="lt")[2:]
            margin = max(2.0, 8 * scale)
            base = max(0.0, top - high - 2 * margin)  # above the face, or at the very top of the picture
            pen.rectangle([left, base, left + wide + 2 * margin, base + high + 2 * margin], fill=FRAME)
            pen.text((left + margin, base + margin), label, fill="white", font=font, anchor="lt")
    return small(np.asarray(picture))


def face_at(faces: Sequence[Face], shape: tuple[int, ...], x: float, y: float) -> int | None:
    """The number of the face that a tap on `framed` meets: the nearest one whose frame holds it.

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
    pixels = small(pixels, 2 * side)
    content = (Encoded.of_face(pixels) if synthetic else Encoded.of_photo(pixels)).data
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
