from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import BitsNet
from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE, ReaderNet
from kfaar_core.stages.face_view import FaceView, MeanFace
from kfaar_core.stages.identify import FaceReader, reader_net
from kfaar_core.stages.tiny import reader_state
from kfaar_core.train.kvfa import (
    STYLES,
    code_terms,
    cosine_report,
    fit_reading,
    grown,
    keyed_draw,
    keyed_report,
    learn,
    read,
    style_targets,
    styles_report,
    styles_terms,
    teach_keyed,
)
from kfaar_core.train.loop import Plan
from kfaar_core.train.settings import LAB_TRAINING
from kfaar_core.train.views import Views
from tests.kfaar_core.train.stand_ins import SPACE, crowd

D = 6


def pictures(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 96, 80, 3) smooth textures."""
    y, x = np.mgrid[: TEXTURE[0], : TEXTURE[1]] / 30
    waves = rng.uniform(0.5, 2, (count, 3, 2))
    return np.stack([127 + 100 * np.stack([np.sin(a * x + b * y) for a, b in face], axis=-1) for face in waves]).astype(
        np.uint8
    )


def faces(rng: np.random.Generator, count: int) -> FaceView:
    """As train.views keeps them: shapes of half precision."""
    return FaceView(pictures(rng, count), rng.standard_normal((count, LANDMARKS, 2)).astype(np.float16))


# ---- terms


def answers(codes: Tensor, styles: Tensor | float = 0.0) -> Tensor:
    return torch.cat((torch.zeros(len(codes), STYLES) + styles, codes), dim=1)


AXES = torch.eye(D)[:3]


def terms(read_codes: Tensor, codes: Tensor, margin: float = 0.0) -> dict[str, float]:
    torch.manual_seed(0)
    found = code_terms(answers(read_codes), answers(codes), margin)
    return {name: float(value) for name, value in found.items()}


def test_codes_that_are_read_exactly_cost_nothing():
    codes = torch.cat((AXES, AXES))
    found = terms(7 * codes, codes)  # of any length
    assert found.keys() == {"pmis1", "pmis2", "pmis3", "per1", "per2", "styles"}
    for name in ("per1", "per2", "pmis3", "styles"):  # the three people are at right angles
        assert found[name] == pytest.approx(0, abs=1e-5)
    assert 0 <= found["pmis1"] < 1 and 0 <= found["pmis2"] < 1


def test_per1_is_the_mean_of_both_photos_and_per2_compares_them():
    codes = torch.cat((AXES, AXES))
    found = terms(torch.cat((AXES, -AXES)), codes)
    assert found["per1"] == pytest.approx((0 + 2) / 2, abs=1e-5) and found["per2"] == pytest.approx(2, abs=1e-5)
    both = terms(-codes, codes)
    assert both["per1"] == pytest.approx(2, abs=1e-5) and both["per2"] == pytest.approx(0, abs=1e-5)


def test_pmis3_counts_how_alike_two_people_are_read():
    """Three people of whom the first two are read alike: one of three neighbours, with cosine 1."""
    alike = torch.cat((AXES[[0, 0, 2]], AXES))
    codes = torch.cat((AXES, AXES))
    assert terms(alike, codes)["pmis3"] == pytest.approx(1 / 3, abs=1e-5)
    assert terms(alike, codes, margin=0.4)["pmis3"] == pytest.approx(0.6 / 3, abs=1e-5)
    assert terms(torch.cat((AXES[[0, 0, 0]], AXES)), codes)["pmis3"] == pytest.approx(1, abs=1e-5)


def test_without_the_key_and_with_a_wrong_one_it_is_chance():
    """O_k turns every direction alike: these two terms cannot be learned, and do not need to be."""
    torch.manual_seed(0)
    codes = functional.normalize(torch.randn(3000, 64), dim=1).repeat(2, 1)
    found = code_terms(answers(codes), answers(codes), 0.0)
    for name in ("pmis1", "pmis2"):
        assert found[name] < 0.4  # one pair of rotations a batch: a mean cosine around 0, of either sign
    assert found["per1"] < 1e-4


def test_styles_are_asked_for_in_sds():
    truth = torch.zeros(2, STYLES + D)
    read_styles = truth.clone()
    read_styles[0, :STYLES] = 2.0
    read_styles[1, STYLES:] = 9.0  # the code is not a style
    assert styles_terms(read_styles, truth)["styles"] == pytest.approx(2.0)


def test_style_targets_are_the_leading_coordinates_of_each_layer_group():
    v = torch.randn(4, 3, 512, generator=torch.Generator().manual_seed(0))
    found = style_targets(SPACE, SPACE.to_w(v).numpy())
    assert found.shape == (4, 96)
    torch.testing.assert_close(found, torch.cat((v[:, 0, :32], v[:, 1, :32], v[:, 2, :32]), dim=1), atol=1e-5, rtol=0)


def test_the_report_is_a_cosine():
    codes = np.eye(D)[:2]
    found = cosine_report(np.stack([3 * codes[0], codes[0] + codes[1]]), codes)
    assert found["n"] == 2 and found["code_cosine_mean"] == pytest.approx((1 + 0.5**0.5) / 2)
    assert found["code_cosine_sd"] == pytest.approx((1 - 0.5**0.5) / 2)


def test_the_styles_report_is_the_share_of_variance_told():
    """Exact for the coarse layers, nothing but the mean for the middle ones, half the way for the fine ones."""
    targets = torch.randn(4000, 3, 32, generator=torch.Generator().manual_seed(0))
    told = targets * torch.tensor([1.0, 0.0, 0.5])[:, None]
    found = styles_report(torch.cat((told.flatten(1), torch.ones(4000, D)), dim=1).numpy(), targets.flatten(1))
    assert found == pytest.approx({"coarse_told": 1.0, "middle_told": 0.0, "fine_told": 0.75}, abs=0.01)


# ---- lessons


class Small(nn.Module):
    """The mean colour and the mean of the shape, then one layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.last = nn.Linear(5, outputs)

    def appearance(self, texture: Tensor, shape: Tensor) -> Tensor:
        return torch.cat((texture.mean(dim=(2, 3)), shape.mean(dim=1)), dim=1)

    def of_appearance(self, x: Tensor) -> Tensor:
        return self.last(x)


