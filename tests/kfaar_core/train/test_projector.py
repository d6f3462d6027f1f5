from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kfaar_core.train.projector import objective, people_of, unnatural
from tests.kfaar_core.train.small_worlds import crowd, reader_of


def test_triplets_are_two_photos_of_one_person_and_one_of_another(rng):
    people = crowd(rng, photos=(2, 3, 1, 4, 2))
    owners = torch.tensor(np.repeat(np.arange(5), (2, 3, 1, 4, 2)))
    torch.manual_seed(0)
    x1, x2, y = people.triplets(500)
    assert (x1 != x2).all() and (owners[x1] == owners[x2]).all() and (owners[x1] != owners[y]).all()
    assert set(owners[x1].tolist()) == set(owners[y].tolist()) == {0, 1, 3, 4}  # the third has one photo only
    assert set(x1.tolist()) == set(x2.tolist()) == set(y.tolist()) == set(range(12)) - {5}


def test_people_as_the_networks_see_them(rng):
    features, owners = 3 + 2 * rng.standard_normal((40, 6)), np.repeat(np.arange(10), 4)
    people = people_of(features, owners, reader_of(features, rng.standard_normal((4, 6))))
    assert people.feature.std(dim=0).mean() == pytest.approx(1, abs=0.1) and people.feature.mean().abs() < 1e-5
    torch.testing.assert_close(people.recognised.norm(dim=1), torch.ones(40))
    again = people.feature * people.feature_scale + people.feature_mean
    np.testing.assert_allclose(again.numpy(), features, rtol=1e-4, atol=1e-4)
    assert sum(len(photos) for photos in people.pairs) == 40
    told = nn.functional.normalize(people.recognised @ people.rows.T, dim=1)
    torch.testing.assert_close(told, people.identity)  # u is told by what R sees, whatever the length of its feature


def test_what_is_unnatural_by_hand():
    assert unnatural(torch.tensor([0.0, -1.5, 1.4]), 1.5) == 0
    assert unnatural(torch.tensor([0.0, -2.5, 3.5, 1.0]), 1.5) == pytest.approx((1 + 4) / 4)


def test_the_objective_is_the_paper_s_sum_and_our_own_terms():
    weights = {"ano": 0.4, "syn": 1.0, "div": 1.0, "dif": 1.0, "read": 2.0, "natural": 30.0}
    paper = {name: torch.tensor(1.0) for name in ("ano", "syn", "div", "dif")}
    ours = {"read": torch.tensor(0.5), "natural": torch.tensor(0.1)}
    assert objective({**paper, **ours}, weights) == pytest.approx(3.4 + 1 + 3)
    assert objective({**paper, "read": torch.tensor(0.5)}, weights) == pytest.approx(4.4)
    assert objective(paper, weights) == pytest.approx(3.4)
