"""Galleries: pictures in rows with names, as one picture (Fig. 5, Fig. 6, Fig. 7 and Fig. 8 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE, GAP, CAPTION, NAME = 192, 8, 26, 150  # px: of a picture, between pictures, of a line of text, of a row's name
INK, PAPER = (32, 32, 40), (255, 255, 255)


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows, all rows of one length."""

    title: str
    columns: tuple[str, ...]  # the name above each column
    rows: tuple[tuple[str, tuple[np.ndarray | None, ...]], ...]  # name, (H, W, 3) uint8 pictures; None without a face


def sheet(gallery: Gallery) -> np.ndarray:
    """The gallery as one picture, (H, W, 3) uint8."""
    width = NAME + len(gallery.columns) * (SIDE + GAP) + GAP
    page = Image.new("RGB", (width, 2 * CAPTION + len(gallery.rows) * (SIDE + GAP) + GAP), PAPER)
    pen = ImageDraw.Draw(page)
    large, small = ImageFont.load_default(18), ImageFont.load_default(14)
    pen.text((GAP, 4), gallery.title, INK, large)
    for column, name in enumerate(gallery.columns):
        pen.text((left_of(column) + SIDE // 2, CAPTION + 4), name, INK, small, anchor="ma")
    for line, (name, pictures) in enumerate(gallery.rows):
        top = 2 * CAPTION + line * (SIDE + GAP)
        pen.multiline_text((GAP, top + SIDE // 2), wrapped(name, 18), INK, small, anchor="lm")
        for column, pixels in enumerate(pictures):
            at = left_of(column), top
            if pixels is None:
                pen.multiline_text((at[0] + SIDE // 2, top + SIDE // 2), "no face", INK, small, anchor="mm")
            else:
                page.paste(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS), at)
    return np.asarray(page)


def left_of(column: int) -> int:
    """The left side of a column in px."""
    return NAME + GAP + column * (SIDE + GAP)


def wrapped(text: str, width: int) -> str:
    """The text in lines of at most `width` characters, broken at blanks."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
