from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.errors import DataMissing
from kfaar_core.metrics import anonymity


def test_a_pair_at_the_threshold_is_the_same_person():
    found = anonymity.different(np.array([0.3, 0.29, 0.31, -0.5]), 0.3)
    assert (found.share, found.n) == (0.5, 4)


def test_ranks_by_hand():
    similarity = np.array([[0.9, 0.1, 0.2], [0.9, 0.5, 0.7], [0.1, 0.2, 0.3]])
    owners = np.array([0, 1, 2])
    found = [anonymity.hit_chances(similarity, owners, owners, k).tolist() for k in (1, 2, 3)]
    assert found == [[1, 0, 1], [1, 0, 1], [1, 1, 1]]  # the second person comes third


def test_a_person_with_two_gallery_photos_is_one_candidate():
    similarity = np.array([[0.9, 0.8, 0.5]])
    assert anonymity.hit_chances(similarity, np.array([7]), np.array([3, 3, 7]), 2) == 1
    assert anonymity.hit_chances(similarity, np.array([7]), np.array([3, 3, 7]), 1) == 0


def test_the_best_photo_of_a_person_counts():
    assert anonymity.hit_chances(np.array([[0.1, 0.6, 0.5]]), np.array([3]), np.array([3, 3, 7]), 1) == 1


@pytest.mark.parametrize("k", [1, 3, 10])
def test_a_blind_recogniser_finds_people_by_chance(k):
    people = np.arange(10)
    assert anonymity.hit_chances(np.zeros((10, 10)), people, people, k) == pytest.approx([k / 10] * 10)


@pytest.mark.parametrize(
    ("shape", "probes", "gallery"),
    [((0, 2), [], [0, 1]), ((2, 0), [0, 1], []), ((2, 3), [0, 1], [0, 1]), ((1, 2), [5], [0, 1])],
)
def test_what_does_not_fit_is_refused(shape, probes, gallery):
    with pytest.raises(DataMissing):
        anonymity.hit_chances(np.zeros(shape), np.array(probes, int), np.array(gallery, int), 1)
