from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kfaar_core.keys import UserKey
from kfaar_core.methods.bits import BitsProjector
from kfaar_core.nets.projector_net import GROUPS, LEADING, BitsNet, HashedNet
from kfaar_core.train.directions import PostureFit
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.projector import (
    objective,
    padded,
    payload_axes,
    people_of,
    rotations,
    start,
    styles_of_bits,
    train_bits,
    train_hashed,
    unnatural,
    wrong_keys,
)
from kfaar_core.train.proxy import FeatureProxy
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.stand_ins import LATENT, MOVED, SPACE, channel, crowd, reader_of

QUICK = replace(
    LAB_TRAINING,
    projector_steps=3,
    projector_batch=12,
    projector_keys=4,
    projector_rate=2e-3,
    bits_steps=3,
    bits_batch=12,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- what is drawn


def test_random_rotations_are_orthogonal_and_turn_any_way():
    torch.manual_seed(0)
    turns = rotations(600, 6)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(6).expand(600, 6, 6), atol=1e-5, rtol=0)
    assert turns.mean(dim=0).abs().max() < 4 / (6 * 600) ** 0.5  # every entry is symmetric about 0
    assert abs((torch.linalg.det(turns) > 0).float().mean() - 0.5) < 4 * 0.5 / 600**0.5


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


# ---- where the code goes


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
    axes = payload_axes(channel(readers(*PLACES), torch.eye(3)), 3, draws=3000)
    torch.testing.assert_close(axes.T @ axes, torch.eye(MOVED), atol=1e-4, rtol=0)
    assert axes[:, :3].abs().argmax(dim=0).tolist() == [ONE, TWO, THREE]
    assert axes[[ONE, TWO, THREE], [0, 1, 2]].abs().min() > 0.8


def test_no_axis_leads_where_the_look_is_drawn():
    torch.manual_seed(0)
    axes = payload_axes(channel(readers((0, 0, 9.0), *PLACES), torch.eye(4)), 3, draws=3000)
    assert axes[:, :3].abs().argmax(dim=0).tolist() == [ONE, TWO, THREE]
    assert axes[::LEADING, :3].abs().max() < 1e-4


def test_a_noisy_reading_counts_less():
    torch.manual_seed(0)
    noise = torch.diag(torch.tensor([20.0, 1, 0.1]))
    axes = payload_axes(channel(readers(*PLACES), noise), 3, draws=3000)
    assert axes[:, :2].abs().argmax(dim=0).tolist() == [THREE, TWO]


def test_what_the_posture_correction_takes_away_carries_nothing():
    torch.manual_seed(0)
    row = np.zeros((2, LATENT))
    row[0, 5] = 1.0  # coordinate 5 of the coarse layers is the posture, and is set to the photo's
    posture = PostureFit(np.zeros(LATENT), np.zeros(2), row, row, np.zeros((1, 1)))
    step = PostureStep(posture, row.T, np.zeros((1, 2)))
    axes = payload_axes(channel(readers(*PLACES), torch.eye(3), step), 3, 3000)
    assert axes[:, :2].abs().argmax(dim=0).tolist() == [TWO, THREE]
    assert axes[ONE, :2].abs().max() < 0.2


def test_p_begins_with_the_code_on_the_best_axes_and_the_look_on_the_others():
    torch.manual_seed(0)
    free = [place for place in range(MOVED) if place % LEADING]  # the first of each group is the look's alone
    axes = torch.zeros(MOVED, MOVED)
    axes[free, : len(free)] = torch.linalg.qr(random(len(free), len(free)))[0]
    net = start(4, axes, LAB_TRAINING)
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


# ---- terms


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


# ---- lessons


def frozen_proxy(features: int = 6) -> FeatureProxy:
    torch.manual_seed(5)
    return FeatureProxy(features, hidden=16).eval().requires_grad_(False)


def log_of(folder: Path) -> dict[str, float]:
    with (folder / "log.csv").open(newline="") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items()}


def hashed_lesson(rng: np.random.Generator, folder: Path, **changes: object):
    torch.manual_seed(0)
    proxy, seen = frozen_proxy(), channel(random(8, MOVED) / 20, 0.1 * torch.eye(8))
    training = replace(QUICK, **changes)
    net = start(4, torch.eye(MOVED), training)
    folder.mkdir(exist_ok=True)
    return train_hashed(crowd(rng), net, proxy, seen, training, folder, resume=False), proxy


