from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from kfaar_core.errors import DataMissing
from kfaar_core.metrics import pose


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(10, 4, 6), (-10, 4, 14), (179, -179, 2), (-179, 179, 2), (0, 180, 180), (0, 360, 0), (90, -90, 180)],
)
def test_angles_differ_the_short_way_round(first, second, expected):
    assert pose.angle_difference(first, second) == expected


@pytest.fixture
def faces():
    rng = np.random.default_rng(4)
    return rng.random((30, 52)), rng.random((30, 52))


def test_the_neutral_blendshape_does_not_count(faces):
    original, virtual = faces
    changed = virtual.copy()
    changed[:, 0] = 9
    np.testing.assert_allclose(
        pose.expression_cosines(original, changed), np.diag(cosine_similarity(original[:, 1:], virtual[:, 1:]))
    )


def test_centring_takes_the_mean_face_off_both(faces):
    original, virtual = faces
    centred = pose.expression_cosines(original, virtual, original.mean(axis=0))
    shifted = [each[:, 1:] - original[:, 1:].mean(axis=0) for each in faces]
    np.testing.assert_allclose(centred, np.diag(cosine_similarity(*shifted)))
    raw = pose.expression_cosines(original, virtual).mean()
    assert raw > 0.6 > 0.2 > abs(centred.mean())  # positive vectors are alike by themselves


def test_a_face_without_expression_scores_0(faces):
    assert pose.expression_cosines(np.zeros((1, 52)), faces[0][:1]).tolist() == [0.0]


def test_other_shapes_are_refused():
    for bad in (np.zeros((2, 51)), np.zeros((3, 52)), np.zeros(52)):
        with pytest.raises(DataMissing):
            pose.expression_cosines(np.zeros((2, 52)), bad)
    with pytest.raises(DataMissing):
        pose.expression_cosines(np.zeros((0, 52)), np.zeros((0, 52)))
