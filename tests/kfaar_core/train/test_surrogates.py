from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from kfaar_core.nets.projector_net import LEADING
from kfaar_core.train.surrogates import (
    INPUTS,
    SurrogateEnsemble,
    SurrogateRenderer,
    fit_surrogate_encoder,
    fit_surrogate_renderers,
)
from tests.kfaar_core.train.small_worlds import MOVED, SPACE, encoder_of, random, still


def planted(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces whose identity stands in the first ten coordinates of the middle layers, not quite linearly."""
    v = random(count, 3, INPUTS)
    x = v[:, 1, :10] @ random(10, 5, seed=1)
    return v, functional.normalize(x.tanh(), dim=1)


def test_the_proxy_tells_the_features_of_faces_that_it_did_not_see():
    v, features = planted(900)
    net, cosine = fit_surrogate_renderers(v, features, count=2, epochs=8, seed=0)
    chance = float((features[:90] * features[90:180]).sum(dim=1).mean())
    assert cosine > chance + 0.3
    alone = [float((member(v[::10]) * features[::10]).sum(dim=1).mean()) for member in net.members]
    assert len(alone) == 2 and cosine > max(alone)
    fresh, truth = planted(1000)[0][900:], planted(1000)[1][900:]
    assert float((net(fresh) * truth).sum(dim=1).mean()) == pytest.approx(cosine, abs=0.15)


def test_what_cannot_be_told_is_not_told():
    """The figure is that of unseen faces: a renderer that learned its faces by heart would show more."""
    _, cosine = fit_surrogate_renderers(
        random(600, 3, INPUTS), functional.normalize(random(600, 5, seed=1), dim=1), 1, 10, seed=0
    )
    assert abs(cosine) < 0.25


def test_a_fitted_proxy_is_frozen_and_lets_gradients_through():
    v, features = planted(300)
    net, _ = fit_surrogate_renderers(v, features, count=1, epochs=2, seed=0)
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    x = v[:4].clone().requires_grad_()
    answers = net(x)
    torch.testing.assert_close(answers.norm(dim=1), torch.ones(4))
    answers[:, 0].sum().backward()
    assert x.grad is not None and x.grad.isfinite().all() and (x.grad != 0).any()
    torch.testing.assert_close(net(v[2:3]), net(v[:4])[2:3], atol=1e-5, rtol=1e-4)  # no dropout any more


def test_the_same_seed_gives_the_same_proxy():
    v, features = planted(300)
    first, again, other = (
        fit_surrogate_renderers(v, features, count=1, epochs=1, seed=seed)[0].state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["members.0.straight.weight"], other["members.0.straight.weight"])


def test_features_have_unit_length_before_training_too():
    torch.manual_seed(0)
    torch.testing.assert_close(SurrogateRenderer(5, hidden=8)(random(3, 3, INPUTS)).norm(dim=1), torch.ones(3))


def test_several_answer_with_their_mean():
    torch.manual_seed(0)
    members, v = [SurrogateRenderer(5, hidden=8).eval() for _ in range(3)], random(4, 3, INPUTS)
    answers_of = torch.no_grad()(lambda net: net(v))
    found = answers_of(SurrogateEnsemble(members))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    for answer, each in zip(found, zip(*map(answers_of, members), strict=True), strict=True):
        between = [float(functional.cosine_similarity(answer, one, dim=0)) for one in each]
        apart = float(functional.cosine_similarity(each[0], each[1], dim=0))
        assert min(between) > apart


# ---- the channel


def test_the_channel_finds_what_readings_follow_and_keeps_the_rest_as_noise():
    torch.manual_seed(0)
    v, rows = random(4000, 3, LEADING), random(3, MOVED, seed=1)
    sd = torch.tensor([0.5, 2.0, 8.0])
    readings = v.flatten(1) @ rows.T + torch.tensor([5.0, -1, 0]) + sd * random(4000, 3, seed=2)
    found = fit_surrogate_encoder(SPACE, still(), v, readings)
    for one, other in zip(found.rows[:2], rows[:2], strict=True):
        assert functional.cosine_similarity(one, other, dim=0) > 0.98
    torch.testing.assert_close(found.mean, readings.mean(dim=0))
    torch.testing.assert_close(found.scale, readings.std(dim=0))
    fresh = random(3000, 3, LEADING, seed=3)
    w = SPACE.to_w(functional.pad(fresh, (0, 512 - LEADING)))
    away = found.encode(w) - fresh.flatten(1) @ rows.T - torch.tensor([5.0, -1, 0])
    assert away.std(dim=0).tolist() == pytest.approx(sd.tolist(), rel=0.25)
    assert away.mean(dim=0).abs().max() < 0.6


def test_readings_that_go_astray_together_do_so_in_the_channel():
    torch.manual_seed(0)
    v, shared = random(3000, 3, LEADING), random(3000, 1, seed=4)
    readings = torch.cat((shared, shared, random(3000, 1, seed=5)), dim=1) + 0.1 * random(3000, 3, seed=6)
    found = fit_surrogate_encoder(SPACE, still(), v, readings)
    drawn = torch.corrcoef(found.encode(torch.zeros(3000, 3, 512)).T)
    assert drawn[0, 1] > 0.5 and abs(drawn[0, 2]) < 0.1


def test_a_channel_that_reads_nothing_is_sound():
    """A number of F that is always the same divides nothing by zero."""
    v = random(500, 3, LEADING)
    found = fit_surrogate_encoder(SPACE, still(), v, torch.zeros(500, 1))
    assert found.encode(torch.zeros(4, 3, 512)).isfinite().all() and found.scale.min() > 0


def test_noise_is_new_at_every_reading():
    torch.manual_seed(0)
    noisy = encoder_of(torch.zeros(3, MOVED), torch.diag(torch.tensor([1.0, 0, 3])))
    once, twice = (noisy.encode(torch.zeros(2000, 3, 512)) for _ in range(2))
    assert not torch.equal(once, twice)
    assert torch.cat((once, twice)).std(dim=0).tolist() == pytest.approx([1, 0, 3], rel=0.08)


def test_gradients_go_through_correction_and_reading():
    whole = encoder_of(random(4, MOVED), torch.eye(4))
    v = random(2, 3, LEADING).requires_grad_()
    whole.encode(SPACE.to_w(functional.pad(v, (0, 512 - LEADING)))).square().sum().backward()
    assert v.grad is not None and v.grad.isfinite().all() and (v.grad != 0).any()
