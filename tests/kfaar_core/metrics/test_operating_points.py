"""Operating points against pyeer, scikit-learn and cases that can be told by heart."""

from __future__ import annotations

import numpy as np
import pytest
from pyeer import eer_stats as pyeer  # its eer_info needs pkg_resources, which setuptools no longer has
from sklearn.metrics import det_curve, roc_auc_score, roc_curve

from kfaar_core.metrics import operating_points as points
from kfaar_core.metrics import verification


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    genuine, impostor = rng.normal(1.5, 1, 300), rng.normal(0, 1, 700)
    return {
        "plain": (genuine, impostor),
        "ties": (np.round(genuine), np.round(impostor)),
        "separated": (genuine + 20, impostor),
        "reversed": (impostor, genuine),
        "few": (np.array([0.2, 0.5, 0.5, 0.9]), np.array([0.1, 0.5, 0.6])),
    }


@pytest.fixture(params=cases())
def case(request):
    return cases()[request.param]


def test_area_curve_and_det_are_those_of_scikit_learn(case):
    labels, scores = np.repeat([1, 0], [len(side) for side in case]), np.concatenate(case)
    curve = verification.roc(*case)
    far, tar, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far)
    np.testing.assert_allclose(curve.tar, tar)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert verification.area(curve) == pytest.approx(roc_auc_score(labels, scores))
    fmr, fnmr, at = det_curve(labels, scores)
    for share, miss, threshold in zip(fmr, fnmr, at, strict=True):
        rates = verification.error_rates(*case, threshold)
        assert (rates.far, rates.frr) == (pytest.approx(share), pytest.approx(miss))


def test_equal_error_and_d_prime_are_those_of_pyeer(case):
    genuine, impostor = case
    _, fmr, fnmr = pyeer.calculate_roc(*case)
    _, low, high, rate = pyeer.get_eer_values(fmr, fnmr)
    ours = points.equal_error_range(verification.roc(*case))
    assert ours.rate == pytest.approx(rate)
    assert (ours.low, ours.high) == tuple(pytest.approx(x) for x in sorted((low, high)))
    theirs = pyeer.get_decidability_value(genuine.mean(), genuine.std(), impostor.mean(), impostor.std())
    assert points.decidability(*case) == pytest.approx(theirs)


def test_operating_points_are_those_of_pyeer_where_the_fmr_exists():
    """100 impostors have an FMR of exactly 5 % and 1 %; pyeer takes the nearest FMR, which may be above the limit."""
    rng = np.random.default_rng(5)
    genuine, impostor = rng.normal(2, 1, 90), np.append(rng.normal(0, 1, 99), -9.0)
    genuine = np.append(genuine, 30.0)  # the highest score is genuine: pyeer has no threshold above all scores
    thresholds, fmr, fnmr = pyeer.calculate_roc(genuine, impostor)
    ours = {point.name: point for point in points.operating_points(verification.roc(genuine, impostor))}
    for name, limit in (("FMR20", 0.05), ("FMR100", 0.01), ("ZeroFMR", 0.0)):
        index, rate = pyeer.get_fmr_op(fmr, fnmr, limit)
        assert ours[name].fnmr == pytest.approx(rate), name
        assert accepted(genuine, ours[name].threshold) == accepted(genuine, thresholds[index]), name
    assert ours["ZeroFNMR"].fmr == pytest.approx(pyeer.get_fnmr_op(fmr, fnmr, 0)[1])


def accepted(scores, threshold) -> int:
    return int((scores >= threshold).sum())


def test_points_told_by_heart():
    genuine, impostor = np.array([0.9, 0.8, 0.4, 0.3]), np.linspace(0.0, 0.5, 40)
    found = {point.name: point for point in points.operating_points(verification.roc(genuine, impostor))}
    assert found["FMR20"].fmr == 2 / 40 and found["FMR20"].fnmr == 0.5  # two of forty are one in twenty
    assert found["FMR100"] == points.OperatingPoint("FMR100", 0.8, 0.0, 0.5)
    assert found["ZeroFMR"].threshold == 0.8 and found["ZeroFNMR"].threshold == 0.3
    assert found["ZeroFNMR"].fmr == pytest.approx((impostor >= 0.3).mean())


def test_where_the_highest_score_is_an_impostors_zero_fmr_matches_nobody():
    found = {point.name: point for point in points.operating_points(verification.roc(np.array([0.5]), np.array([0.6])))}
    assert found["ZeroFMR"].fmr == 0 and found["ZeroFMR"].fnmr == 1 and 0.6 < found["ZeroFMR"].threshold < 0.61


def test_equal_scores_are_chance_and_have_no_d_prime():
    same = np.full(5, 0.3)
    assert points.equal_error_range(verification.roc(same, same)).rate == 0.5  # pyeer answers 1
    assert points.decidability(same, same) == 0 and points.decidability(same, same - 1) == np.inf


def test_a_thinned_curve_keeps_ends_and_points():
    rng = np.random.default_rng(1)
    curve = verification.roc(rng.normal(2, 1, 20_000), rng.normal(0, 1, 80_000))
    thin = verification.thinned(curve, 500)
    assert thin.thresholds.size <= 502 and thin.thresholds[0] == np.inf and thin.far[-1] == thin.tar[-1] == 1
    at = np.searchsorted(-curve.thresholds, -thin.thresholds)
    np.testing.assert_array_equal(curve.far[at], thin.far)
    np.testing.assert_array_equal(curve.tar[at], thin.tar)
    drawn = np.interp(np.log10(curve.far.clip(1e-4)), np.log10(thin.far.clip(1e-4)), thin.tar)
    assert np.abs(drawn - curve.tar)[curve.far > 1e-4].max() < 0.01  # less than a line's width in a plot of 400 px
    assert verification.thinned(thin, 600) is thin
