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
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import BitsNet
from kfaar_core.train.bits import (
    BitsStyles,
    bits_styles,
    keyed_draw,
    keyed_report,
    train_bits,
    train_keyed,
    wrong_keys,
)
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.projector import ProjectorInputs
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.small_worlds import MOVED, crowd, encoder_of, frozen_renderer, log_of, random, still

QUICK = replace(LAB_TRAINING, projector_keys=4, bits_steps=3, bits_batch=12)
D = 6


class FrozenM:
    """M as one layer, as a generator holds it: its weights take no gradient, but let it through to z."""

    def __init__(self) -> None:
        torch.manual_seed(9)
        self.mapping = nn.Linear(512, 512).eval().requires_grad_(False)
        self.w_mean = torch.zeros(512)

    def map(self, z: Tensor) -> Tensor:
        return self.mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        raise AssertionError("with surrogate models nothing is rendered")


@pytest.mark.parametrize("bits", [8, 128])
def test_three_steps_of_bits_show_every_term_and_move_p_alone(rng, tmp_path, bits):
    generator, renderer, people = FrozenM(), frozen_renderer(), crowd(rng)
    encoder = replace(
        encoder_of(random(8, MOVED) / 20, 0.1 * torch.eye(8)), mean=random(8), scale=torch.full((8,), 2.0)
    )
    before = {**generator.mapping.state_dict(), **renderer.state_dict(), "feature": people.feature.clone()}
    before = {name: tensor.clone() for name, tensor in before.items()}
    module = train_bits(bits, generator, ProjectorInputs(people, renderer, encoder), QUICK, Checkpoints(tmp_path))
    found = log_of(tmp_path)
    assert found.keys() == {"step", "ano", "syn", "div", "dif", "read", "wrong", "natural"}
    assert all(np.isfinite(value) for value in found.values())
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert any((p.grad != 0).any() for p in module.net.parameters())
    assert all(parameter.grad is None for parameter in (*generator.mapping.parameters(), *renderer.parameters()))
    after = {**generator.mapping.state_dict(), **renderer.state_dict(), "feature": people.feature}
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert torch.equal(module.reader.mean, encoder.mean) and torch.equal(module.reader.scale, encoder.scale)


def test_the_two_keys_of_a_triplet_always_differ(rng, tmp_path, monkeypatch):
    """Of keys of one bit, half would be alike: L_div would ask for two faces and L_syn for one."""
    asked: list[Tensor] = []
    forward = BitsNet.forward

    def spied(net, z, bits):
        asked.append(bits)
        return forward(net, z, bits)

    monkeypatch.setattr(BitsNet, "forward", spied)
    encoder = encoder_of(random(8, MOVED) / 20, 0.1 * torch.eye(8))
    train_bits(1, FrozenM(), ProjectorInputs(crowd(rng), frozen_renderer(), encoder), QUICK, Checkpoints(tmp_path))
    assert len(asked) == 4 * 3
    for step in range(3):
        x1, x2, other, y = asked[4 * step : 4 * step + 4]
        assert torch.equal(x1, x2) and torch.equal(x1, y) and (x1 != other).any(dim=1).all()
        assert set(x1.unique().tolist()) <= {-1.0, 1.0}


def test_p_learns_as_it_is_used(rng):
    """The module and stages.project draw the same styles from the same photo and key."""
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
        taught = BitsStyles(net, generator, 0.7)(people.feature[3:4], bits)[0]
    torch.testing.assert_close(taught, used, atol=1e-5, rtol=1e-4)


def test_a_wrong_key_is_never_the_right_one_and_often_nearly():
    torch.manual_seed(0)
    right = torch.randint(0, 2, (400, 8)).float() * 2 - 1
    away = (wrong_keys(right) != right).sum(dim=1)
    assert away.min() == 1 and away.max() > 5
    assert 0.2 < (away == 1).float().mean() < 0.5
    assert (wrong_keys(right[:, :1]) == -right[:, :1]).all()  # of one bit, there is one other key