class Killed(Exception):
    pass


PLAN = Plan(steps=6, rate=0.02, log_steps=2, checkpoint_s=0)
TRAINING = replace(LAB_TRAINING, reader_batch=4)


def data_of(rng: np.random.Generator, count: int) -> Views:
    clean = faces(rng, count)
    damaged = FaceView(255 - clean.texture, clean.shape + 1)
    return Views(clean, damaged, np.zeros((count, 3, 512), np.float32), np.zeros((count, 0), np.float32))


def taught(folder: Path, data: Views, targets: Tensor, dies_at: int = -1, resume: bool = False, seed: int = 0):
    calls = []

    def of(found: Tensor, aims: Tensor) -> dict[str, Tensor]:
        if len(calls) == dies_at:
            raise Killed
        calls.append(aims)
        return {"fit": (found - aims).square().mean()}

    torch.manual_seed(seed)
    net = Small(targets.shape[1])
    folder.mkdir(exist_ok=True)
    learn(net, data, targets, of, lambda found: found["fit"], PLAN, TRAINING, folder, resume, group=2)
    return net, calls


def test_a_killed_lesson_goes_on_as_if_nothing_had_been(rng, tmp_path):
    data, targets = data_of(rng, 12), torch.from_numpy(rng.standard_normal((12, 3))).float()
    whole, _ = taught(tmp_path / "whole", data, targets)
    with pytest.raises(Killed):
        taught(tmp_path / "killed", data, targets, dies_at=4)
    resumed, calls = taught(tmp_path / "killed", data, targets, resume=True, seed=9)
    assert len(calls) == 2
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "killed" / "log.csv").read_text()
    assert not whole.training


