from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE, ReaderNet
from kfaar_core.stages.face_view import FaceView, MeanFace
from kfaar_core.stages.identify import FaceReader, reader_net
from kfaar_core.stages.tiny import reader_state
from kfaar_core.train import reader
from kfaar_core.train.appearance import predict
from kfaar_core.train.data import TrainingData
from kfaar_core.train.loop import Checkpoints, Plan
from kfaar_core.train.reader import (
    STYLES,
    Examples,
    Objective,
    code_terms,
    fit_reading,
    joined,
    style_targets,
    styles_report,
    styles_terms,
    train_reader,
    train_styles,
    with_outputs,
)
from kfaar_core.train.recipe import Run
from kfaar_core.train.settings import LAB_TRAINING
from kfaar_core.train.views import Views
from tests.kfaar_core.train.small_worlds import SPACE

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


def test_the_styles_report_is_the_share_of_variance_told():
    """Exact for the coarse layers, nothing but the mean for the middle ones, half the way for the fine ones."""
    targets = torch.randn(4000, 3, 32, generator=torch.Generator().manual_seed(0))
    told = targets * torch.tensor([1.0, 0.0, 0.5])[:, None]
    found = styles_report(torch.cat((told.flatten(1), torch.ones(4000, D)), dim=1).numpy(), targets.flatten(1))
    assert found == pytest.approx({"coarse_told": 1.0, "middle_told": 0.0, "fine_told": 0.75}, abs=0.01)


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


def trained(folder: Path, data: Views, targets: Tensor, dies_at: int = -1, resume: bool = False, seed: int = 0):
    calls = []

    def of(found: Tensor, aims: Tensor) -> dict[str, Tensor]:
        if len(calls) == dies_at:
            raise Killed
        calls.append(aims)
        return {"fit": (found - aims).square().mean()}

    torch.manual_seed(seed)
    net = Small(targets.shape[1])
    folder.mkdir(exist_ok=True)
    objective = Objective(of, lambda terms: terms["fit"])
    train_reader(net, Examples(data, targets, group=2), objective, PLAN, TRAINING, Checkpoints(folder, resume))
    return net, calls


def test_a_killed_training_goes_on_as_if_nothing_had_been(rng, tmp_path):
    data, targets = data_of(rng, 12), torch.from_numpy(rng.standard_normal((12, 3))).float()
    whole, _ = trained(tmp_path / "whole", data, targets)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", data, targets, dies_at=4)
    resumed, calls = trained(tmp_path / "killed", data, targets, resume=True, seed=9)
    assert len(calls) == 2
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "killed" / "log.csv").read_text()
    assert not whole.training


def test_what_belongs_together_stands_in_both_halves_and_every_group_comes_once(rng, tmp_path):
    """Renders 2n and 2n + 1 carry one code; a batch of four is two codes, and three batches are all of them."""
    codes = torch.arange(6).repeat_interleave(2).float()[:, None]
    photo = torch.arange(12).float()[:, None]
    _, calls = trained(tmp_path, data_of(rng, 12), torch.cat((codes, photo), dim=1))
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
    objective = Objective(of, lambda terms: terms["fit"])
    train_reader(Spy(1), Examples(data, torch.zeros(count, 1)), objective, plan, training, Checkpoints(tmp_path))
    assert len(shades) == 80 and 0.3 < np.mean(np.array(shades) > 0) < 0.7