def drawn(count: int, bits: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Features that show u turned by the key's first bit: x1 and x2 of a person and y of another, under one key."""
    person, other = torch.randn(2, count, D)
    u = torch.stack((person, person + 0.05 * torch.randn(count, D), other), dim=1)
    u = u / u.norm(dim=2, keepdim=True)
    key = torch.randint(0, 2, (count, bits)).float() * 2 - 1
    return torch.cat((3 * u * key[:, None, :1], key[:, None].expand(-1, 3, -1)), dim=2), u[:, 0], key


def keyed(folder: Path, steps: int, rate: float = 3e-3) -> KeyedNet:
    torch.manual_seed(0)
    net = KeyedNet(D + 8, 8, D)
    net.mean.fill_(0.5)
    training = replace(LAB_TRAINING, keyed_steps=steps, bits_batch=64, projector_rate=rate)
    folder.mkdir(exist_ok=True)
    train_keyed(net, drawn, training, Checkpoints(folder))
    return net


def test_three_steps_of_the_keyed_network_show_every_term(tmp_path):
    net = keyed(tmp_path, 3)
    with (tmp_path / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row.keys() == {"step", "pmis1", "pmis2", "pmis3", "per1", "per2"}
    assert all(np.isfinite(float(value)) for value in row.values())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())
    assert (net.mean == 0.5).all() and (net.scale == 1).all()  # of P's stand-in, kept
    assert not net.training


def test_the_keyed_network_learns_what_it_is_shown(tmp_path):
    net = keyed(tmp_path, 150, rate=1e-2)
    features, u, key = drawn(200)
    found = keyed_report(net, features[:, 0].numpy(), torch.cat((u, key), dim=1).numpy())
    assert found["n"] == 200
    assert found["key_cosine_mean"] > 0.6
    assert found["no_key_cosine_mean"] < 0.3  # opposite is as good
    assert found["wrong_key_cosine_mean"] < found["key_cosine_mean"] - 0.3


class Plain:
    """M as the identity; the mean style is none."""

    w_mean = torch.zeros(512)

    def map(self, z: Tensor) -> Tensor:
        return z


def test_a_draw_shows_three_photos_under_one_key(rng):
    people = crowd(rng)
    net = BitsNet(people.feature.shape[1], 8)
    asked: list[Tensor] = []

    class Seen:
        def encode(self, w: Tensor) -> Tensor:
            asked.append(w)
            return w[:, 0, :5]

    features, u, key = keyed_draw(BitsStyles(net, Plain(), 0.7), people, Seen())(6)  # type: ignore[arg-type]
    assert features.shape == (6, 3, 5) and key.shape == (6, 8) and set(key.unique().tolist()) == {-1.0, 1.0}
    assert not features.requires_grad
    owners = {photo: person for person, photos in enumerate(people.pairs) for photo in photos.tolist()}
    photo = [int(torch.nonzero((people.identity == row).all(dim=1))[0]) for row in u]
    with torch.no_grad():
        again = 0.7 * net(people.feature[photo], key)
    torch.testing.assert_close(features[:, 0], again[:, :5])
    assert all(number in owners for number in photo) and len(asked) == 3


class OneLayer:
    """M as the first 512 numbers of z themselves."""

    w_mean = torch.zeros(512)

    def map(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def render(self, w_plus: torch.Tensor, side: int = 512) -> torch.Tensor:
        raise AssertionError("a sampler renders nothing")


def test_faces_of_the_bits_p_come_as_two_photos_of_a_person_and_one_of_another_under_one_key(rng):
    people = crowd(rng)
    torch.manual_seed(0)
    net = BitsNet(6, 8, hidden=16).eval()
    found = bits_styles(BitsStyles(net, OneLayer(), 0.7), people, still(), np.random.default_rng(0), 250)
    assert found.group == 3 and len(found.w) == len(found.payload) == 249  # a multiple of three
    u, key = found.payload[:, :4].reshape(-1, 3, 4), found.payload[:, 4:].reshape(-1, 3, 8)
    assert set(np.unique(key)) == {-1.0, 1.0} and (key == key[:, :1]).all() and len(np.unique(key[:, 0], axis=0)) > 20
    same, other = (u[:, 0] * u[:, 1]).sum(axis=1), (u[:, 0] * u[:, 2]).sum(axis=1)
    assert same.min() > 0.9 and (u[:, 0] != u[:, 1]).any(axis=1).all() and (other < same).mean() > 0.95
    w = found.w.reshape(-1, 3, 3, 512)
    np.testing.assert_array_equal(w[:, :, 0], w[:, :, 2])  # one style for every layer group
    assert (w[:, 0] != w[:, 1]).any(axis=(1, 2)).all()
