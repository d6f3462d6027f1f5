"""The README's first picture: a synthetic person, three virtual faces, and the verdicts with a right and a wrong key.

python -m benchmarks.teaser [-o assets/screenshots/teaser.jpg]

All numbers in the picture are computed by this run. Keys and photo are fixed; the person is synthetic.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kfaar_core import image, pipeline, servers
from kfaar_core.keys import UserKey
from kfaar_core.records import Verdict, VirtualFace

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "assets/examples/person-1.png"
KEYS = tuple(UserKey.parse(f"{number:02x}" * 32) for number in (1, 2, 3))
WRONG_BIT = 0  # index of the bit that is flipped in the wrong key
SIDE, GAP, CAPTION, QUALITY = 256, 12, 60, 90  # px; of JPEG
INK, PAPER, GOOD, BAD = (32, 32, 40), (255, 255, 255), (20, 110, 60), (170, 40, 40)


@dataclass(frozen=True)
class Panel:
    """One picture of the strip with its caption."""

    picture: np.ndarray  # (S, S, 3) uint8
    title: str
    words: str
    colour: tuple[int, int, int] = INK  # of the words


def panels(photo: np.ndarray, faces: Sequence[VirtualFace], right: Verdict, wrong: Verdict) -> list[Panel]:
    """The panels: the photo, a face for each key, and the first face again with the verdicts of two keys."""
    listed = [Panel(photo, "photo", "a synthetic person")]
    for number, face in enumerate(faces, 1):
        other = "another person" if face.anonymous else "the same person"
        words = f"to a recogniser {other}: {face.judge_cosine:.2f}"
        listed.append(Panel(face.portrait, f"key {number}", words, GOOD if face.anonymous else BAD))
    for title, verdict, meant in (("read with key 1", right, True), ("one bit of it wrong", wrong, False)):
        answer = "same person" if verdict.same_person else "not the same person"
        colour = GOOD if verdict.same_person == meant else BAD
        listed.append(Panel(faces[0].portrait, title, f"{answer}: cosine {verdict.cosine:.2f}", colour))
    return listed


def strip(row: Sequence[Panel]) -> Image.Image:
    """Draw the panels in a row, with their captions."""
    sheet = Image.new("RGB", (len(row) * (SIDE + GAP) + GAP, SIDE + CAPTION + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for position, panel in enumerate(row):
        left = GAP + position * (SIDE + GAP)
        sheet.paste(Image.fromarray(panel.picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, GAP))
        middle = left + SIDE // 2
        pen.text((middle, GAP + SIDE + 8), panel.title, INK, ImageFont.load_default(20), anchor="ma")
        pen.text((middle, GAP + SIDE + 36), panel.words, panel.colour, ImageFont.load_default(14), anchor="ma")
    return sheet


def main(arguments: list[str] | None = None) -> None:
    """Anonymise, authenticate, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teaser", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "assets/screenshots/teaser.jpg")
    parser.add_argument("--preset", default="lab")
    asked = parser.parse_args(arguments)
    stages = pipeline.load(asked.preset)
    photo = image.open_photo(PHOTO)
    anonymiser = servers.AnonymisationServer(stages)
    faces = [anonymiser.anonymise(pipeline.AnonymiseRequest(photo=photo, key=key)) for key in KEYS]
    # As a receiver sees the picture: saved as PNG, which changes no pixel.
    comparison = servers.AuthenticationServer(stages).compare(image.from_array(faces[0].portrait), photo)
    right, wrong = (comparison.with_key(key) for key in (KEYS[0], KEYS[0].flip([WRONG_BIT])))
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    strip(panels(photo.pixels, faces, right, wrong)).save(asked.output, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
