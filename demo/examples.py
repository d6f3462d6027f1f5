"""The synthetic examples, each with an answer that was computed once and committed.

`python -m kfaar_core.train examples` renders the photos, `python -m benchmarks.examples` computes the answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kfaar_core.mark import FORMATS

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "examples"
ANSWERS = FOLDER / "answers"
NUMBERS = ANSWERS / "answers.json"


@dataclass(frozen=True)
class Read:
    """What the authentication server says of the committed picture under one key."""

    cosine: float
    threshold: float
    same_person: bool


@dataclass(frozen=True)
class ExampleAnswer:
    """A virtual face that was made before, with everything that the page says of it."""

    picture: str  # name of the file in ANSWERS, as it would be posted
    key: str  # hex digits; printed for everybody, so it protects nobody
    judge_cosine: float  # of the independent recogniser; of several faces the most similar one
    judge_threshold: float
    right: Read  # with the key
    wrong: Read  # with the same key and one bit of it flipped
    faces: int = 1  # that were replaced

    @property
    def path(self) -> Path:
        return ANSWERS / self.picture


@dataclass(frozen=True)
class Example:
    """A photo of somebody who does not exist, and its answer where there is one."""

    photo: Path
    answer: ExampleAnswer | None


def photos(folder: Path = FOLDER) -> list[Path]:
    """The example photos: person 1 to 12, another photo right after the first one, pictures of several people last."""
    return sorted((path for path in folder.glob("*") if path.suffix in FORMATS), key=_order)


def _order(path: Path) -> tuple[bool, int, str]:
    number = path.stem.split("-")[1] if path.stem.startswith("person-") else ""
    return (not number.isdigit(), int(number) if number.isdigit() else 0, path.stem)


@cache
def examples() -> tuple[Example, ...]:
    """All examples, in the order of photos()."""
    found = json.loads(NUMBERS.read_text()) if NUMBERS.is_file() else {"answers": {}}
    return tuple(Example(path, _answer(found["answers"].get(path.stem))) for path in photos())


def _answer(fields: dict[str, Any] | None) -> ExampleAnswer | None:
    if fields is None:
        return None
    return ExampleAnswer(**fields | {"right": Read(**fields["right"]), "wrong": Read(**fields["wrong"])})


@cache
def public_keys() -> frozenset[str]:
    """The keys of the examples, which everybody can read here."""
    return frozenset(example.answer.key for example in examples() if example.answer)
