"""Table X on triplets whose features show u and the key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kfaar_core.evaluate.ablate_kvfa import (
    GENUINE,
    IMPOSTOR,
    Triplets,
    figures,
    own_thresholds,
    scores,
    split,
    table_x,
    triplets_of,
    untrained,
)
from kfaar_core.evaluate.ablation import KVFA, Repeats
from kfaar_core.train.bits import KeyedExamples
from kfaar_core.train.projector import People
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.small_worlds import crowd

BITS, D, COUNT = 8, 4, 120
QUICK = replace(LAB_TRAINING, keyed_steps=2, bits_batch=8)


@pytest.fixture
def people(rng) -> People:
    return crowd(rng, photos=(2, 3, 1, *(2,) * 20))


@pytest.fixture
def drawn(people, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(2, N, S) features that show payload and noise, (N, d + bits) payload, (T, 3) photos."""
    torch.manual_seed(0)
    photos = torch.stack(people.triplets(COUNT), dim=1)
    key = np.repeat(rng.choice([-1.0, 1.0], (COUNT, BITS)), 3, axis=0)
    payload = np.concatenate([people.identity[photos.flatten()].numpy(), key], axis=1).astype(np.float32)
    features = np.concatenate([payload, rng.standard_normal((len(payload), 2))], axis=1)
    return np.stack([features, features + 0.1]), payload, photos.numpy()


@pytest.fixture
def triplets(people, drawn) -> Triplets:
    examples = KeyedExamples(*drawn[:2], np.zeros((len(drawn[1]), 3, 512)))
    return triplets_of(examples, people)


def test_everybody_is_known_again(people, drawn, triplets):
    owners = {int(photo): person for person, photos in enumerate(people.pairs) for photo in photos}
    assert triplets.people.tolist() == [[owners[int(photo)] for photo in row] for row in drawn[2]]
    assert triplets.features.shape == (2, COUNT, 3, D + BITS + 2)
    np.testing.assert_array_equal(triplets.payload.reshape(drawn[1].shape), drawn[1])


def test_who_is_held_out_is_drawn_by_the_seed(triplets):
    held, unseen = split(triplets, 0)
    assert set(unseen.people[:, 0]) <= set(held) and len(unseen) > COUNT / 10
    assert sum(np.isin(row[0], held) for row in triplets.people) == len(unseen)
    assert (np.diff(unseen.people[:, 0]) >= 0).all()
    np.testing.assert_array_equal(split(triplets, 0)[0], held)
    assert set(split(triplets, 1)[0]) != set(held)


def test_people_who_are_held_out_come_in_no_triplet(people):
    left = people.without(np.array([0, 3]))
    gone = {int(photo) for person in (0, 3) for photo in people.pairs[person]}
    assert not gone & {int(photo) for photos in left.triplets(500) for photo in photos}
    assert gone & {int(photo) for photos in people.triplets(500) for photo in photos}


