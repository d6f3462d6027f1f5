from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from kfaar_core.nets.sface import FEATURE
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.train import identity as module
from kfaar_core.train.data import TrainingData
from kfaar_core.train.identity import (
    aligned_with,
    auxiliary_identity,
    balanced_map,
    beyond_axis_mean,
    group_weights,
    identity_map,
    identity_report,
    pair_features,
    pair_identity,
    rarer_side,
)
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.small_worlds import SPACE


def people(rng: np.random.Generator, count: int = 40, photos: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """People differ in the first three of eight features; light, the fourth, differs much more, within everybody."""
    spread = np.array([3, 3, 3, 20, 0.5, 0.5, 0.5, 0.5])
    owners = np.repeat(np.arange(count), photos)
    means = rng.standard_normal((count, 8)) * (1, 1, 1, 0, 0, 0, 0, 0) * 3
    within = rng.standard_normal((len(owners), 8)) * np.where(spread == 3, 0.3, spread)
    return 5 + means[owners] + within, owners


def test_the_identity_map_separates_people(rng):
    features, owners = people(rng)
    state = identity_map(features, owners, dimension=3, shrink=0.001)
    rows = state["identity.map"].numpy()
    assert rows.shape == (3, 8)
    assert np.abs(rows[:, 3]).max() < 0.05 * np.abs(rows[:, :3]).max()  # light is not looked at
    seen = (features - state["identity.mean"].numpy()) @ rows.T
    np.testing.assert_allclose(seen.std(axis=0), 1)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-9)
    u = IdentityMap(state)(features)
    cosines = u @ u.T
    same = (owners[:, None] == owners) & ~np.eye(len(owners), dtype=bool)
    assert cosines[same].mean() > 0.95 and abs(cosines[owners[:, None] != owners].mean()) < 0.1


def test_nearest_neighbours_of_new_photos(rng):
    features, owners = people(rng)
    train, new = np.arange(len(owners)) % 6 < 4, np.arange(len(owners)) % 6 >= 4
    u = IdentityMap(identity_map(features[train], owners[train], 3, 0.001))(features)
    raw = owners[train][cdist(features[new], features[train]).argmin(axis=1)] == owners[new]
    mapped = owners[train][cdist(u[new], u[train]).argmin(axis=1)] == owners[new]
    assert mapped.mean() > 0.75 and raw.mean() < 0.4


def test_numbers_that_nobody_has_change_nothing(rng):
    """People in whose photos the teacher saw no face leave holes in the numbering."""
    features, owners = people(rng)
    dense, sparse = (identity_map(features, numbers, 3)["identity.map"] for numbers in (owners, 2 * owners + 1))
    assert torch.equal(dense, sparse)


def test_nobodys_many_photos_rule_the_scatter(rng):
    """One of 41 people has 400 photos, in which feature 0 varies; to all others it says more than feature 2."""
    owners = np.concatenate([np.repeat(np.arange(40), 6), np.full(400, 40)])
    means = rng.standard_normal((41, 3)) * (3, 3, 1.2)
    features = means[owners] + 0.3 * rng.standard_normal((640, 3))
    features[240:, 0] += 2 * rng.standard_normal(400)
    rows = identity_map(features, owners, dimension=2, shrink=1e-4)["identity.map"].numpy()
    used = np.abs(rows * means.std(axis=0)).max(axis=0)
    assert used[0] > 2 * used[2] and used[1] > 2 * used[2]


def test_people_with_one_photo_are_no_hindrance(rng):
    features, owners = people(rng)
    joined = np.concatenate([features, features[::6] + 1])
    rows = identity_map(joined, np.concatenate([owners, 40 + np.arange(40)]), 3, 0.001)["identity.map"].numpy()
    assert np.isfinite(rows).all() and np.abs(rows[:, 3]).max() < 0.05 * np.abs(rows[:, :3]).max()


