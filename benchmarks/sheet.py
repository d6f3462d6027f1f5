"""A sheet of pairs of virtual faces, for judging by eye whether both are one person; nobody sees which pairs are.

python -m benchmarks.sheet -o FOLDER [--pairs 40] [--strangers 20] [--data synthetic] [--enrolled] [--quick]

Each pair has a key of its own. In a pair of one person both faces come from photos of that person, in a pair of
strangers from photos of two people. The pairs are shuffled and numbered. FOLDER/sheet-N.jpg show them;
FOLDER/answers.json says which are which, and is opened after judging. Of LFW (--data lfw) the dev people are taken, and
FOLDER must lie outside the repository.

Every pair is written when it is drawn, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kfaar_core import image, methods
from kfaar_core.data.split import DEV, TEST
from kfaar_core.data.synthetic import SYNTHETIC
from kfaar_core.errors import BadOutput, DataMissing, KfaarError
from kfaar_core.evaluate.context import LABELLED, EvaluationConfig, EvaluationContext
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.presets import get_preset
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs

ROOT = Path(__file__).resolve().parent.parent
SIDE, GAP, CAPTION, QUALITY = 256, 12, 24, 92  # px; of JPEG
COLUMNS, ROWS = 2, 5  # pairs on a page
INK, PAPER = (32, 32, 40), (255, 255, 255)


@dataclass(frozen=True)
class SheetPair:
    """One numbered pair."""

    number: int  # from 1, in shuffled order
    same: bool  # one person
    photos: tuple[int, int]  # of the data set
    purpose: str  # of the key, see EvaluationContext.key


def planned(people: Sequence[pairs.Person], same: int, strangers: int, seed: int) -> list[SheetPair]:
    """The pairs in shuffled order; everybody is in one pair at most.

    Raises:
        DataMissing: too few people.
    """
    needed = same + 2 * strangers
    if len(people) < needed:
        raise DataMissing(got=f"{len(people)} people for {needed}", mend="ask for fewer pairs, or give more data")
    ones = [person.photos[:2] for person in people[:same]]
    rest = people[same:needed]
    others = [(a.photos[0], b.photos[1]) for a, b in zip(rest[::2], rest[1::2], strict=True)]
    photos = [(True, two) for two in ones] + [(False, two) for two in others]
    order = stream(seed, "sheet: order of pairs").permutation(len(photos))
    return [SheetPair(n, *photos[i], f"sheet {i}") for n, i in enumerate(order, 1)]  # type: ignore[arg-type]


def drawn(context: EvaluationContext, pair: SheetPair, enrolled: bool, refine: bool) -> np.ndarray:
    """Both virtual faces side by side: (SIDE, 2 * SIDE, 3) uint8. With `enrolled` a person's second takes up the first.

    Raises:
        NoFaceFound: a photo without a usable face. OtherPerson: the second photo is taken for somebody else's.
    """
    key = context.key(pair.purpose)
    requests = [
        AnonymiseRequest(photo=context.photo(index), key=key, face=LABELLED, refine=refine) for index in pair.photos
    ]
    if not enrolled:
        faces = [context.server.anonymise(request) for request in requests]
    elif pair.same:
        first, person = context.server.enrol(requests[0])
        faces = [first, context.server.anonymise(AnonymiseRequest(**vars(requests[1]) | {"person": person}))]
    else:
        faces = [context.server.enrol(request)[0] for request in requests]
    small = [Image.fromarray(face.portrait).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for face in faces]
    return np.concatenate([np.asarray(each) for each in small], axis=1)


def page(pictures: Sequence[tuple[int, np.ndarray]]) -> Image.Image:
    """Pairs with their numbers, in COLUMNS."""
    width, height = 2 * SIDE + GAP, SIDE + CAPTION + GAP
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for place, (number, picture) in enumerate(pictures):
        left, top = GAP + place % COLUMNS * width, GAP + place // COLUMNS * height
        sheet.paste(Image.fromarray(picture), (left, top + CAPTION))
        pen.text((left, top), str(number), fill=INK, font=font)
    return sheet


def checked_folder(folder: Path, synthetic: bool) -> Path:
    """The folder, which is made.

    Raises:
        BadOutput: it lies in the repository, where pictures made from real people do not belong.
    """
    if not synthetic and folder.resolve().is_relative_to(ROOT):
        raise BadOutput(got="the folder lies in the repository", mend="name one outside it, or take --data synthetic")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make(
    context: EvaluationContext, planned_pairs: Sequence[SheetPair], folder: Path, asked: argparse.Namespace
) -> None:
    """Write what is missing: answers, pairs, then the pages."""
    single, failed = folder / "pairs", {}
    single.mkdir(exist_ok=True)
    for pair in planned_pairs:
        path = single / f"{pair.number:03d}.png"
        if path.exists():
            continue
        try:
            Image.fromarray(drawn(context, pair, asked.enrolled, not asked.quick)).save(path)
        except KfaarError as error:
            failed[pair.number] = type(error).__name__
    kept = [pair for pair in planned_pairs if (single / f"{pair.number:03d}.png").exists()]
    settings = {name: value for name, value in vars(asked).items() if name != "output"}
    answers = {
        "settings": settings,
        "one person": [pair.number for pair in kept if pair.same],
        "strangers": [pair.number for pair in kept if not pair.same],
        "failed": failed,
    }
    (folder / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    for start in range(0, len(kept), COLUMNS * ROWS):
        some = kept[start : start + COLUMNS * ROWS]
        pictures = [(pair.number, image.open_photo(single / f"{pair.number:03d}.png").pixels) for pair in some]
        page(pictures).save(folder / f"sheet-{start // (COLUMNS * ROWS) + 1}.jpg", quality=QUALITY)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the sheet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sheet", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=40, help="of one person")
    parser.add_argument("--strangers", type=int, default=20, help="pairs of strangers among them")
    parser.add_argument("--data", default=SYNTHETIC)
    parser.add_argument("--preset", default="lab")
    parser.add_argument("--method")
    parser.add_argument("--enrolled", action="store_true", help="the second photo takes up the first's virtual person")
    parser.add_argument("--quick", action="store_true", help="without refinement")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args(arguments)
    synthetic = asked.data == SYNTHETIC
    folder = checked_folder(asked.output, synthetic)
    preset = methods.with_method(get_preset(asked.preset), asked.method)
    count = asked.pairs + 2 * asked.strangers if synthetic else None
    context = EvaluationConfig(preset, asked.data, count, asked.seed, asked.threads).open()
    people = pairs.people(
        context.data.samples, context.data.identities_of(TEST if synthetic else DEV), limit=count, seed=asked.seed
    )
    make(context, planned(people, asked.pairs, asked.strangers, asked.seed), folder, asked)
    print(folder)


if __name__ == "__main__":
    main()