def test_f_itself_learns_a_step(rng, tmp_path):
    """All layers behind the appearance, and what is saved of it is in plain memory."""
    torch.manual_seed(0)
    net = ReaderNet(STYLES, textures=6, shapes=4, hidden=8)
    targets = torch.from_numpy(rng.standard_normal((4, STYLES))).float()
    train_reader(
        net,
        Examples(data_of(rng, 4), targets),
        Objective(styles_terms, lambda terms: terms["styles"]),
        Plan(steps=1),
        replace(LAB_TRAINING, reader_batch=2),
        Checkpoints(tmp_path),
    )
    assert all(tensor.is_contiguous() for tensor in net.state_dict().values())  # or it could not be saved
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    with (tmp_path / "log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert np.isfinite(float(row["styles"]))


def test_reading_does_not_depend_on_the_batch(rng):
    net, many = Small(3), faces(rng, 70)  # more than a batch
    found = predict(net, many)
    assert found.shape == (70, 3) and found.dtype == np.float32 and not net.training
    np.testing.assert_allclose(predict(net, many[66:]), found[66:], atol=1e-5)


def test_f_reads_in_training_as_it_does_in_use(photo, tiny):
    state, landmarks = reader_state(), tiny.locator.locate(photo).landmarks
    net = reader_net({name.removeprefix("net."): tensor for name, tensor in state.items() if name.startswith("net.")})
    view = MeanFace(net.mean_shape.numpy()).view(photo.pixels, landmarks)
    (found,) = predict(net, FaceView(view.texture[None], view.shape[None]))
    np.testing.assert_allclose(FaceReader(state, torch.device("cpu"))(photo.pixels, landmarks), found, atol=1e-5)


def test_a_grown_f_reads_styles_as_before_and_of_the_code_nearly_nothing():
    torch.manual_seed(0)
    net = ReaderNet(STYLES)
    net.mean_shape.fill_(80.0)
    larger = with_outputs(net.eval(), STYLES + D).eval()
    x = torch.randn(2, 3, *TEXTURE, generator=torch.Generator().manual_seed(1))
    shape = 80 + 5 * torch.randn(2, LANDMARKS, 2, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        before, after = net(x, shape), larger(x, shape)
    assert after.shape == (2, STYLES + D)
    torch.testing.assert_close(after[:, :STYLES], before)
    assert 0 < after[:, STYLES:].abs().mean() < 0.3 * before.abs().mean()


def test_h_is_the_ridge_and_what_e_sees_of_the_person(rng):
    """Six numbers of F tell the code without noise; three of E know nothing of it."""
    codes = rng.standard_normal((400, 4))
    features = np.concatenate([5 + rng.standard_normal((400, 3)), codes @ rng.standard_normal((4, 6)) - 2], axis=1)
    person = rng.standard_normal((4, 3))
    mean, told = fit_reading([features, features], codes, person, 1e-6, 0.0)
    np.testing.assert_allclose(mean, features.mean(axis=0))
    np.testing.assert_allclose((features - mean) @ told.T, codes - codes.mean(axis=0), atol=1e-3)
    both = fit_reading([features, features], codes, person, 1e-6, 0.5)[1]
    added = both - told
    assert (added[:, 3:] == 0).all() and np.allclose(added[:, :3] / person, added[0, 0] / person[0, 0])
    sizes = [np.square((features - mean) @ rows.T).mean() for rows in (added, told)]
    assert sizes[0] == pytest.approx(0.25 * sizes[1])


STYLES_ONLY = replace(
    LAB_TRAINING, reader_batch=4, styles_steps=1, styled_shards=3, channel_shards=1, draft_shards=2, draft_unseen=2
)


MEAN_FACE = 80 + 20 * np.random.default_rng(0).standard_normal((LANDMARKS, 2))


def views_of(rng: np.random.Generator, count: int, carried: int) -> Views:
    def faces() -> FaceView:
        textures = rng.integers(0, 256, (count, *TEXTURE, 3), dtype=np.uint8)
        return FaceView(textures, (MEAN_FACE + rng.standard_normal((count, LANDMARKS, 2))).astype(np.float16))

    w = rng.standard_normal((count, 3, 512)).astype(np.float32)
    return Views(faces(), faces(), w, rng.standard_normal((count, carried)).astype(np.float32))


def test_views_of_two_kinds_are_joined_row_by_row(rng):
    """Mixed renders carry nothing, and those of P do."""
    mixed, draft = views_of(rng, 3, 0), views_of(rng, 2, 4)
    found = joined([mixed, draft])
    for part, rows in ((mixed, slice(0, 3)), (draft, slice(3, 5))):
        np.testing.assert_array_equal(found[rows].clean.texture, part.clean.texture)
        np.testing.assert_array_equal(found[rows].clean.shape, part.clean.shape)
        np.testing.assert_array_equal(found[rows].damaged.texture, part.damaged.texture)
        np.testing.assert_array_equal(found[rows].damaged.shape, part.damaged.shape)
        np.testing.assert_array_equal(found[rows].w, part.w)
    assert found.payload.shape == (5, 0)


def test_the_training_on_styles_holds_renders_out_and_writes_f_with_its_mean_face(
    rng, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path))
    asked = []

    def seen(_: TrainingData, kind: str, first: int = 0, last: int | None = None) -> Views:
        asked.append((kind, first, last))
        return views_of(rng, 4, 0 if kind == "mixed" else 4)

    monkeypatch.setattr(TrainingData, "views", seen)
    monkeypatch.setattr(TrainingData, "mean_shape", MEAN_FACE)
    monkeypatch.setattr(TrainingData, "space", SPACE)
    fitted = []

    def fit(net: ReaderNet, faces: FaceView, mean: np.ndarray) -> None:  # the axes of so many pixels take a minute
        fitted.append(len(faces.shape))
        net.mean_shape.copy_(torch.from_numpy(mean))

    monkeypatch.setattr(reader, "fit_appearance", fit)
    report = train_styles(Run(STYLES_ONLY, tmp_path, tmp_path))
    assert asked == [("mixed", 0, 3), ("draft", 0, 2), ("draft", 2, 4)]  # the last ones test it, and serve surrogates
    assert report.keys() == {"coarse_told", "middle_told", "fine_told"} and max(report.values()) < 0.5
    assert fitted == [8]  # all faces that it is trained on
    net = reader_net(load_file(tmp_path / "kvfa" / "styles" / "net.safetensors"))
    assert net.last.out_features == STYLES
    torch.testing.assert_close(net.mean_shape, torch.from_numpy(MEAN_FACE).float())