def test_what_belongs_together_stands_in_both_halves_and_every_group_comes_once(rng, tmp_path):
    """Renders 2n and 2n + 1 carry one code; a batch of four is two codes, and three batches are all of them."""
    codes = torch.arange(6).repeat_interleave(2).float()[:, None]
    photo = torch.arange(12).float()[:, None]
    _, calls = taught(tmp_path, data_of(rng, 12), torch.cat((codes, photo), dim=1))
    for aims in calls:
        one, two = aims.chunk(2)
        assert torch.equal(one[:, 0], two[:, 0]) and torch.equal(one[:, 1] + 1, two[:, 1])
    first, second = (torch.cat([aims[:, 1] for aims in epoch]) for epoch in (calls[:3], calls[3:]))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12)) and not torch.equal(first, second)


def test_half_of_what_f_sees_was_saved(rng, tmp_path):
    """Clean faces are white here with shapes of 1, and saved ones black with shapes of -1."""
    count = 40
    white = FaceView(np.full((count, *TEXTURE, 3), 255, np.uint8), np.ones((count, LANDMARKS, 2), np.float16))
    black = FaceView(0 * white.texture, -white.shape)
    data = Views(white, black, np.zeros((count, 3, 512), np.float32), np.zeros((count, 0), np.float32))
    shades: list[float] = []

    class Spy(Small):
        def of_appearance(self, x: Tensor) -> Tensor:
            shades.extend(x[:, 0].tolist())
            assert torch.equal(x[:, :3] > 0, (x[:, 3:4] > 0).expand(-1, 3))  # texture and shape are of one picture
            return super().of_appearance(x)

    def of(found: Tensor, aims: Tensor) -> dict[str, Tensor]:
        return {"fit": (found - aims).square().mean()}

    training, plan = replace(LAB_TRAINING, reader_batch=20), Plan(steps=4)
    learn(Spy(1), data, torch.zeros(count, 1), of, lambda found: found["fit"], plan, training, tmp_path, False)
    assert len(shades) == 80 and 0.3 < np.mean(np.array(shades) > 0) < 0.7


