"""Conventions pinned by hand, curves compared with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from kfaar_core.errors import DataMissing
from kfaar_core.metrics import verification

scores = st.lists(st.integers(-10, 10).map(lambda tenth: tenth / 10), min_size=1, max_size=30).map(np.array)


@pytest.fixture
def overlapping():
    rng = np.random.default_rng(3)
    # Rounded, so that genuine and impostor scores tie.
    return np.round(rng.normal(0.5, 0.2, 400), 2), np.round(rng.normal(0.1, 0.2, 700), 2)


def labelled(genuine, impostor):
    return np.repeat([1, 0], [len(genuine), len(impostor)]), np.concatenate([genuine, impostor])


def test_a_score_at_the_threshold_is_accepted():
    rates = verification.error_rates(np.array([0.7, 0.69]), np.array([0.7, 0.1, 0.2, 0.3]), 0.7)
    assert (rates.far, rates.frr) == (0.25, 0.5)


def test_crr_pools_all_decisions():
    # Right: one of two genuine, three of four impostors.
    assert verification.crr(np.array([0.9, 0.1]), np.array([0.7, 0.1, 0.2, 0.3]), 0.7) == pytest.approx(4 / 6)


def test_crr_is_the_accuracy(overlapping):
    truth, values = labelled(*overlapping)
    assert verification.crr(*overlapping, 0.3) == pytest.approx(accuracy_score(truth, values >= 0.3))


def test_the_curve_is_that_of_scikit_learn(overlapping):
    curve = verification.roc(*overlapping)
    far, tar, thresholds = roc_curve(*labelled(*overlapping), drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far)
    np.testing.assert_allclose(curve.tar, tar)
    np.testing.assert_array_equal(curve.thresholds, thresholds)


@given(genuine=scores, impostor=scores)
def test_auc_with_ties_is_that_of_scikit_learn(genuine, impostor):
    assert verification.auc(genuine, impostor) == pytest.approx(roc_auc_score(*labelled(genuine, impostor)))


def test_auc_of_one_tie_is_a_half():
    assert verification.auc(np.array([0.5]), np.array([0.5])) == 0.5


def test_higher_scores_mean_the_same_person():
    assert verification.auc(np.array([0.9]), np.array([0.1])) == 1.0
    assert verification.auc(np.array([0.1]), np.array([0.9])) == 0.0


def test_eer_by_hand():
    # One of four genuine lies below one of four impostors: at 0.5, FAR = FRR = 1/4.
    found = verification.eer(np.array([0.4, 0.6, 0.8, 0.9]), np.array([0.5, 0.3, 0.2, 0.1]))
    assert found.rate == pytest.approx(0.25)
    assert found.threshold == 0.5


def test_eer_is_where_the_curve_meets_the_diagonal(overlapping):
    far, tar, _ = roc_curve(*labelled(*overlapping), drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - interp1d(far, tar)(x), 0, 1)
    assert verification.eer(*overlapping).rate == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("genuine", "impostor", "rate"), [(0.9, 0.1, 0.0), (0.1, 0.9, 1.0), (0.5, 0.5, 0.5)])
def test_eer_at_its_ends(genuine, impostor, rate):
    assert verification.eer(np.array([genuine]), np.array([impostor])).rate == pytest.approx(rate)


def test_threshold_at_fmr_lets_exactly_the_allowed_share_pass():
    impostor = np.arange(100) / 100
    threshold = verification.threshold_at_fmr(impostor, 0.01)
    assert verification.error_rates(impostor, impostor, threshold).far == 0.01
    assert 0.98 < threshold <= 0.99


def test_threshold_at_fmr_refuses_all_of_a_tie_that_does_not_fit():
    assert verification.threshold_at_fmr(np.array([0.1, 0.5, 0.5, 0.5]), 0.5) > 0.5


@given(impostor=scores, fmr=st.floats(0, 1))
def test_threshold_at_fmr_is_the_lowest_that_keeps_it(impostor, fmr):
    threshold = verification.threshold_at_fmr(impostor, fmr)
    assert np.mean(impostor >= threshold) <= fmr + 1e-9
    lower = impostor[impostor < threshold]
    if lower.size:
        assert np.mean(impostor >= lower.max()) > fmr


@given(genuine=scores, impostor=scores, far=st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5]))
def test_the_tar_within_a_far_is_that_of_its_threshold(genuine, impostor, far):
    rates = verification.error_rates(genuine, impostor, verification.threshold_at_fmr(impostor, far))
    assert rates.far <= far
    assert 1 - rates.frr == pytest.approx(float(verification.tar_within(verification.roc(genuine, impostor), far)))


@given(genuine=scores, impostor=scores)
def test_no_threshold_beats_the_best(genuine, impostor):
    best = verification.best_crr_threshold(genuine, impostor)
    assert verification.crr(genuine, impostor, best.threshold) == pytest.approx(best.crr)
    for threshold in np.arange(-1.05, 1.2, 0.1):
        assert verification.crr(genuine, impostor, threshold) <= best.crr + 1e-9


def test_the_best_threshold_lies_in_the_middle_of_the_gap():
    assert verification.best_crr_threshold(np.array([0.6, 0.8]), np.array([0.2, 0.0])).threshold == pytest.approx(0.4)


def test_of_equally_good_thresholds_the_stricter_is_taken():
    # Refusing everything and accepting everything are both half right.
    assert verification.best_crr_threshold(np.array([0.5]), np.array([0.5])).threshold > 0.5


def test_many_impostors_do_not_outvote_few_genuine_pairs():
    genuine, impostor = np.array([0.3, 0.9]), np.array([0.0] * 91 + [0.4] * 9)
    assert verification.best_crr_threshold(genuine, impostor).threshold == pytest.approx(0.65)  # nine against one
    even = verification.best_crr_threshold(genuine, impostor, even=True)
    assert even.threshold == pytest.approx(0.15) and even.crr == pytest.approx((1 + 0.91) / 2)


def test_a_threshold_may_be_held_to_a_false_acceptance_rate():
    genuine, impostor = np.array([0.3, 0.5, 0.6, 0.8]), np.array([0.0, 0.1, 0.2, 0.7])
    assert verification.best_crr_threshold(genuine, impostor).threshold == pytest.approx(0.25)
    assert verification.best_crr_threshold(genuine, impostor, 0.25).threshold == pytest.approx(0.25)
    strict = verification.best_crr_threshold(genuine, impostor, 0.2)
    assert strict.threshold == pytest.approx(0.75) and strict.crr == pytest.approx(5 / 8)


def test_weights_count_a_trial_as_often_as_it_is_drawn():
    genuine, impostor = np.array([0.2, 0.6, 0.9]), np.array([0.1, 0.6])
    weighted = verification.roc(genuine, impostor, np.array([[1, 0, 2]]), np.array([[3, 1]]))
    written_out = verification.roc(np.array([0.2, 0.9, 0.9]), np.array([0.1, 0.1, 0.1, 0.6]))
    np.testing.assert_allclose(verification.area(weighted), [verification.area(written_out)])
    np.testing.assert_allclose(verification.equal_error(weighted), [verification.equal_error(written_out)])


def test_a_resample_without_impostors_says_nothing():
    empty = verification.roc(np.array([0.5]), np.array([0.5]), np.array([[1]]), np.array([[0]]))
    for statistic in (verification.area, verification.equal_error, lambda curve: verification.tar_within(curve, 0.1)):
        assert np.isnan(statistic(empty)).all()


@pytest.mark.parametrize("bad", [np.array([]), np.zeros((2, 2)), np.array([0.1, np.nan])])
def test_unusable_scores_are_refused(bad):
    with pytest.raises(DataMissing):
        verification.auc(bad, np.array([0.1]))
    with pytest.raises(DataMissing):
        verification.error_rates(np.array([0.1]), bad, 0.5)
