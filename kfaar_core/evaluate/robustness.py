"""Robustness of KVFA to JPEG compression, downscaling and cropping of virtual faces (design: protocol).

The undamaged PNG is the reference. A face that is detected in it but not after the damage scores -1, which every
threshold rejects. No trial is dropped because of the damage.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kfaar_core import image
from kfaar_core.errors import NoFaceFound
from kfaar_core.evaluate.context import Arrays, EvaluationContext
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import Trial, photos_of, rounds_of, trials_of
from kfaar_core.metrics.bootstrap import curve_difference, curve_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import area
from kfaar_core.records import Photo, Row
from kfaar_core.report.tables import PHOTO_WORDS, Table, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs, populations

QUALITY = 75  # of the JPEG  [design, protocol]
SIDE = 256  # px  [design, protocol]
CUT = 0.05  # mean share of the side that is cropped at each border  [design]
NOT_DETECTED = -1.0  # score

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def jpeg(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Compress (H, W, 3) uint8 as JPEG and decode it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return image.open_photo(file.getvalue()).pixels


def resize(pixels: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Resize (S, S, 3) uint8 to (SIDE, SIDE, 3)."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def crop(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crop (S, S, 3) uint8 to a random window with sides of (1 - 2 CUT) S."""
    side = round((1 - 2 * CUT) * len(pixels))
    x, y = rng.integers(0, len(pixels) - side + 1, size=2)
    return pixels[y : y + side, x : x + side]


DAMAGES: Mapping[str, tuple[Damage, ...]] = {
    "PNG": (),
    f"JPEG {QUALITY}": (jpeg,),
    f"{SIDE} px": (resize,),
    f"{100 * CUT:.0f} % crop": (crop,),
    "crop, resize and JPEG": (crop, resize, jpeg),
}
REFERENCE = next(iter(DAMAGES))


@dataclass(frozen=True)
class Damaged:
    """Request: features of a virtual face after each damage, without those after which no face is detected."""

    index: int  # of the photo
    purpose: str  # of the key
    bits: int  # length of the key

    def depends(self, context: EvaluationContext) -> dict[str, object]:
        numbers = {"quality": QUALITY, "side": SIDE, "cut": CUT, "names": list(DAMAGES)}
        return {**context.virtual_dependencies(self.bits), **numbers, "data": context.data.sha256}

    def arrays(self, context: EvaluationContext) -> Arrays:
        picture = context.anonymised(context.photo(self.index), self.purpose, self.bits).pixels
        by_damage = {}
        for name, steps in DAMAGES.items():
            rng, pixels = stream(context.seed, f"{name} of photo {self.index}, {self.purpose}"), picture
            for step in steps:
                pixels = step(pixels, rng)
            try:
                landmarks = context.stages.locator.locate(Photo(pixels)).landmarks
                by_damage[name] = context.stages.features(pixels, landmarks)
            except NoFaceFound:
                continue
        return by_damage


@dataclass(frozen=True)
class Cosines:
    """Scores of the same N trials after each damage."""

    values: np.ndarray  # (damages, N)
    people: np.ndarray  # (N,) int, the person of each trial


def robustness_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """KVFA's AUC after each damage, for another and the same photo of the person, and its loss against the PNG."""
    listed = trials_of(people, key_mode, trials, context.stages.preset.key_bits)
    asked = {trial: Damaged(trial.index, trial.purpose, trial.bits) for trial in listed}
    fill(context, [*photos_of(people), *asked.values()])
    scores, unseen, missed = collected(context, people, asked)
    rows = []
    for photo in populations.PHOTOS:
        rows += damage_rows(context, photo, scores[populations.genuine(photo)], scores[populations.IMPOSTOR])
    lost = ", ".join(f"{count} after {name}" for name, count in unseen.items() if count) or "none"
    about = (
        f"{context.data.name}, {len(people)} test people, {populations.KEY_MODES[key_mode]}, "
        f"{rounds_of(key_mode, trials)} trials, "
        f"method {context.stages.preset.method}; {missed} of {len(asked)} virtual faces not found in the PNG, "
        f"of the others not found: {lost}"
    )
    return Table("VI, damaged", "KVFA after damage to the virtual face", about, tuple(rows))


def collected(
    context: EvaluationContext, people: Sequence[pairs.Person], asked: Mapping[Trial, Damaged]
) -> tuple[dict[str, Cosines], dict[str, int], int]:
    """KVFA's cosines between photos and virtual faces that were damaged, as by saving them as JPEG.

    Args:
        people: whose photos are compared.
        asked: trial -> the request for its virtual face, undamaged and with each damage.

    Returns:
        Name of the population -> cosines; damage -> number of faces detected only without it; number of faces not
        detected even undamaged.
    """
    identifier = context.stages.identifier
    photos = {index: context.real(index) for person in people for index in person.photos}
    numbered = {person.number: person for person in people}
    values: dict[str, list[list[float]]] = {}
    owners: dict[str, list[int]] = {}
    unseen, missed = dict.fromkeys(DAMAGES, 0), 0
    for trial, request in asked.items():
        by_damage = context.ask(request)
        if REFERENCE not in by_damage:
            missed += 1
            continue
        for name in DAMAGES:
            unseen[name] += name not in by_damage
        key = context.key(request.purpose, request.bits)
        read = {name: identifier.virtual(features, key) for name, features in by_damage.items()}
        ring = pairs.impostors(tuple(people), trial.repetition, seed=context.seed)
        probes = [(populations.IMPOSTOR, int(ring.probes[list(numbered).index(trial.person.number)]))]
        own = trial.person.photos
        probes += [
            (populations.genuine(p), i) for p, i in zip((populations.SAME, populations.OTHER), own, strict=False)
        ]
        for name, index in probes:
            real = photos[index]
            if real is None:
                continue
            reference = identifier.original(real.features)
            cosines = [float(read[damage] @ reference) if damage in read else NOT_DETECTED for damage in DAMAGES]
            values.setdefault(name, []).append(cosines)
            owners.setdefault(name, []).append(trial.person.number)
    return {name: Cosines(np.array(values[name]).T, np.array(owners[name])) for name in values}, unseen, missed


def damage_rows(context: EvaluationContext, photo: str, genuine: Cosines, impostor: Cosines) -> list[Row]:
    """Rows: AUC after each damage, and its loss against the PNG."""
    rows = []
    for number, name in enumerate(DAMAGES):
        label = f"AUC, {PHOTO_WORDS[photo]}, {name}"
        scores = ScorePair(genuine.values[number], genuine.people, impostor.values[number], impostor.people)
        rows.append(row(label, curve_interval(area, scores, stream(context.seed, label)), None, ""))
        if number:
            both = [0, number]
            compared = ScorePair(genuine.values[both], genuine.people, impostor.values[both], impostor.people)
            loss = curve_difference(area, compared, stream(context.seed, f"{label}, loss"))
            rows.append(row(f"{label}: loss against {REFERENCE}", loss, None, ""))
    return rows
