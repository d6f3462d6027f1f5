"""Does the face alone carry the identity? How a verdict changes when everything outside the face is replaced.

The surroundings of x_v (outside stages.place.face_mask) are replaced by those of another person's virtual face, aligned
by its landmarks: hair, ears, neck, clothes and background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kfaar_core import image
from kfaar_core.evaluate.context import Arrays, EvaluationContext
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import photos_of, purpose_of
from kfaar_core.metrics.bootstrap import mean_interval, rate_interval
from kfaar_core.records import Photo, Row
from kfaar_core.report.tables import PHOTO_WORDS, Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs, populations
from kfaar_core.stages.locate import five_points
from kfaar_core.stages.place import face_mask


def swapped(picture: np.ndarray, points: np.ndarray, other: np.ndarray, other_points: np.ndarray) -> np.ndarray:
    """Paste the face of one picture into the surroundings of another.

    Args:
        picture: (S, S, 3) uint8, with the face.
        points: (478, 2 or 3) its landmarks, px.
        other: (S, S, 3) uint8, with the surroundings.
        other_points: (478, 2 or 3) its landmarks, px.

    Returns:
        (S, S, 3) uint8.
    """
    side = len(picture)
    to_other = image.similarity(five_points(points), five_points(other_points))
    around = image.warp(other, to_other, (side, side))
    inside = face_mask([points[:, :2] / side], side) > 0.5
    return np.where(inside[:, :, None], picture, around)


@dataclass(frozen=True)
class Swapped:
    """Request: features of a virtual face, as generated (`whole`) and in other surroundings (`swapped`)."""

    index: int  # of the photo
    purpose: str  # of its key
    other_index: int  # of the photo whose virtual face gives the surroundings
    other_purpose: str  # of its key
    bits: int  # length of the keys

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        return {**context.virtual_dependencies(self.bits), "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        stages = context.stages
        own = context.anonymised(context.photo(self.index), self.purpose, self.bits)
        other = context.anonymised(context.photo(self.other_index), self.other_purpose, self.bits)
        points = stages.locator.locate(own).landmarks
        mixed = swapped(own.pixels, points, other.pixels, stages.locator.locate(other).landmarks)
        # Face and landmarks are detected again in the new picture, because the surroundings may change them.
        return {
            "whole": stages.features(own.pixels, points),
            "swapped": stages.features(mixed, stages.locator.locate(Photo(mixed)).landmarks),
        }


def mask_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """How much the cosine changes, with the right key. Each person has a key of their own, whatever the key mode."""
    bits = context.stages.preset.key_bits
    asked = []
    for person, other in zip(people, [*people[1:], people[0]], strict=True):
        names = [purpose_of(populations.OWN, 0, who) for who in (person, other)]
        asked.append(Swapped(person.photos[0], names[0], other.photos[0], names[1], bits))
    fill(context, [*photos_of(people), *asked])
    rows = [row_ for photo in populations.PHOTOS for row_ in moved_rows(context, people, asked, photo)]
    missed = sum(not context.ask(request) for request in asked)
    about = (
        f"{context.data.name}, {len(people)} test people, a key a person, method "
        f"{context.stages.preset.method}; outside the face mask stands another person's virtual face; no face "
        f"found in {missed} of {len(asked)} pairs of pictures"
    )
    return Table("mask", "Identity shows in the face", about, tuple(rows))


def moved_rows(
    context: EvaluationContext, people: Sequence[pairs.Person], asked: Sequence[Swapped], photo: str
) -> list[Row]:
    """The rows for one kind of probe photo, SAME or OTHER."""
    identifier, which = context.stages.identifier, 0 if photo == populations.SAME else 1
    measured = []  # (cosine before, cosine after, person)
    for person, request in zip(people, asked, strict=True):
        features = context.ask(request)
        real = context.real(person.photos[which]) if len(person.photos) > which else None
        if not features or real is None:
            continue
        key, reference = context.key(request.purpose, request.bits), identifier.original(real.features)
        before, after = (identifier.virtual(features[name], key) @ reference for name in ("whole", "swapped"))
        measured.append((float(before), float(after), person.number))
    before, after, owners = (np.array(column) for column in zip(*measured, strict=True))
    threshold = context.stages.kvfa_threshold

    def rng(label: str) -> np.random.Generator:
        return stream(context.seed, f"mask, {photo}, {label}")

    return [
        row(f"{PHOTO_WORDS[photo]}: cosine before", mean_interval(before, owners, rng("before")), None, ""),
        row(f"{PHOTO_WORDS[photo]}: cosine after", mean_interval(after, owners, rng("after")), None, ""),
        row(
            f"{PHOTO_WORDS[photo]}: |difference| of the cosine",
            mean_interval(np.abs(after - before), owners, rng("difference")),
            None,
            "aim: below 0.05",
        ),
        row(
            f"{PHOTO_WORDS[photo]}: verdicts that change at {threshold:.3f} (in force)",
            rate_interval((before >= threshold) != (after >= threshold), owners, rng("verdict")),
            None,
            "",
        ),
    ]