class Honest(torch.nn.Module):
    """I as it should be, where features show u and the bits: u with these bits, -u with others, zero with none."""

    def forward(self, features: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        right = (features[:, D : D + BITS] == bits).all(dim=1, keepdim=True)
        blank = (bits == 0).all(dim=1, keepdim=True)
        return features[:, :D] * torch.where(blank, 0.0, torch.where(right, 1.0, -1.0))


def test_scores_of_a_network_that_does_as_it_should(triplets):
    unseen = split(triplets, 0)[1]
    found = scores(Honest(), unseen, BITS, seed=0)
    assert all(values.shape == (len(unseen),) for values in found.values())
    for name, cosine in {"right key, same photo": 1, "wrong key": -1, "one bit wrong": -1, "no key": 0}.items():
        np.testing.assert_allclose(found[name], cosine, atol=1e-6, err_msg=name)
    assert found[GENUINE].min() > 0.7 and found["two faces of a person"].min() > 0.7
    u = unseen.payload[:, :, :D]
    np.testing.assert_allclose(found["faces of two people, one key"], (u[:, 0] * u[:, 2]).sum(axis=1), atol=1e-6)


def test_an_impostor_is_somebody_else_who_is_held_out_too(triplets):
    unseen = split(triplets, 0)[1]
    found = scores(Honest(), unseen, BITS, seed=0)[IMPOSTOR]
    u, owners = unseen.payload[:, 0, :D], unseen.people[:, 0]
    cosines = u @ u.T
    for place, cosine in enumerate(found):
        others = owners[np.isclose(cosines[place], cosine, atol=1e-6)]
        assert len(others) and (others != owners[place]).all()


def test_a_threshold_comes_from_the_other_half():
    people = np.repeat(np.arange(4), 2)
    low = np.isin(people, (0, 2))
    found = {GENUINE: np.where(low, 0.2, 0.8), IMPOSTOR: np.where(low, 0.0, 0.6)}
    np.testing.assert_allclose(own_thresholds(found, people), np.where(low, 0.7, 0.1))


def test_figures_by_hand():
    people = np.arange(4)
    each = {GENUINE: np.full(4, 0.9), IMPOSTOR: np.array([0.1, 0.1, 0.8, 0.8]), "right key, same photo": np.ones(4)}
    each |= {"wrong key": np.full(4, 0.84), "no key": np.zeros(4)}
    found = figures([each, each], people, 0.7)
    values = {name: figure.interval(np.random.default_rng(0)) for name, figure in found.items()}
    assert values["AUC"].value == values["AUC, same photo"].value == 1
    assert (values["CRR"].value, values["CRR"].n) == (1, 16) and values["FAR"].value == 0
    assert values["CRR, threshold 0.7"].value == pytest.approx(6 / 8)
    assert values["FAR, threshold 0.7"].value == pytest.approx(2 / 4)
    assert values["accepted with a wrong key"].value == 0  # 0.85, half-way, is the threshold of both halves
    assert values["accepted with a wrong key, threshold 0.7"].value == 1
    assert values["accepted without a key, threshold 0.7"].value == 0
    assert values["cosine: wrong key"].value == pytest.approx(0.84)


def test_a_network_begins_from_nothing_but_the_scaling():
    scaling = {"mean": torch.arange(5.0), "scale": torch.full((5,), 2.0), "layers.0.weight": torch.zeros(1)}
    one, again, other = (untrained(scaling, BITS, D, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(one["mean"], scaling["mean"]) and torch.equal(one["scale"], scaling["scale"])
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert one["layers.0.weight"].shape == (256, 5 + BITS) and one["layers.4.bias"].shape == (D,)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


def test_a_table_comes_again_without_a_step(triplets, tmp_path, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path))
    width = triplets.features.shape[-1]
    scaling = {"mean": torch.zeros(width), "scale": torch.ones(width)}
    unseen = split(triplets, QUICK.seed)[1]

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return torch.randn(count, 3, width), torch.randn(count, D), torch.randn(count, BITS).sign()

    ask = {"repeats": Repeats(QUICK, seeds=2, resume=True), "bits": BITS, "fixed": 0.7}
    table = table_x(unseen, draw, scaling, **ask)
    assert table.number == "X" and len(table.rows) == 18 * len(KVFA)
    assert f"{BITS}-bit keys" in table.about and f"{len(unseen)} triplets" in table.about
    papers = {row.name: row.paper for row in table.rows if row.paper is not None}
    assert papers["CRR, w/o tot1"] == 0.756 and papers["AUC, all losses"] == 0.987 and len(papers) == 9
    before = {path: path.read_bytes() for path in tmp_path.rglob("checkpoint.pt")}
    assert len(before) == 2 * len(KVFA)
    assert table_x(unseen, draw, scaling, **ask) == table
    assert all(path.read_bytes() == data for path, data in before.items())
