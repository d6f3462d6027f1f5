from __future__ import annotations

import time

import numpy as np
import pytest

from kfaar_core.errors import BadSetting
from kfaar_core.metrics import bootstrap, verification
from kfaar_core.metrics.score_pair import ScorePair


def rng():
    return np.random.default_rng(5)


def people_and_scores(count=60, each=4):
    """Scores that vary more between people than within one."""
    random = np.random.default_rng(1)
    people = np.repeat(np.arange(count), each)
    return people, random.normal(0.5, 0.2, count)[people] + random.normal(0, 0.02, people.size)


def test_every_resample_draws_as_many_people_as_there_are():
    drawn = bootstrap.draws(17, rng())
    assert drawn.shape == (1000, 17)
    assert (drawn.sum(axis=1) == 17).all()


def test_people_are_resampled_not_trials():
    people, values = people_and_scores()
    found = bootstrap.mean_interval(values, people, rng())
    by_person = values.reshape(60, 4).mean(axis=1)
    expected = 2 * 1.96 * by_person.std() / np.sqrt(60)  # normal theory, one independent value a person
    assert found.high - found.low == pytest.approx(expected, rel=0.1)
    alone = bootstrap.mean_interval(values, np.arange(values.size), rng())
    assert alone.high - alone.low < 0.6 * (found.high - found.low)


def test_repeating_every_trial_changes_nothing_but_n():
    people, values = people_and_scores()
    once = bootstrap.mean_interval(values, people, rng())
    twice = bootstrap.mean_interval(np.tile(values, 2), np.tile(people, 2), rng())
    assert (once.low, once.high) == pytest.approx((twice.low, twice.high))
    assert (once.n, twice.n, once.people, twice.people) == (240, 480, 60, 60)


def test_the_interval_of_a_curve_is_that_of_resamples_written_out():
    people, genuine = people_and_scores(20, 3)
    impostor = np.random.default_rng(2).normal(0.2, 0.2, 40)
    impostor_people = np.repeat(np.arange(20), 2)
    found = bootstrap.curve_interval(verification.area, ScorePair(genuine, people, impostor, impostor_people), rng())
    areas = []
    for drawn in bootstrap.draws(20, rng()):  # the same draw for both populations
        g, i = np.repeat(genuine, drawn[people]), np.repeat(impostor, drawn[impostor_people])
        areas.append((g[:, None] > i).mean())  # Mann and Whitney: the share of pairs in the right order
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])))
    assert found.value == verification.auc(genuine, impostor)
    assert found.low < found.value < found.high


def test_chunks_do_not_change_the_interval(monkeypatch):
    people, genuine = people_and_scores(15, 2)
    scores = ScorePair(genuine, people, genuine - 0.3, people)
    whole = bootstrap.curve_interval(verification.equal_error, scores, rng())
    monkeypatch.setattr(bootstrap, "CHUNK", 500)
    assert bootstrap.curve_interval(verification.equal_error, scores, rng()) == whole


def test_numbers_of_people_are_names_only():
    people, values = people_and_scores(10)
    assert bootstrap.mean_interval(values, people, rng()) == bootstrap.mean_interval(values, 7 * people + 3, rng())


def test_no_error_at_all_is_bounded_by_the_rule_of_three():
    found = bootstrap.rate_interval(np.zeros(200, dtype=bool), np.repeat(np.arange(100), 2), rng())
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.03)
    full = bootstrap.rate_interval(np.ones(200, dtype=bool), np.repeat(np.arange(100), 2), rng())
    assert (full.value, full.low, full.high) == (1.0, 0.97, 1.0)


def test_the_rule_of_three():
    # The exact 95 % bound solves (1 - p)^n = 0.05.
    assert bootstrap.upper_of_zero(1000) == pytest.approx(1 - 0.05 ** (1 / 1000), rel=0.01)
    assert bootstrap.upper_of_zero(2) == 1.0
    assert bootstrap.upper_of_zero(0) == 1.0
    assert bootstrap.zero_words(327) == "<= 3/327"


def test_one_person_has_an_interval_of_no_width():
    found = bootstrap.mean_interval(np.array([0.2, 0.4]), np.array([0, 0]), rng())
    assert found.low == found.high == pytest.approx(0.3)


