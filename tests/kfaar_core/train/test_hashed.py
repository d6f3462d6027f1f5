from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kfaar_core.nets.projector_net import GROUPS, LEADING, HashedNet
from kfaar_core.train.hashed import code_styles, initial_projector, padded, payload_axes, rotations, train_hashed
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.posture import PostureFit, PostureStep
from kfaar_core.train.projector import ProjectorInputs, objective
from kfaar_core.train.settings import LAB_TRAINING
from kfaar_core.train.surrogates import SurrogateRenderer
from tests.kfaar_core.train.small_worlds import (
    LATENT,
    MOVED,
    SPACE,
    crowd,
    encoder_of,
    frozen_renderer,
    log_of,
    random,
    still,
)

QUICK = replace(LAB_TRAINING, projector_steps=3, projector_batch=12, projector_keys=4, projector_rate=2e-3)


def test_random_rotations_are_orthogonal_and_turn_any_way():
    torch.manual_seed(0)
    turns = rotations(600, 6)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(6).expand(600, 6, 6), atol=1e-5, rtol=0)
    assert turns.mean(dim=0).abs().max() < 4 / (6 * 600) ** 0.5  # every entry is symmetric about 0
    assert abs((torch.linalg.det(turns) > 0).float().mean() - 0.5) < 4 * 0.5 / 600**0.5


def readers(*places: tuple[int, int, float]) -> Tensor:
    """(S, MOVED): one reading for each (layer group, coordinate, strength)."""
    rows = torch.zeros(len(places), MOVED)
    for row, (group, coordinate, strength) in zip(rows, places, strict=True):
        row[LEADING * group + coordinate] = strength
    return rows


PLACES = ((0, 5, 4.0), (1, 7, 2.0), (2, 3, 1.0))


ONE, TWO, THREE = 5, LEADING + 7, 2 * LEADING + 3


def test_axes_are_orthonormal_and_the_best_read_comes_first():
    torch.manual_seed(0)
    axes = payload_axes(encoder_of(readers(*PLACES), torch.eye(3)), 3, draws=3000)
    torch.testing.assert_close(axes.T @ axes, torch.eye(MOVED), atol=1e-4, rtol=0)
    assert axes[:, :3].abs().argmax(dim=0).tolist() == [ONE, TWO, THREE]
    assert axes[[ONE, TWO, THREE], [0, 1, 2]].abs().min() > 0.8


def test_no_axis_leads_where_the_look_is_drawn():
    torch.manual_seed(0)
    axes = payload_axes(encoder_of(readers((0, 0, 9.0), *PLACES), torch.eye(4)), 3, draws=3000)
    assert axes[:, :3].abs().argmax(dim=0).tolist() == [ONE, TWO, THREE]
    assert axes[::LEADING, :3].abs().max() < 1e-4


def test_a_noisy_reading_counts_less():
    torch.manual_seed(0)
    noise = torch.diag(torch.tensor([20.0, 1, 0.1]))
    axes = payload_axes(encoder_of(readers(*PLACES), noise), 3, draws=3000)
    assert axes[:, :2].abs().argmax(dim=0).tolist() == [THREE, TWO]


def test_what_the_posture_correction_takes_away_carries_nothing():
    torch.manual_seed(0)
    row = np.zeros((2, LATENT))
    row[0, 5] = 1.0  # coordinate 5 of the coarse layers is the posture, and is set to the photo's
    posture = PostureFit(np.zeros(LATENT), np.zeros(2), row, row, np.zeros((1, 1)))
    step = PostureStep(posture, row.T, np.zeros((1, 2)))
    axes = payload_axes(encoder_of(readers(*PLACES), torch.eye(3), step), 3, 3000)
    assert axes[:, :2].abs().argmax(dim=0).tolist() == [TWO, THREE]
    assert axes[ONE, :2].abs().max() < 0.2


