from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.evaluate import keys
from kfaar_core.evaluate.context import Virtual, features
from kfaar_core.scenarios import populations


def test_random_keys_follow_the_law_and_have_their_thresholds(context, people, monkeypatch):
    monkeypatch.setattr(keys, "KEYS", 2000)
    cosine, largest, paper, dev = keys.random_key_rows(context, people)
    assert cosine.n == len(people) and abs(cosine.value) < 0.05
    assert "sd 0.35" in cosine.note and "8 dimensions has 0.3536" in cosine.note  # 1 / sqrt(8)
    assert largest.value > 0.8 and largest.n == 2000 * len(people)
    assert paper.n == dev.n == largest.n
    assert paper.value == pytest.approx(0.018, abs=0.004)  # P(cosine >= 0.7) in 8 dimensions
    assert paper.value < dev.value
    assert "in force" in dev.name and "2000 keys on each face" in dev.note


def test_no_accepted_key_is_bounded_by_the_number_of_keys(rng):
    accepted = np.zeros((300, 4), dtype=bool)
    row = keys.accepted_row("none", accepted, np.arange(4), rng, "")
    assert (row.value, row.low, row.high, row.n) == (0, 0, 0.01, 1200)


def test_wrong_bits_of_every_length(context, people, monkeypatch):
    monkeypatch.setattr(keys, "KEYS", 50)
    table = keys.keys_table(context, people, populations.OWN, 1)
    named = {row.name: row for row in table.rows}
    assert "8 bits, 5 wrong: cosine" in named and "8 bits, 16 wrong: cosine" not in named
    assert {"128 bits, 16 wrong: cosine", "256 bits, 0 wrong: cosine"} <= set(named)
    assert named["256 bits, 1 wrong: cosine"].n == keys.DRAWS * len(people)
    seen, photo = features(context.ask(Virtual(people[0].photos[0], "own 0", 256))), context.real(people[0].photos[0])
    recogniser = context.stages.identifier
    right = recogniser.virtual(seen.features, context.key("own 0")) @ recogniser.original(photo.features)
    known, read, originals = keys.read_faces(context, people, 256)
    first = keys.cosines(context, read, originals, context.key("own 0"))[0]
    assert known[0].number == 0 and first == pytest.approx(right)
