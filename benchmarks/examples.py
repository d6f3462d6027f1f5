"""The app's answers to its examples: a virtual face for each photo, and what a right and a wrong key read of it.

python -m benchmarks.examples [NAME ...]

Writes assets/examples/answers: a JPEG for each photo, and answers.json. Every number is read from the JPEG as it is
committed. With names, only those answers are made anew. The two photos of one person share a key.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from demo.examples import ANSWERS, NUMBERS, ExampleAnswer, Read, photos
from kfaar_core import image, pipeline, servers
from kfaar_core.files import write_whole
from kfaar_core.keys import UserKey
from kfaar_core.records import Verdict

WRONG_BIT = 0  # index of the bit that is flipped in the wrong key


def key_of(photo: Path) -> UserKey:
    """The key of a photo: its person's number again and again, so that everybody sees that it is no secret."""
    number = photo.stem.split("-")[1] if photo.stem.startswith("person-") else "20"
    return UserKey.parse(f"{int(number):02d}" * 32)


def answer(stages: pipeline.Stages, path: Path) -> ExampleAnswer:
    """Anonymise every face of one photo, write the picture, and read it."""
    photo, key = image.open_photo(path), key_of(path)
    anonymiser, reader = servers.AnonymisationServer(stages), servers.AuthenticationServer(stages)
    several = len(anonymiser.faces(photo)) > 1
    request = pipeline.AnonymiseRequest(photo=photo, key=key, mode="paste" if several else "portrait")
    faces = anonymiser.anonymise_all(request) if several else [anonymiser.anonymise(request)]
    name = f"{path.stem}.jpg"
    content = image.encoded(faces[-1].picture, "JPEG", pasted=several)
    write_whole(ANSWERS / name, content, force=True)
    comparison = reader.compare(image.open_photo(content), photo)
    return ExampleAnswer(
        picture=name,
        key=key.data.hex(),
        judge_cosine=round(max(face.judge_cosine for face in faces), 4),
        judge_threshold=round(faces[0].judge_threshold, 4),
        right=read(comparison.with_key(key)),
        wrong=read(comparison.with_key(key.flip([WRONG_BIT]))),
        faces=len(faces),
    )


def read(verdict: Verdict) -> Read:
    """The part of a verdict that is committed."""
    return Read(round(verdict.cosine, 4), round(verdict.threshold, 4), verdict.same_person)


def main() -> None:
    """Make the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of photos, without ending; all when left out")
    parser.add_argument("--preset", default="lab")
    asked = parser.parse_args()
    stages = pipeline.load(asked.preset)
    ANSWERS.mkdir(parents=True, exist_ok=True)
    made = json.loads(NUMBERS.read_text())["answers"] if NUMBERS.is_file() else {}
    for path in photos():
        if asked.names and path.stem not in asked.names:
            continue
        made[path.stem] = asdict(answer(stages, path))
        print(path.stem, made[path.stem])
        found = {"preset": stages.preset.name, "method": stages.preset.method, "answers": made}
        write_whole(NUMBERS, (json.dumps(found, indent=2) + "\n").encode(), force=True)


if __name__ == "__main__":
    main()