def test_p_begins_with_the_code_on_the_best_axes_and_the_look_on_the_others():
    torch.manual_seed(0)
    free = [place for place in range(MOVED) if place % LEADING]  # the first of each group is the look's alone
    axes = torch.zeros(MOVED, MOVED)
    axes[free, : len(free)] = torch.linalg.qr(random(len(free), len(free)))[0]
    net = initial_projector(4, axes, LAB_TRAINING)
    assert (net.code, net.noise) == (4, MOVED - 4)
    nothing, look = torch.zeros(1, 4), random(1, MOVED - 4, seed=1)
    code = torch.tensor([[0.0, 0, 1, 0]])
    drawn = net(code, torch.zeros(1, MOVED - 4)).detach().flatten()
    torch.testing.assert_close(drawn, LAB_TRAINING.code_size * axes[:, 2], atol=1e-5, rtol=1e-4)
    seen = axes.T @ net(nothing, look).detach().flatten()
    torch.testing.assert_close(seen[:4], torch.zeros(4), atol=1e-4, rtol=0)
    assert seen[4:].norm() / look[:, : len(free) - 4].norm() == pytest.approx(LAB_TRAINING.look_size, rel=1e-3)
    torch.testing.assert_close(net(code, look), net(code, 0 * look) + net(nothing, look))


def test_leading_coordinates_and_the_rest():
    leading, rest = random(2, GROUPS, LEADING), random(2, GROUPS, 512 - LEADING, seed=1)
    for full, expected in ((padded(leading), torch.zeros_like(rest)), (padded(leading, rest), rest)):
        assert full.shape == (2, 3, 512)
        assert torch.equal(full[..., :LEADING], leading) and torch.equal(full[..., LEADING:], expected)


def test_natural_coordinates_are_those_of_the_space():
    """The first entry of a layer group is the axis along which styles vary most."""
    v = padded(torch.zeros(1, GROUPS, LEADING))
    v[0, 1, 0] = 2.0
    w = SPACE.to_w(v)
    assert (w != 0).nonzero().tolist() == [[0, 1, 0]]
    assert isinstance(initial_projector(4, torch.eye(MOVED), QUICK), HashedNet)


def trained_hashed(rng: np.random.Generator, folder: Path, **changes: object):
    torch.manual_seed(0)
    renderer, encoder = frozen_renderer(), encoder_of(random(8, MOVED) / 20, 0.1 * torch.eye(8))
    training = replace(QUICK, **changes)
    net = initial_projector(4, torch.eye(MOVED), training)
    folder.mkdir(exist_ok=True)
    return train_hashed(net, ProjectorInputs(crowd(rng), renderer, encoder), training, Checkpoints(folder)), renderer


def test_three_steps_of_hashed_show_every_term_and_move_p_alone(rng, tmp_path):
    before = frozen_renderer().state_dict()
    module, renderer = trained_hashed(rng, tmp_path)
    found = log_of(tmp_path)
    assert found.keys() == {"step", "ano", "syn", "div", "dif", "read", "seen", "natural"}
    assert found["step"] == 3 and all(np.isfinite(value) for value in found.values())
    assert 0 <= found["syn"] <= 2 and 0 <= found["read"] <= 2 and found["natural"] >= 0
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert any((p.grad != 0).any() for p in module.net.parameters())
    assert all(parameter.grad is None for parameter in renderer.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in renderer.state_dict().items())


def test_e_comes_to_see_the_person_of_the_code(rng, tmp_path):
    """With nothing else to learn; the channel shows what P moves, in a way that is not u's."""
    changes = {f"lambda_{name}": 0.0 for name in ("ano", "syn", "div", "dif", "read", "natural")}
    changes |= {"projector_steps": 104, "projector_rate": 1e-2, "projector_batch": 6}
    reached = []
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        trained_hashed(rng, folder, lambda_seen=weight, **changes)
        reached.append(log_of(folder)["seen"])
    assert reached[1] < 0.5 * reached[0]


def test_a_triplet_is_seen_under_one_key_and_x1_under_another_too(rng, tmp_path):
    """As the first step draws it, where the code stands on the first axes and the look on the others."""
    asked: list[Tensor] = []

    class Spy(SurrogateRenderer):
        def forward(self, v: Tensor) -> Tensor:
            asked.append(v.detach().flatten(1))
            return super().forward(v)

    training = replace(QUICK, projector_steps=1)
    axes = torch.eye(MOVED).roll(1, dims=0)  # from the second coordinate on: the first is the look's
    encoder, net = encoder_of(random(8, MOVED) / 20, 0.1 * torch.eye(8)), initial_projector(4, axes, training)
    train_hashed(
        net,
        ProjectorInputs(crowd(rng), Spy(6, hidden=4).requires_grad_(False), encoder),
        training,
        Checkpoints(tmp_path),
    )
    x1, x2, other, y = (v[:, 1:5] / training.code_size for v in asked)
    for code in (x1, x2, other, y):
        torch.testing.assert_close(code.norm(dim=1), torch.full((12,), 2.0))  # sqrt(d)
    alike = torch.cosine_similarity(x1, x2)
    assert alike.min() > 0.8 and (alike < 1 - 1e-6).all()  # two photos of one person under one key
    assert (torch.cosine_similarity(x1, other) < alike).float().mean() > 0.8
    assert (torch.cosine_similarity(x1, y) < alike).float().mean() > 0.8
    first, second, third, fourth = (torch.cat((v[:, :1], v[:, 5:]), dim=1) for v in asked)
    assert torch.equal(first, second) and torch.equal(first, fourth) and (first != third).any(dim=1).all()
    assert len(first.unique(dim=0)) == training.projector_keys == 4  # row n is under key n, modulo the keys


