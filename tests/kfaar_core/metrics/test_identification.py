from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from kfaar_core.metrics.identification import cumulative_match, false_negatives, false_positives
from kfaar_core.metrics.pose import landmark_error

# Three searches in a gallery of three people: right at once, right at the second place, right at the last.
SIMILARITY = np.array([[0.9, 0.1, 0.2], [0.6, 0.5, 0.1], [0.4, 0.3, 0.2]])
PEOPLE = np.array([7, 8, 9])


def test_the_match_curve_by_hand():
    np.testing.assert_allclose(cumulative_match(SIMILARITY, PEOPLE, PEOPLE, 3), [1 / 3, 2 / 3, 1])


def test_the_match_curve_as_scikit_learn_counts_it(rng):
    people = np.arange(12)
    similarity = rng.standard_normal((12, 12)) + 1.5 * np.eye(12)
    found = cumulative_match(similarity, people, people, 12)
    expected = [top_k_accuracy_score(people, similarity, k=k, labels=people) for k in range(1, 12)]
    np.testing.assert_allclose(found, [*expected, 1])


def test_searches_that_fail_by_hand():
    assert false_negatives(SIMILARITY, PEOPLE, PEOPLE, threshold=0.0).tolist() == [False, True, True]
    assert false_negatives(SIMILARITY, PEOPLE, PEOPLE, threshold=0.0, rank=2).tolist() == [False, False, True]
    assert false_negatives(SIMILARITY, PEOPLE, PEOPLE, threshold=0.55, rank=2).tolist() == [False, True, True]
    assert false_positives(SIMILARITY, 0.55).tolist() == [True, True, False]
    assert false_positives(SIMILARITY, 0.4).all() and not false_positives(SIMILARITY, 0.95).any()


def test_without_a_threshold_a_missed_search_is_one_beyond_the_curve(rng):
    people, similarity = np.arange(9), rng.standard_normal((9, 9)) + np.eye(9)
    for rank in (1, 3):
        missed = false_negatives(similarity, people, people, -9.0, rank).mean()
        assert missed == pytest.approx(1 - cumulative_match(similarity, people, people, rank)[-1])


def test_a_tie_counts_against_the_search():
    assert false_negatives(np.array([[0.5, 0.5]]), np.array([0]), np.array([0, 1]), 0.0).tolist() == [True]


def test_landmarks_moved_by_half_the_distance_of_the_eyes():
    points = np.array([[[0.0, 0], [4, 0], [2, 3]]])
    moved = points + np.array([1.2, 1.6])  # by 2
    assert landmark_error(points, moved, points[:, :2]) == pytest.approx([0.5])
    assert landmark_error(points, points, points[:, :2]) == pytest.approx([0])