def test_three_steps_of_hashed_show_every_term_and_move_p_alone(rng, tmp_path):
    before = frozen_proxy().state_dict()
    lesson, proxy = hashed_lesson(rng, tmp_path)
    found = log_of(tmp_path)
    assert found.keys() == {"step", "ano", "syn", "div", "dif", "read", "seen", "natural"}
    assert found["step"] == 3 and all(np.isfinite(value) for value in found.values())
    assert 0 <= found["syn"] <= 2 and 0 <= found["read"] <= 2 and found["natural"] >= 0
    for name, parameter in lesson.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert any((p.grad != 0).any() for p in lesson.net.parameters())
    assert all(parameter.grad is None for parameter in proxy.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in proxy.state_dict().items())


def test_e_comes_to_see_the_person_of_the_code(rng, tmp_path):
    """With nothing else to learn; the channel shows what P moves, in a way that is not u's."""
    alone = {f"lambda_{name}": 0.0 for name in ("ano", "syn", "div", "dif", "read", "natural")}
    reached = []
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        hashed_lesson(rng, folder, projector_steps=150, projector_rate=1e-2, lambda_seen=weight, **alone)
        reached.append(log_of(folder)["seen"])
    assert reached[1] < 0.5 * reached[0]


def test_a_triplet_is_seen_under_one_key_and_x1_under_another_too(rng, tmp_path):
    """As the first step draws it, where the code stands on the first axes and the look on the others."""
    asked: list[Tensor] = []

    class Spy(FeatureProxy):
        def forward(self, v: Tensor) -> Tensor:
            asked.append(v.detach().flatten(1))
            return super().forward(v)

    training = replace(QUICK, projector_steps=1)
    axes = torch.eye(MOVED).roll(1, dims=0)  # from the second coordinate on: the first is the look's
    seen, net = channel(random(8, MOVED) / 20, 0.1 * torch.eye(8)), start(4, axes, training)
    train_hashed(crowd(rng), net, Spy(6, hidden=4).requires_grad_(False), seen, training, tmp_path, resume=False)
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

    class Spy(FeatureProxy):
        def forward(self, v: Tensor) -> Tensor:
            asked.append(SPACE.to_w(v.detach())[:, 0, 5])
            return super().forward(v)

    row = np.zeros((1, LATENT))
    row[0, 5] = 1.0
    posture = PostureFit(np.zeros(LATENT), np.zeros(1), row, row, np.zeros((1, 1)))
    step = PostureStep(posture, row.T, np.array([[-3.0], [7.0]]))
    seen = channel(random(8, MOVED) / 20, 0.1 * torch.eye(8), step)
    net, training = start(4, torch.eye(MOVED), QUICK), replace(QUICK, projector_steps=1)
    train_hashed(crowd(rng), net, Spy(6, hidden=4).requires_grad_(False), seen, training, tmp_path, resume=False)
    assert len(asked) == 4
    for coordinate in asked:
        assert set(coordinate.round(decimals=4).tolist()) == {-3.0, 7.0}
    assert any((asked[0] != other).any() for other in asked[1:])  # each photo has a posture of its own


def test_hashed_learns(rng, tmp_path):
    """The mean over 40 steps is below the first step's."""
    totals = []
    for steps in (1, 40):
        hashed_lesson(np.random.default_rng(0), tmp_path / str(steps), projector_steps=steps, projector_batch=24)
        found = log_of(tmp_path / str(steps))
        totals.append(objective({k: torch.tensor(v) for k, v in found.items()}, QUICK.projector_weights()))
    assert totals[1] < 0.95 * totals[0]


def test_a_term_without_weight_does_not_move_p(tmp_path):
    """An ablation; and the same seed gives the same weights."""
    runs = {}
    for name, changes in {"none": {}, "again": {}, "without": {"lambda_div": 0.0}}.items():
        lesson, _ = hashed_lesson(np.random.default_rng(0), tmp_path / name, **changes)
        runs[name] = lesson.net.state_dict()
    assert all(torch.equal(runs["none"][name], runs["again"][name]) for name in runs["none"])
    assert any(not torch.equal(runs["none"][name], runs["without"][name]) for name in runs["none"])


