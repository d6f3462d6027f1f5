"""`look`: the key draws the person, refinement writes the code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.look import LookLaw, LookProjector
from kfaar_core.presets import Looks
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import unit

D = 8
SPACE = NaturalSpace({"natural.mean": torch.zeros(512), "natural.basis": torch.eye(512)})
# Sex, age and skin are the first three coordinates; one sd of a candidate is 10 years and 10 levels.
AXES = {
    "axes.rows": torch.eye(3, 512) * torch.tensor([1.0, 10.0, 10.0])[:, None],
    "axes.mean": torch.tensor([0.0, 45.0, 60.0]),
    "axes.sd": torch.tensor([1.0, 10.0, 10.0]),
    "skin.range": torch.tensor([50.0, 70.0]),
}


def keys(count: int) -> list[UserKey]:
    return [UserKey(bytes([number // 256, number % 256]) * 16) for number in range(count)]


def projector(candidates: int = 8) -> LookProjector:
    identity = IdentityMap({"identity.mean": torch.zeros(D), "identity.map": torch.eye(D)})
    return LookProjector(SPACE, identity, LookLaw(AXES, Looks(candidates=candidates)))


def test_two_photos_under_one_key_begin_as_one_person(rng):
    key, other = keys(2)
    first, second = (projector()(unit(rng.standard_normal(D)), key) for _ in range(2))
    assert torch.equal(first.latent, second.latent) and first.latent.shape == (3, 512)
    assert torch.equal(first.latent[0], first.latent[1]) and torch.equal(first.latent[0], first.latent[2])
    assert not torch.equal(projector()(np.ones(D), other).latent, first.latent)


def test_the_code_is_the_turned_identity(rng):
    u, key = unit(rng.standard_normal(D)), keys(1)[0]
    found = projector()(u, key).payload
    np.testing.assert_allclose(rotation(key, D).T @ found.code, u, atol=1e-12)
    np.testing.assert_allclose(found.identity, u)


def test_the_law_of_sexes_ages_and_skins_is_balanced_over_keys():
    """With enough candidates every wish is met nearly; the wishes are uniform."""
    looks = Looks(spread=1.0, candidates=400, ages=(35.0, 55.0))
    law = LookLaw(AXES, looks)
    found = np.stack([law.predicted(law(key)[None])[0] for key in keys(300)])
    wanted = np.stack([law.wanted(key) for key in keys(300)])
    assert np.abs(found - wanted).mean(axis=0) == pytest.approx([0.0, 0.0, 0.0], abs=4.0)
    assert 0.42 < (found[:, 0] > 0).mean() < 0.58
    for column, (low, high) in ((1, (35, 55)), (2, (50, 70))):
        shares = np.histogram(wanted[:, column], bins=4, range=(low, high))[0] / 300
        assert shares.sum() == pytest.approx(1) and shares.min() > 0.18
        assert np.corrcoef(found[:, column], wanted[:, column])[0, 1] > 0.9


def test_more_candidates_come_nearer_to_the_wish():
    def gap(candidates: int) -> float:
        law = LookLaw(AXES, Looks(candidates=candidates))
        return float(np.mean([np.abs(law.predicted(law(key)[None])[0] - law.wanted(key)).sum() for key in keys(40)]))

    assert gap(64) < 0.7 * gap(1)
