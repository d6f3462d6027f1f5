"""Security of keys: random keys tried on virtual faces (Eq. 12), and keys with wrong bits (Table XII).

A verdict depends only on the features of the virtual face and the photo. Many keys can be tried on one face without
computing them again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.evaluate.authentication import thresholds_of
from kfaar_core.evaluate.context import EvaluationContext, Real, Virtual
from kfaar_core.evaluate.jobs import fill
from kfaar_core.evaluate.trials import purpose_of
from kfaar_core.keys import UserKey
from kfaar_core.metrics import random_direction
from kfaar_core.metrics.bootstrap import mean_interval, rate_interval, upper_of_zero, zero_words
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.tables import Table, kvfa_thresholds, row
from kfaar_core.runtime import stream
from kfaar_core.scenarios import pairs, populations

KEYS = 10_000  # random keys; each is tried on every virtual face  [design]
LENGTHS = (8, 128, 256)  # bits  [paper, Table XII]
WRONG = (0, 1, 3, 5, 16)  # wrong bits  [paper, Table XII]
DRAWS = 8  # random choices of the wrong bits for each face  [design]


def keys_table(context: EvaluationContext, people: Sequence[pairs.Person], key_mode: str, trials: int) -> Table:
    """Table XII: random keys, then keys with wrong bits.

    Each person has a key of their own, whatever the key mode, and the probe is the anonymised photo itself.
    """
    fill(context, [Real(person.photos[0]) for person in people])
    fill(context, [virtual(person, bits) for bits in LENGTHS for person in people])
    rows = random_key_rows(context, people)
    for bits in LENGTHS:
        rows += wrong_bit_rows(context, people, bits)
    about = (
        f"{context.data.name}, {len(people)} test people, a key a person, compared with the photo itself, "
        f"method {context.stages.preset.method}, d = {context.stages.identifier.dimension}"
    )
    return Table("XII", "Random keys, and keys with wrong bits", about, tuple(rows))


def virtual(person: pairs.Person, bits: int) -> Virtual:
    """The virtual face of a person under a key of `bits` bits."""
    return Virtual(person.photos[0], purpose_of(populations.OWN, 0, person), bits)


def read_faces(
    context: EvaluationContext, people: Sequence[pairs.Person], bits: int
) -> tuple[list[pairs.Person], np.ndarray, np.ndarray]:
    """Features of virtual faces and photos.

    Returns:
        The F people with a detected face in both pictures, the features of x_v (F, S), and I(x) (F, d).
    """
    asked = [(person, context.ask(virtual(person, bits)), context.real(person.photos[0])) for person in people]
    kept = [(person, face["features"], real.features) for person, face, real in asked if face and real is not None]
    originals = context.stages.identifier.original(np.stack([real for _, _, real in kept]))
    return [person for person, _, _ in kept], np.stack([face for _, face, _ in kept]), originals


def cosines(context: EvaluationContext, faces: np.ndarray, originals: np.ndarray, key: UserKey) -> np.ndarray:
    """Cosines (F,) of I(x_v, k) and I(x) under one key, from features (F, S) of x_v and I(x) (F, d)."""
    products: np.ndarray = context.stages.identifier.virtual(faces, key) * originals
    return products.sum(axis=-1)


def random_key_rows(context: EvaluationContext, people: Sequence[pairs.Person]) -> list[Row]:
    """Rows for random keys of the preset's length: their cosines, and the share accepted at each threshold."""
    bits = context.stages.preset.key_bits
    known, faces, originals = read_faces(context, people, bits)
    rng = stream(context.seed, "random keys")
    tried = np.stack([cosines(context, faces, originals, UserKey(rng.bytes(bits // 8))) for _ in range(KEYS)])
    owners = np.array([person.number for person in known])
    words = f"random key of {bits} bits"
    rows = [
        row(f"{words}: cosine", mean_interval(tried.mean(axis=0), owners, rng), None, spread_words(context, tried)),
        single(f"{words}: largest cosine of {tried.size}", float(tried.max()), tried.size),
    ]
    for label, threshold in kvfa_thresholds(thresholds_of(context.stages)):
        note = f"{len(known)} people; {accepted_words(context, tried, threshold)}"
        rows.append(accepted_row(f"{words}: accepted, {label}", tried >= threshold, owners, rng, note))
    return rows


def accepted_row(name: str, accepted: np.ndarray, owners: np.ndarray, rng: np.random.Generator, note: str) -> Row:
    """The share of accepted trials (K keys, F faces). If none is accepted, the upper bound is 3 / K."""
    share = mean_interval(accepted.mean(axis=0), owners, rng)
    high = share.high if accepted.any() else upper_of_zero(len(accepted))
    return Row(name, share.value, share.low, high, accepted.size, None, note)


def spread_words(context: EvaluationContext, tried: np.ndarray) -> str:
    """A note on the standard deviation of the cosines, and that expected of random directions."""
    words = f"sd {tried.std():.4f}"
    if context.stages.method.random_directions:
        d = context.stages.identifier.dimension
        words += f", a random direction in {d} dimensions has {random_direction.sd(d):.4f}"
    return words


def accepted_words(context: EvaluationContext, tried: np.ndarray, threshold: float) -> str:
    """A note for tables: how many of the cosines `tried` (keys, faces) are accepted, and how many the law predicts."""
    count, keys = int((tried >= threshold).sum()), len(tried)
    words = f"{count} of {tried.size}, {keys} keys on each face" + (f": {zero_words(keys)}" if not count else "")
    if context.stages.method.random_directions:
        d = context.stages.identifier.dimension
        words += f"; a random direction in {d} dimensions: {random_direction.tail(threshold, d):.2g}"
    return words


def single(name: str, value: float, n: int) -> Row:
    """A row without an interval."""
    return Row(name, value, float("nan"), float("nan"), n)


def wrong_bit_rows(context: EvaluationContext, people: Sequence[pairs.Person], bits: int) -> list[Row]:
    """Rows of Table XII for one key length: the cosine for each number of wrong bits, and the accepted share."""
    known, faces, originals = read_faces(context, people, bits)
    owners, rows = np.array([person.number for person in known]), []
    for wrong in WRONG:
        if wrong >= bits:
            continue
        draws = DRAWS if wrong else 1
        measured = np.zeros((draws, len(known)))
        for position, person in enumerate(known):
            right = context.key(purpose_of(populations.OWN, 0, person), bits)
            rng = stream(context.seed, f"{wrong} wrong bits of {bits}, person {person.number}")
            for draw in range(draws):
                key = right.flip_random(wrong, rng)
                measured[draw, position] = cosines(context, faces[[position]], originals[[position]], key)[0]
        name = f"{bits} bits, {wrong} wrong"
        rng = stream(context.seed, f"table XII, {name}")
        repeated = np.tile(owners, draws)
        mean = mean_interval(measured.ravel(), repeated, rng)
        rows.append(row(f"{name}: cosine", mean, paper_figure("XII", name, context.data.name), ""))
        hits = measured.ravel() >= context.stages.kvfa_threshold
        label = f"{name}: accepted, threshold {context.stages.kvfa_threshold:.3f} (in force)"
        rows.append(row(label, rate_interval(hits, repeated, rng), None, ""))
    return rows
