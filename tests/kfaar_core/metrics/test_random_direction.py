from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from kfaar_core.errors import BadSetting
from kfaar_core.metrics import random_direction


@pytest.mark.parametrize(("dimension", "expected"), [(32, 2.9e-6), (16, 8.8e-4)])
def test_chance_to_pass_the_papers_threshold(dimension, expected):
    assert random_direction.tail(0.7, dimension) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("dimension", [3, 8, 32])
@pytest.mark.parametrize("cosine", [-0.4, 0.0, 0.3])
def test_the_tail_is_the_area_of_the_cap(dimension, cosine):
    def ring(angle):
        return np.sin(angle) ** (dimension - 2)

    cap = quad(ring, 0, np.arccos(cosine))[0] / quad(ring, 0, np.pi)[0]
    assert random_direction.tail(cosine, dimension) == pytest.approx(cap)
    assert random_direction.below(cosine, dimension) == pytest.approx(1 - cap)


def test_on_the_sphere_the_cosine_is_uniform():  # Archimedes
    np.testing.assert_allclose(random_direction.below(np.array([-1, -0.5, 0.2, 1]), 3), [0, 0.25, 0.6, 1])


def test_directions_drawn_at_random_follow_the_law():
    drawn = np.random.default_rng(0).normal(size=(4000, 32))
    found = random_direction.law_test(drawn[:, 0] / np.linalg.norm(drawn, axis=1), 32)
    assert found.p_value > 0.05
    assert found.sd == pytest.approx(found.expected_sd, rel=0.05)
    assert found.expected_sd == pytest.approx(1 / np.sqrt(32)) == pytest.approx(random_direction.sd(32))


def test_another_dimension_or_a_bias_is_noticed():
    drawn = np.random.default_rng(0).normal(size=(4000, 32))
    cosines = drawn[:, 0] / np.linalg.norm(drawn, axis=1)
    assert random_direction.law_test(cosines, 24).p_value < 1e-3
    assert random_direction.law_test(cosines + 0.05, 32).p_value < 1e-3


def test_what_is_reached_on_the_sphere_and_that_nothing_is_rarer_than_the_pole():
    reached = random_direction.reached
    assert reached(0.25, 3) == pytest.approx(0.5)  # Archimedes: a quarter of the sphere lies above half its radius
    assert reached(0.5, 64) == pytest.approx(0, abs=1e-12)
    assert reached(1e-4, 64) > reached(1e-3, 64) > reached(1e-3, 128)


def test_a_single_dimension_is_refused():
    with pytest.raises(BadSetting):
        random_direction.tail(0.5, 1)
