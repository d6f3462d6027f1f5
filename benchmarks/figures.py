"""The galleries of Fig. 5 to Fig. 8 of synthetic people, as the app and docs/evaluation.md show them.

python -m benchmarks.figures [--only 5 6] [-o assets/figures]

Nobody in them exists. Faces of Fig. 5 are refined; the others, which show keys, posture and the way back, are not.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from kfaar_core import image, pipeline
from kfaar_core.evaluate.galleries import FIGURES, Maker, gallery
from kfaar_core.files import write_whole
from kfaar_core.report.gallery import sheet
from kfaar_core.servers import AnonymisationServer

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = {"5": 6, "6": 2, "7": 3, "8": 3}  # figure -> number of people
REFINED = ("5",)

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Make every gallery."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "assets/figures")
    parser.add_argument("--only", nargs="*", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--preset", default="lab")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    stages = pipeline.load(asked.preset)
    people = [image.open_photo(path) for path in sorted((ROOT / "assets/examples").glob("person-?.png"))]
    asked.output.mkdir(parents=True, exist_ok=True)
    for number in asked.only:
        maker = Maker(AnonymisationServer(stages), stages.preset.key_bits, refine=number in REFINED)
        drawn = gallery(
            number, maker, people[: PHOTOS[number]], lambda done, of, n=number: log.info("%s: %d of %d", n, done, of)
        )
        path = asked.output / f"figure-{number}.jpg"
        write_whole(path, image.encoded(sheet(drawn), "JPEG", pasted=True), force=True)


if __name__ == "__main__":
    main()