class FrozenM:
    """M as one layer, as a generator holds it: its weights take no gradient, but let it through to z."""

    def __init__(self) -> None:
        torch.manual_seed(9)
        self.mapping = nn.Linear(512, 512).eval().requires_grad_(False)
        self.w_mean = torch.zeros(512)

    def map(self, z: Tensor) -> Tensor:
        return self.mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        raise AssertionError("the CPU road renders nothing while P learns")


@pytest.mark.parametrize("bits", [8, 128])
def test_three_steps_of_bits_show_every_term_and_move_p_alone(rng, tmp_path, bits):
    generator, proxy, people = FrozenM(), frozen_proxy(), crowd(rng)
    seen = replace(channel(random(8, MOVED) / 20, 0.1 * torch.eye(8)), mean=random(8), scale=torch.full((8,), 2.0))
    before = {**generator.mapping.state_dict(), **proxy.state_dict(), "feature": people.feature.clone()}
    before = {name: tensor.clone() for name, tensor in before.items()}
    lesson = train_bits(people, bits, generator, proxy, seen, QUICK, tmp_path, resume=False)
    found = log_of(tmp_path)
    assert found.keys() == {"step", "ano", "syn", "div", "dif", "read", "wrong", "natural"}
    assert all(np.isfinite(value) for value in found.values())
    for name, parameter in lesson.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert any((p.grad != 0).any() for p in lesson.net.parameters())
    assert all(parameter.grad is None for parameter in (*generator.mapping.parameters(), *proxy.parameters()))
    after = {**generator.mapping.state_dict(), **proxy.state_dict(), "feature": people.feature}
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert torch.equal(lesson.reader.mean, seen.mean) and torch.equal(lesson.reader.scale, seen.scale)


def test_the_two_keys_of_a_triplet_always_differ(rng, tmp_path, monkeypatch):
    """Of keys of one bit, half would be alike: L_div would ask for two faces and L_syn for one."""
    asked: list[Tensor] = []
    forward = BitsNet.forward

    def spied(net, z, bits):
        asked.append(bits)
        return forward(net, z, bits)

    monkeypatch.setattr(BitsNet, "forward", spied)
    seen = channel(random(8, MOVED) / 20, 0.1 * torch.eye(8))
    train_bits(crowd(rng), 1, FrozenM(), frozen_proxy(), seen, QUICK, tmp_path, resume=False)
    assert len(asked) == 4 * 3
    for step in range(3):
        x1, x2, other, y = asked[4 * step : 4 * step + 4]
        assert torch.equal(x1, x2) and torch.equal(x1, y) and (x1 != other).any(dim=1).all()
        assert set(x1.unique().tolist()) <= {-1.0, 1.0}


def test_p_learns_as_it_is_used(rng):
    """The lesson and stages.project draw the same styles from the same photo and key."""
    generator, people = FrozenM(), crowd(rng)
    generator.w_mean = random(512, seed=3)
    torch.manual_seed(2)
    net, key = BitsNet(6, 8), UserKey.parse("a7")
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    state |= {"feature.mean": people.feature_mean, "feature.scale": people.feature_scale}
    photo = (people.feature * people.feature_scale + people.feature_mean)[3].numpy()
    used = BitsProjector({8: {**state, "truncation": torch.tensor(0.7)}}, generator)(photo, key).latent
    bits = torch.from_numpy(key.signs())[None]
    with torch.no_grad():
        taught = styles_of_bits(net, generator.map, generator.w_mean, people.feature[3:4], bits, 0.7)[0]
    torch.testing.assert_close(taught, used, atol=1e-5, rtol=1e-4)


def test_natural_coordinates_are_those_of_the_space():
    """The first entry of a layer group is the axis along which styles vary most."""
    v = padded(torch.zeros(1, GROUPS, LEADING))
    v[0, 1, 0] = 2.0
    w = SPACE.to_w(v)
    assert (w != 0).nonzero().tolist() == [[0, 1, 0]]
    assert isinstance(start(4, torch.eye(MOVED), QUICK), HashedNet)


def test_a_wrong_key_is_never_the_right_one_and_often_nearly():
    torch.manual_seed(0)
    right = torch.randint(0, 2, (400, 8)).float() * 2 - 1
    away = (wrong_keys(right) != right).sum(dim=1)
    assert away.min() == 1 and away.max() > 5
    assert 0.2 < (away == 1).float().mean() < 0.5
    assert (wrong_keys(right[:, :1]) == -right[:, :1]).all()  # of one bit, there is one other key