def test_r_sees_faces_with_the_postures_of_photos(rng, tmp_path):
    """Coordinate 5 of the coarse layers is a posture here: whatever P writes there, R sees what some photo has."""
    asked: list[Tensor] = []

    class Spy(SurrogateRenderer):
        def forward(self, v: Tensor) -> Tensor:
            asked.append(SPACE.to_w(v.detach())[:, 0, 5])
            return super().forward(v)

    row = np.zeros((1, LATENT))
    row[0, 5] = 1.0
    posture = PostureFit(np.zeros(LATENT), np.zeros(1), row, row, np.zeros((1, 1)))
    step = PostureStep(posture, row.T, np.array([[-3.0], [7.0]]))
    encoder = encoder_of(random(8, MOVED) / 20, 0.1 * torch.eye(8), step)
    net, training = initial_projector(4, torch.eye(MOVED), QUICK), replace(QUICK, projector_steps=1)
    train_hashed(
        net,
        ProjectorInputs(crowd(rng), Spy(6, hidden=4).requires_grad_(False), encoder),
        training,
        Checkpoints(tmp_path),
    )
    assert len(asked) == 4
    for coordinate in asked:
        assert set(coordinate.round(decimals=4).tolist()) == {-3.0, 7.0}
    assert any((asked[0] != other).any() for other in asked[1:])  # each photo has a posture of its own


def test_hashed_learns(rng, tmp_path):
    """The mean over 40 steps is below the first step's."""
    totals = []
    for steps in (1, 40):
        trained_hashed(np.random.default_rng(0), tmp_path / str(steps), projector_steps=steps, projector_batch=24)
        found = log_of(tmp_path / str(steps))
        totals.append(objective({k: torch.tensor(v) for k, v in found.items()}, QUICK.projector_weights()))
    assert totals[1] < 0.95 * totals[0]


def test_a_term_without_weight_does_not_move_p(tmp_path):
    """An ablation; and the same seed gives the same weights."""
    runs = {}
    for name, changes in {"none": {}, "again": {}, "without": {"lambda_div": 0.0}}.items():
        module, _ = trained_hashed(np.random.default_rng(0), tmp_path / name, **changes)
        runs[name] = module.net.state_dict()
    assert all(torch.equal(runs["none"][name], runs["again"][name]) for name in runs["none"])
    assert any(not torch.equal(runs["none"][name], runs["without"][name]) for name in runs["none"])


def test_faces_of_the_hashed_p_carry_each_code_twice():
    torch.manual_seed(0)
    net = HashedNet(4, 6, hidden=8).eval()
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        net.straight.weight[1:11] = torch.eye(10)  # behind the first coordinate, which is the look's
    found = code_styles(net, SPACE, 0.3, still(), np.random.default_rng(0), 30)
    assert found.group == 2 and found.w.shape == (30, 3, 512) and found.w.dtype == np.float32
    np.testing.assert_array_equal(found.payload[::2], found.payload[1::2])
    np.testing.assert_allclose(np.linalg.norm(found.payload, axis=1), 1, rtol=1e-5)
    assert len(np.unique(found.payload[:, 0])) == 15
    v = SPACE.of_w(torch.from_numpy(found.w)).numpy()
    np.testing.assert_allclose(v[:, 0, 1:5], 2 * found.payload, atol=1e-5)  # sqrt(d): one sd a dimension
    assert np.abs(v[::2, 0, 5:11] - v[1::2, 0, 5:11]).max(axis=1).min() > 0.1  # as another key draws the look
    assert 0.25 < v[..., LEADING:].std() < 0.35 and not v[:, 1:, 1:LEADING].any()
    again = code_styles(net, SPACE, 0.3, still(), np.random.default_rng(0), 30)
    np.testing.assert_array_equal(again.w, found.w)
