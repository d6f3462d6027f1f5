from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.evaluate import likeness
from kfaar_core.evaluate.context import FaceFeatures
from kfaar_core.evaluate.likeness import ONE_KEY, REAL, STRANGERS, Pair, look_rows, person_table, strangers
from kfaar_core.evaluate.observers import Observation
from kfaar_core.metrics.verification import auc


def face(male=0.9, age=30.0, hair=(20.0, 0.0, 0.0), skin=(60.0, 10.0, 20.0)) -> FaceFeatures:
    seen = Observation(male, age, np.full(7, 1 / 7), np.eye(1, 192)[0], np.array([hair, skin]))
    return FaceFeatures(np.zeros(3), np.zeros(2), seen)


def test_rows_by_hand(context):
    bald = (np.nan,) * 3
    listed = [
        Pair(0, face(male=0.9, age=30), face(male=0.6, age=40)),
        Pair(1, face(male=0.6, age=50), face(male=0.4, age=20, skin=(60, 13, 24))),
        Pair(2, face(), face(hair=(20, 3, 4))),
        Pair(3, face(hair=bald), face()),
    ]
    rows = {row.name: row for row in look_rows(context, "x", listed)}
    assert rows["x: sex agrees"].value == 0.75 and rows["x: age gap, years"].value == 10
    assert rows["x: hair, distance in CIE Lab"].value == pytest.approx(5 / 3)
    assert rows["x: hair, distance in CIE Lab"].n == 3 and rows["x: sex agrees"].n == 4
    assert rows["x: skin, distance in CIE Lab"].value == pytest.approx(5 / 4)


def test_strangers_are_other_people():
    both = {number: (face(age=number), face(age=number + 10)) for number in (3, 5, 8)}
    assert [(p.person, p.first.seen.age, p.second.seen.age) for p in strangers(both)] == [
        (3, 3, 15),
        (5, 5, 18),
        (8, 8, 13),
    ]
    assert strangers({3: both[3]}) == []


@pytest.mark.parametrize("key_mode", ["shared", "own"])
def test_the_table_has_every_pair(context, people, key_mode):
    table = person_table(context, people, key_mode, 2)
    keys = 2 if key_mode == "shared" else 1
    rows = {row.name: row for row in table.rows}
    assert f"{keys} keys, {key_mode}" in table.about
    for name, times in ((ONE_KEY, keys), (STRANGERS, keys), (REAL, 1)):
        assert rows[f"{name}: sex agrees"].n == times * len(people)
    synchronism = rows[f"synchronism, {likeness.RECOGNISER} AUC"]
    assert synchronism.n == keys * len(people) ** 2  # genuine ones, and all impostors under the same key
    assert 0 <= synchronism.value <= 1


def test_the_recogniser_compares_the_faces_of_one_person(context, people):
    rows = {row.name: row.value for row in likeness.real_rows(context, people)}
    seen = [[context.real(index).seen.embedding for index in person.photos] for person in people]
    cosines = np.array([[a[0] @ b[1] for b in seen] for a in seen])
    same = np.eye(len(people), dtype=bool)
    assert rows[f"{REAL}, {likeness.RECOGNISER} AUC"] == pytest.approx(auc(cosines[same], cosines[~same]))