def test_a_dimension_counts_the_more_the_more_reliable_it_is(rng):
    """People differ by feature 1 three times as much as by feature 0 in the same light."""
    owners = np.repeat(np.arange(60), 5)
    means = rng.standard_normal((60, 2)) * (1, 3)
    features = means[owners] + 0.5 * rng.standard_normal((300, 2))
    weight = {
        power: (
            (features - features.mean(axis=0))
            @ identity_map(features, owners, 2, 1e-6, power)["identity.map"].numpy().T
        )
        .std(axis=0)
        .round(6)
        for power in (0.0, 1.0, 2.0)
    }
    np.testing.assert_allclose(weight[0.0], 1)
    assert 1 > weight[1.0][0] > weight[1.0][1] > 0.5  # the first dimension is the one that tells most
    np.testing.assert_allclose(weight[2.0], weight[1.0] ** 2, rtol=1e-4)


def test_no_part_counts_for_more_because_its_numbers_are_larger(rng):
    features, owners = people(rng)
    size = np.array([1000.0] * 3 + [1.0] * 4 + [0.01])
    plain, large = (
        IdentityMap(balanced_map(np.split(seen, (3, 7), axis=1), owners, 3, 3.0, 2.0))(seen)
        for seen in (features, features * size)
    )
    np.testing.assert_allclose(plain @ plain.T, large @ large.T, atol=1e-9)
    unbalanced = IdentityMap(identity_map(features * size, owners, 3, 3.0, 2.0))(features * size)
    assert np.abs(unbalanced @ unbalanced.T - plain @ plain.T).max() > 0.1