def test_f_itself_learns_a_step(rng, tmp_path):
    """All layers behind the appearance, and what is saved of it is in plain memory."""
    torch.manual_seed(0)
    net = ReaderNet(STYLES, textures=6, shapes=4, hidden=8)
    targets = torch.from_numpy(rng.standard_normal((4, STYLES))).float()
    learn(
        net,
        data_of(rng, 4),
        targets,
        styles_terms,
        lambda found: found["styles"],
        Plan(steps=1),
        replace(LAB_TRAINING, reader_batch=2),
        tmp_path,
        False,
    )
    assert all(tensor.is_contiguous() for tensor in net.state_dict().values())  # or it could not be saved
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    with (tmp_path / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert np.isfinite(float(row["styles"]))


def test_reading_does_not_depend_on_the_batch(rng):
    net, many = Small(3), faces(rng, 70)  # more than a batch
    found = read(net, many)
    assert found.shape == (70, 3) and found.dtype == np.float32 and not net.training
    np.testing.assert_allclose(read(net, many[66:]), found[66:], atol=1e-5)


def test_f_reads_in_training_as_it_does_in_use(photo, tiny):
    state, landmarks = reader_state(), tiny.locator.locate(photo).landmarks
    net = reader_net({name.removeprefix("net."): tensor for name, tensor in state.items() if name.startswith("net.")})
    view = MeanFace(net.mean_shape.numpy()).view(photo.pixels, landmarks)
    (found,) = read(net, FaceView(view.texture[None], view.shape[None]))
    np.testing.assert_allclose(FaceReader(state, torch.device("cpu"))(photo.pixels, landmarks), found, atol=1e-5)


def test_a_grown_f_reads_styles_as_before_and_of_the_code_nearly_nothing():
    torch.manual_seed(0)
    net = ReaderNet(STYLES)
    net.mean_shape.fill_(80.0)
    larger = grown(net.eval(), STYLES + D).eval()
    x = torch.randn(2, 3, *TEXTURE, generator=torch.Generator().manual_seed(1))
    shape = 80 + 5 * torch.randn(2, LANDMARKS, 2, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        before, after = net(x, shape), larger(x, shape)
    assert after.shape == (2, STYLES + D)
    torch.testing.assert_close(after[:, :STYLES], before)
    assert 0 < after[:, STYLES:].abs().mean() < 0.3 * before.abs().mean()


# ---- the keyed network of `bits`


def drawn(count: int, bits: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Sights that show u turned by the key's first bit: x1 and x2 of a person and y of another, under one key."""
    person, other = torch.randn(2, count, D)
    u = torch.stack((person, person + 0.05 * torch.randn(count, D), other), dim=1)
    u = u / u.norm(dim=2, keepdim=True)
    key = torch.randint(0, 2, (count, bits)).float() * 2 - 1
    return torch.cat((3 * u * key[:, None, :1], key[:, None].expand(-1, 3, -1)), dim=2), u[:, 0], key


def keyed(folder: Path, steps: int) -> KeyedNet:
    torch.manual_seed(0)
    net = KeyedNet(D + 8, 8, D)
    net.mean.fill_(0.5)
    training = replace(LAB_TRAINING, keyed_steps=steps, bits_batch=64, projector_rate=3e-3)
    folder.mkdir(exist_ok=True)
    teach_keyed(net, drawn, training, folder, False)
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
    net = keyed(tmp_path, 300)
    sights, u, key = drawn(200)
    found = keyed_report(net, sights[:, 0].numpy(), torch.cat((u, key), dim=1).numpy())
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
        def read(self, w: Tensor) -> Tensor:
            asked.append(w)
            return w[:, 0, :5]

    sights, u, key = keyed_draw(net, Plain(), 0.7, people, Seen())(6)  # type: ignore[arg-type]
    assert sights.shape == (6, 3, 5) and key.shape == (6, 8) and set(key.unique().tolist()) == {-1.0, 1.0}
    assert not sights.requires_grad
    owners = {photo: person for person, photos in enumerate(people.pairs) for photo in photos.tolist()}
    photo = [int(torch.nonzero((people.identity == row).all(dim=1))[0]) for row in u]
    with torch.no_grad():
        again = 0.7 * net(people.feature[photo], key)
    torch.testing.assert_close(sights[:, 0], again[:, :5])
    assert all(number in owners for number in photo) and len(asked) == 3


def test_h_is_the_ridge_and_what_e_sees_of_the_person(rng):
    """Six numbers of F tell the code without noise; three of E know nothing of it."""
    codes = rng.standard_normal((400, 4))
    sight = np.concatenate([5 + rng.standard_normal((400, 3)), codes @ rng.standard_normal((4, 6)) - 2], axis=1)
    person = rng.standard_normal((4, 3))
    mean, told = fit_reading([sight, sight], codes, person, 1e-6, 0.0)
    np.testing.assert_allclose(mean, sight.mean(axis=0))
    np.testing.assert_allclose((sight - mean) @ told.T, codes - codes.mean(axis=0), atol=1e-3)
    both = fit_reading([sight, sight], codes, person, 1e-6, 0.5)[1]
    added = both - told
    assert (added[:, 3:] == 0).all() and np.allclose(added[:, :3] / person, added[0, 0] / person[0, 0])
    sizes = [np.square((sight - mean) @ rows.T).mean() for rows in (added, told)]
    assert sizes[0] == pytest.approx(0.25 * sizes[1])
