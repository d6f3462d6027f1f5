from __future__ import annotations

from kfaar_core.evaluate import random_faces
from kfaar_core.evaluate.random_faces import RandomFace, ceiling_rows


def test_each_face_meets_the_next_one_at_every_truncation_and_threshold(context, monkeypatch):
    monkeypatch.setattr(random_faces, "FACES", 6)
    rows = ceiling_rows(context, {"low": -1.1, "high": 1.1})
    assert [(row.value, row.n) for row in rows] == [(0, 5), (1, 5)] * 2
    assert "truncation 0.7" in rows[0].name and "truncation 1.0" in rows[3].name and "high (1.100)" in rows[3].name


def test_a_random_face_does_not_depend_on_the_projector_or_the_data(context):
    depends = RandomFace(0, 0.7).depends(context)
    assert "data" not in depends and "projector" not in str(depends)