def two_sides(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, people and side of 300 people of whom 30 lie 3 further along the first of six features."""
    side = np.arange(300) < 30
    means = rng.standard_normal((300, 6)) + np.outer(3 * side, np.eye(6)[0])
    owners = np.repeat(np.arange(300), 4)
    return means[owners] + 0.3 * rng.standard_normal((1200, 6)), owners, side


def test_the_fewer_are_no_more_alike_to_u_than_the_many_once_they_count_as_much(rng):
    features, owners, side = two_sides(rng)
    strangers = {}
    for name, importance in (("alike", None), ("evened", np.where(side, 10 / 1.1, 1 / 1.1))):
        u = IdentityMap(identity_map(features, owners, 6, 0.01, importance=importance))(features[::4])
        cosines = u @ u.T - np.eye(300)
        strangers[name] = [cosines[np.ix_(chosen, chosen)].mean() for chosen in (side, ~side)]
    assert strangers["alike"][0] > 0.35 and abs(strangers["alike"][1]) < 0.05
    few, many = strangers["evened"]
    assert abs(few - many) < 0.1 and few < 0.5 * strangers["alike"][0]


def test_people_who_count_alike_count_whatever_their_photos(rng):
    """The middle of u is then that of people: one of them has 400 photos, all in one place."""
    features, owners = people(rng)
    many = np.concatenate([features, np.full((400, 8), 9.0) + rng.standard_normal((400, 8))])
    owned = np.concatenate([owners, np.full(400, 40)])
    found = identity_map(many, owned, 3, importance=np.ones(41))["identity.mean"].numpy()
    expected = np.mean([many[owned == person].mean(axis=0) for person in range(41)], axis=0)
    np.testing.assert_allclose(found, expected)
    assert np.abs(identity_map(many, owned, 3)["identity.mean"].numpy() - expected).max() > 1


def test_the_generators_axis_tells_the_sides(rng):
    """Renders, which lie elsewhere in another feature, tell the axis up to noise; people lie 1.5 to either side."""
    features, owners, side = two_sides(rng)
    where = rng.standard_normal(400)
    renders = rng.standard_normal((400, 6)) + 1.5 * np.eye(6)[0] + np.outer(2 * where, np.eye(6)[0]) + 2 * np.eye(6)[4]
    axis = 7 + where + 0.1 * rng.standard_normal(400)
    found = beyond_axis_mean(features, 2 * owners, renders, axis, 0.01)
    assert found.shape == (300,) and np.mean(found == side) > 0.85


@pytest.mark.parametrize(("evens", "few"), [(1.0, 10), (0.5, 10**0.5), (0.0, 1)])
def test_the_fewer_count_for_more(evens, few):
    found = group_weights(np.arange(20) < 2, evens)
    np.testing.assert_allclose(found[:2], few)
    np.testing.assert_allclose(found[2:], (10 / 9) ** evens)


def test_an_axis_that_divides_nobody_is_refused():
    with pytest.raises(ValueError, match="one side"):
        group_weights(np.ones(5, dtype=bool), 1.0)


def test_a_map_turns_towards_another_and_keeps_its_cosines(rng):
    """Of features that are turned and mirrored, the identity comes back."""
    features = rng.standard_normal((50, 3))
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    turn *= (1, 1, -np.sign(np.linalg.det(turn)))
    state = {"identity.mean": torch.zeros(3), "identity.map": torch.from_numpy(turn)}
    u = features / np.linalg.norm(features, axis=1, keepdims=True)
    assert np.abs(IdentityMap(state)(features) - u).max() > 0.5
    np.testing.assert_allclose(IdentityMap(aligned_with(state, features, u))(features), u, atol=1e-9)


def test_the_report_of_u_is_of_pairs_of_photos():
    """Of three people the third has one photo and is left out; each of the others agrees with themself by 0.6, 1."""
    features = np.array([[1.0, 0], [0.6, 0.8], [-1, 0], [-1, 0], [0, 1]])
    state = {"identity.mean": torch.zeros(2), "identity.map": torch.eye(2)}
    people = np.array([4, 4, 7, 7, 9])
    found = identity_report(state, features, people)
    rarer = identity_report(state, features, people, np.array([True, False, True]))
    assert rarer == {**found, "rarer_side_people": 2, "rarer_side_strangers_cosine_mean": pytest.approx(0.0)}
    assert found == {
        "dev_people": 2,
        "two_photos_cosine_mean": pytest.approx(0.8),
        "strangers_cosine_sd": pytest.approx(0.2),  # of -1 and -0.6
        "auc": 1.0,
    }


def test_u_of_photos_looks_at_all_parts_and_lies_near_the_u_that_p_learned_with(
    rng, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Who somebody is stands in five numbers of E, less well, in five that E's last layer is fed, which show on which
    side they are as well, and in five of another network, better."""
    people = np.repeat(np.arange(80), 4)
    who = rng.standard_normal((80, 5))[people]
    narrow, fed, behind = rng.standard_normal((3, 320, FEATURE))
    narrow[:, :5] = 3 * who + rng.standard_normal((320, 5))
    fed[:, :5] = 3 * who + rng.standard_normal((320, 5))
    behind[:, :5] = 3 * who + 0.3 * rng.standard_normal((320, 5))
    w = rng.standard_normal((600, 3, 512)).astype(np.float32)
    rendered = 0.3 * rng.standard_normal((600, 2 * FEATURE))
    rendered[:, FEATURE] -= SPACE.of_w(torch.from_numpy(w))[:, :2, 0].mean(dim=1).numpy()
    seen = {"lfw-train": narrow, "lfw-train-wide": np.concatenate([narrow, fed], axis=1)}
    monkeypatch.setattr(TrainingData, "photos", SimpleNamespace(people=people))
    monkeypatch.setattr(TrainingData, "features", lambda self, faces, name, wide=False: seen.get(name, rendered))
    monkeypatch.setattr(TrainingData, "auxiliary_features", lambda self, faces, name: behind)
    monkeypatch.setattr(TrainingData, "space", SPACE)
    monkeypatch.setattr(module, "WIDE", 2 * FEATURE)
    monkeypatch.setattr(module, "load_renders", lambda kind, limit: SimpleNamespace(w=w))
    made = TrainingData(replace(LAB_TRAINING, code_dimension=5), tmp_path)
    pair = pair_features(made, made.photos, "lfw-train")
    np.testing.assert_array_equal(pair, np.concatenate([narrow, fed, behind], axis=1))
    beyond = fed[:, 0].reshape(80, 4).mean(axis=1) > 0  # the axis points the other way
    assert np.mean(rarer_side(made, pair, people) == beyond) > 0.75
    learned, photos = IdentityMap(made.identity)(narrow), IdentityMap(pair_identity(made))(pair)
    assert np.mean(np.sum(learned * photos, axis=1)) > 0.8

    beside = IdentityMap(auxiliary_identity(made))(behind)  # of another network, which knows the people better
    assert np.mean(np.sum(learned * beside, axis=1)) > 0.8

    def agreement(u: np.ndarray) -> float:
        return float(np.mean(np.sum(u[::4] * u[1::4], axis=1)))

    assert agreement(photos) > agreement(learned) + 0.02 and agreement(beside) > agreement(learned) + 0.02