def test_an_interval_without_a_usable_resample_is_nan():
    found = bootstrap.interval(0.5, np.array([np.nan]), 3, 2)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_fewer_than_a_thousand_resamples_are_refused():
    with pytest.raises(BadSetting, match="at least 1000"):
        bootstrap.mean_interval(np.ones(3), np.arange(3), rng(), resamples=999)


def test_a_whole_evaluation_takes_seconds():
    random = np.random.default_rng(0)
    people = np.tile(np.arange(327), 8)
    genuine, impostor = random.normal(0.6, 0.2, people.size), random.normal(0, 0.2, people.size)
    start = time.perf_counter()
    bootstrap.curve_interval(verification.area, ScorePair(genuine, people, impostor, people), rng())
    assert time.perf_counter() - start < 10


def test_a_difference_shares_its_resamples(rng):
    people = np.arange(40)
    genuine, impostor = rng.normal(1, 1, 40), rng.normal(0, 1, 40)
    worse = np.stack([genuine, genuine - 0.3]), people, np.stack([impostor, impostor]), people
    found = bootstrap.curve_difference(verification.area, ScorePair(*worse), rng)
    apart = [
        bootstrap.curve_interval(verification.area, ScorePair(worse[0][i], people, impostor, people), rng)
        for i in (0, 1)
    ]
    assert found.value == pytest.approx(apart[0].value - apart[1].value)
    assert 0 < found.low < found.value < found.high
    assert found.high - found.low < 0.7 * (apart[0].high - apart[0].low)
    same = bootstrap.curve_difference(verification.area, ScorePair(worse[0][[0, 0]], people, worse[2], people), rng)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_both_people_of_a_pair_are_resampled():
    """As resamples written out: a pair of two people is there once for each copy of the one and each of the other."""
    draw = np.random.default_rng(4)
    first, second = np.triu_indices(12, 1)
    genuine, effect = draw.normal(1, 1, 12), draw.normal(0, 1, 12)
    impostor = effect[first] + effect[second] + draw.normal(0, 0.1, first.size)
    scores = ScorePair(genuine, np.arange(12), impostor, first, second)
    found = bootstrap.curve_interval(verification.area, scores, rng())
    areas = []
    for drawn in bootstrap.draws(12, rng()):
        pairs = [score for score, a, b in zip(impostor, first, second, strict=True) for _ in range(drawn[a] * drawn[b])]
        areas.append((np.repeat(genuine, drawn)[:, None] > np.array(pairs)).mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])))
    assert found.people == 12 and found.n == 12 + first.size


@pytest.mark.parametrize("others", [False, True])
def test_many_scores_have_the_interval_of_few_thresholds(monkeypatch, others):
    draw = np.random.default_rng(6)
    people, strangers = draw.integers(0, 50, 1500), draw.integers(0, 50, (2, 4500))
    scores = ScorePair(
        draw.normal(2, 1, 1500), people, draw.normal(0, 1, 4500), strangers[0], strangers[1] if others else None
    )
    exact = bootstrap.curve_interval(verification.equal_error, scores, rng())
    monkeypatch.setattr(bootstrap, "EXACT", 100)
    thinned = bootstrap.curve_interval(verification.equal_error, scores, rng())
    assert (thinned.low, thinned.high) == pytest.approx((exact.low, exact.high), abs=2e-3)


def test_scores_without_people_are_drawn_in_groups_of_equal_effect(monkeypatch):
    draw = np.random.default_rng(7)
    scores = ScorePair(draw.normal(2, 1, 500), np.arange(500), draw.normal(0, 1, 1500), np.arange(500, 2000))
    one_by_one = bootstrap.curve_interval(verification.equal_error, scores, rng(), 4000)
    monkeypatch.setattr(bootstrap, "SINGLES", 100)
    together = bootstrap.curve_interval(verification.equal_error, scores, rng(), 4000)
    assert (together.low, together.high) == pytest.approx((one_by_one.low, one_by_one.high), abs=2e-3)


def test_several_figures_share_their_resamples():
    people, genuine = people_and_scores(15, 2)
    scores = ScorePair(genuine, people, genuine - 0.3, people)
    both = bootstrap.curve_intervals({"AUC": verification.area, "EER": verification.equal_error}, scores, rng())
    assert both["AUC"] == bootstrap.curve_interval(verification.area, scores, rng())
    assert both["EER"] == bootstrap.curve_interval(verification.equal_error, scores, rng())
