"""Each attack where the answer is known: perfect copies, two dimensions, pure noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kfaar_core.attacks import (
    attributes,
    deanonymiser,
    forgery,
    guessing,
    known_pairs,
    linkage,
    many_faces,
    no_pairs,
    oracle,
    posture,
    reconstruction,
    stolen_key,
    surroundings,
)
from kfaar_core.attacks.base import value_of
from kfaar_core.attacks.evidence import Forged, Surroundings
from kfaar_core.keys import COMMON_PASSPHRASES
from kfaar_core.metrics.anonymity import hit_chances, rank_chances
from kfaar_core.metrics.random_direction import tail
from tests.kfaar_core.attacks.conftest import quiet


def named(figures, series):
    """Place -> value of a curve."""
    return {figure.at: figure.value for figure in figures if figure.series == series}


# ---- A1


def pairs_of(known, keys):
    """A1 with the very photos, for a few numbers of pairs."""
    return [figure for n in (1, 8, 16, 32, 48) for figure in known_pairs.at(known, keys, "photos", n)]


def test_in_two_dimensions_two_pairs_give_the_rotation():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    identities = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert known_pairs.rotation_from(identities @ turn.T, identities) == pytest.approx(turn)


def test_perfect_readings_under_one_key_name_everybody_from_as_many_pairs_as_dimensions(evidence):
    figures = pairs_of(evidence(people=60, dimension=8), "shared")
    curve = named(figures, "one key for all, the very photos: rank-1")
    assert curve[8] == curve[32] == 1 and curve[1] < 0.3
    assert named(figures, "one key for all, the very photos: accepted by KVFA")[16] == 1


def test_known_pairs_of_others_tell_nothing_about_a_derived_key(evidence):
    figures = pairs_of(evidence(people=60, dimension=8), "own")
    assert all(figure.guessed() for figure in figures if figure.series.startswith("a key each, the very photos: rank"))


def test_noise_makes_more_pairs_necessary(evidence):
    series = "one key for all, the very photos: rank-1"
    clear, noisy = (named(pairs_of(evidence(noise=noise), "shared"), series) for noise in (0.0, 1.5))
    assert noisy[16] < clear[16] - 0.2 and noisy[48] > noisy[8]


# ---- A2


def test_similarities_alone_name_perfect_copies(evidence):
    known = evidence(people=30, dimension=6)
    found = no_pairs.at(known, "shared", "photos", 1.0, 0)
    assert found.value > 0.9 and found.n == 30


def test_without_a_shared_key_there_is_nothing_to_match(evidence):
    known = evidence(people=40, dimension=6)
    assert no_pairs.at(known, "own", "photos", 1.0, 0).value < 0.2


# ---- A3, A5


def test_a_stolen_key_of_a_perfect_reading_finds_the_photo_in_every_gallery(evidence):
    figures = stolen_key.measure(evidence(people=30, others=20), quiet)
    assert named(figures, "the very photo: rank-1") == {10: 1, 30: 1, 50: 1}


def test_an_unreadable_face_is_found_as_often_as_by_guessing(evidence):
    figures = stolen_key.measure(evidence(people=100, noise=1e6, others=100), quiet)
    assert all(figure.guessed() for figure in figures if "rank" in figure.series)


def test_the_mean_of_two_readings_has_half_the_noise(evidence):
    figures = many_faces.measure(evidence(people=200, dimension=64, noise=1.0), quiet)
    curve = named(figures, "the very photo: cosine")
    assert curve[1] == pytest.approx(1 / np.sqrt(2), abs=0.02)  # signal 1, noise 1
    assert curve[2] == pytest.approx(1 / np.sqrt(1.5), abs=0.02)  # signal 1, noise 1/sqrt(2)


def test_the_rank_in_random_galleries_is_what_counting_them_gives(rng):
    cosines = rng.standard_normal((1, 12))  # the first is the right photo
    ahead = (cosines > cosines[:, :1]).sum(axis=1)
    drawn = [
        hit_chances(cosines[:, [0, *rng.permutation(np.arange(1, 12))[:4]]], np.zeros(1), np.arange(5), 2)[0]
        for _ in range(1000)
    ]
    assert rank_chances(ahead, 11, 5, 2)[0] == pytest.approx(np.mean(drawn), abs=0.05)


# ---- A4


def test_a_portrait_that_is_the_person_for_one_recogniser_need_not_be_so_for_another(evidence):
    known = evidence(people=40)
    made = replace(known.own, judge=known.photos.judge, identity=known.photos.u)
    figures = reconstruction.measure(replace(known, rebuilt=made), quiet)
    values = {figure.series: figure.value for figure in figures}
    assert values["the very photo, the judge: accepted, FMR 1 %"] == values["the very photo, the encoder: cosine"] == 1
    assert values["the very photo, a recogniser of another family: rank-1"] < 0.2


# ---- A6


def test_one_look_under_two_keys_is_linked_and_independent_looks_are_not(evidence, rng):
    same = rng.standard_normal((80, 5))
    for second, low, high in ((same, 0.95, 1.0), (rng.standard_normal((80, 5)), -0.1, 0.1)):
        scores = linkage.scores_of(same, second, rng)
        above = linkage.measured("looks", scores, rng)[1]
        assert above.series == "looks: D_sys above noise" and low - 0.1 <= above.value <= high


def test_codes_under_two_keys_are_not_linked_though_each_is_read_perfectly(evidence):
    figures = linkage.measure(evidence(people=50, dimension=16), quiet)
    assert value_of(figures, "what KVFA reads (h): AUC") == pytest.approx(0.5, abs=0.12)
    assert value_of(figures, "posture: AUC") == 1


# ---- A8


def test_as_many_scores_as_dimensions_give_the_direction(rng):
    asked, direction = rng.standard_normal((64, 8)), rng.standard_normal(8)
    found = oracle.direction_from(asked, asked @ direction)
    assert found @ direction / np.linalg.norm(found) / np.linalg.norm(direction) > 0.999


def test_scores_name_everybody_and_decisions_about_strangers_nobody(evidence):
    figures = oracle.measure(evidence(people=40, dimension=8, others=60), quiet)
    assert named(figures, "the server answers a score: named")[48] > 0.95
    assert named(figures, "the server answers a decision: named")[8] < 0.3


def test_the_limit_on_tries_keeps_random_keys_below_one_day_in_a_hundred(evidence):
    """At the threshold that the method in force has."""
    known = evidence(people=10, dimension=64)
    day = oracle.a_day(known)
    assert day.value <= 0.01 and tail(known.threshold, 64) < 1e-8


# ---- A9


def test_a_dictionary_has_facts_first_and_nothing_twice():
    listed = guessing.guesses("Ada Byron 1815 London Rex Lovelace Byron x y z")
    assert listed[0] == "Ada" and "ByronAda" in listed and "byron1815" in listed and "zAda" not in listed
    assert len(listed) == len(set(listed))
    assert guessing.guesses(None) == sorted(COMMON_PASSPHRASES)


def test_the_dictionary_finds_a_passphrase_at_its_place():
    asked = guessing.guesses("Rex 1990")
    place = asked.index("rex1990") + 1
    assert guessing.first_hit(lambda guess: float(guess == "rex1990"), asked, 0.5) == place
    assert guessing.first_hit(lambda guess: 0.0, asked, 0.5) is None


def test_random_keys_are_accepted_as_the_law_says(evidence, monkeypatch):
    monkeypatch.setattr(guessing, "DERIVED", 1)
    monkeypatch.setattr(guessing, "seconds_a_guess", lambda: np.array([0.1, 0.1]))
    known = evidence(people=50, dimension=4)
    figures = guessing.measure(known, quiet)
    law = tail(0.7, 4)
    assert value_of(figures, "random key: accepted") == pytest.approx(law, abs=4 * np.sqrt(law / 10_000))
    assert value_of(figures, "random keys until one is accepted with a chance of 50 %") == pytest.approx(
        np.log(0.5) / np.log(1 - law)
    )


# ---- A13


def test_an_exactly_kept_posture_names_the_photo_and_a_random_one_does_not(evidence, rng):
    known = evidence(people=60, others=140)
    series = "exact posture, head angles: rank-1"
    assert named(posture.measure(known, quiet), series)[100] > 0.95
    known.own.posture[:] = rng.standard_normal(known.own.posture.shape)
    assert named(posture.measure(known, quiet), series)[100] < 0.1


# ---- A7


def test_with_the_targets_key_ridge_learns_the_map_and_with_random_keys_nothing(evidence):
    known = evidence(people=120, dimension=6)
    shared = deanonymiser.predicted(known, known.shared, known.photos.u, deanonymiser.ridge)
    own = deanonymiser.predicted(known, known.own, known.photos.u, deanonymiser.ridge)
    auc = [
        value_of(deanonymiser.figures_of(known, "x", cosines), "x: AUC")  # nothing known is scored
        for cosines in (shared, own)
    ]
    assert auc[0] > 0.95 and auc[1] == pytest.approx(0.5, abs=0.1)
    assert np.isnan(shared).sum() == pytest.approx(120 * 60, abs=1)


def test_the_cnn_learns_what_pictures_show_plainly(evidence, rng, monkeypatch):
    monkeypatch.setattr(deanonymiser, "EPOCHS", 12)
    known = evidence(people=24, dimension=3)
    target = np.sign(known.photos.u)
    pictures = np.clip(128 + 100 * target[:, None, None, :] + rng.normal(0, 5, (24, 96, 96, 3)), 0, 255)
    faces = replace(known.own, picture=pictures.astype(np.uint8))
    found = deanonymiser.cnn(faces, target, np.arange(16), np.arange(16, 24))
    assert (np.sign(found) == target[16:]).mean() > 0.8


# ---- A12


def test_forged_pictures_are_accepted_as_often_as_their_cosines_say(evidence, rng):
    known = evidence(people=20, dimension=8)
    cosine = np.zeros((30, 20))
    cosine[3, 3] = cosine[4, 7] = cosine[25, 0] = 0.9  # his own photo, somebody else's, a random face
    seen = np.concatenate([rng.normal(9, 1, (20, 12)), rng.normal(0, 1, (10, 12))])
    known = replace(known, forged=Forged(cosine, seen))
    values = {figure.series: figure.value for figure in forgery.measure(known, quiet)}
    assert [values[f"{kind}: accepted with the right key"] for kind in forgery.KINDS] == [1 / 20, 1 / 380, 1 / 200]
    assert values["check: a real photo passes for a virtual face"] == 0
    assert values["check: a random face of the generator passes for a virtual face"] > 0.5


# ---- A10


def test_equal_surroundings_name_everybody_and_unrelated_ones_nobody(evidence, rng):
    known = evidence(people=100)
    same = np.repeat(rng.standard_normal((100, 1, 8)), 2, axis=1)
    noise = rng.standard_normal((100, 2, 8))
    figures = surroundings.measure(replace(known, around=Surroundings(same, noise, noise)), quiet)
    values = {figure.series: figure.value for figure in figures}
    assert values["outside the face, the encoder: rank-1"] == 1
    assert values["outside the face, the judge: rank-1"] < 0.08


# ---- A11


def test_attributes_that_a_face_keeps_are_seen_and_others_stay_at_the_prior(evidence):
    known = evidence(people=80)
    men = (known.photos.male >= 0.5).mean()
    for male, right in ((known.photos.male, 1.0), (np.ones(80), men)):
        figures = attributes.measure(replace(known, own=replace(known.own, male=male)), quiet)
        over = value_of(figures, "sex, the networks look: over the prior")
        assert over == pytest.approx(right - max(men, 1 - men))


def test_a_classifier_that_may_learn_finds_what_features_hold(rng):
    truth = (np.arange(100) % 2).astype(float)
    features = rng.standard_normal((100, 5))
    assert (attributes.learned(features, truth, rng) == truth).mean() < 0.75
    features[:, 2] += 8 * truth
    assert (attributes.learned(features, truth, rng) == truth).mean() > 0.9
