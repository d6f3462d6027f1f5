from __future__ import annotations

import json
import logging
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from kfaar_core.errors import BadSetting
from kfaar_core.files import write_whole
from kfaar_core.losses import weighted_sum
from kfaar_core.train import loop
from kfaar_core.train.loop import Checkpoints, Plan, train
from kfaar_core.train.settings import LAB_TRAINING, with_settings

PLAN = Plan(steps=12, rate=0.05, log_steps=5, checkpoint_s=0)  # a checkpoint after every step


class Killed(Exception):
    pass


def network(seed: int = 0) -> nn.Sequential:
    """With running statistics and dropout, so that buffers and random numbers must come back too."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def losses(net: nn.Module, dies_at: int = -1):
    def of(step: int) -> dict[str, torch.Tensor]:
        if step == dies_at:
            raise Killed
        x = torch.randn(16, 4)  # as the loop has seeded it
        found = net(x)
        return {"fit": (found - x[:, :2]).square().mean(), "size": 0.1 * found.square().mean()}

    return of


def weights_of(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def curve_of(folder: Path) -> list[str]:
    return (folder / "log.csv").read_text().split()


@pytest.fixture
def seconds(monkeypatch) -> None:
    """A clock on which every step takes ten seconds."""
    monkeypatch.setattr(loop, "monotonic", count(0, 10).__next__)


@pytest.fixture
def whole(tmp_path) -> dict[str, torch.Tensor]:
    """Weights of a run that nobody disturbed."""
    (tmp_path / "whole").mkdir()
    net = network()
    train(net, losses(net), PLAN, Checkpoints(tmp_path / "whole"))
    assert not net.training
    return weights_of(net)


@pytest.mark.parametrize("checkpoint_s", [0, 30, 1e9])
@pytest.mark.parametrize("dies_at", [1, 7, 11])
def test_a_killed_and_resumed_run_gives_the_same_weights_and_curve(whole, seconds, tmp_path, dies_at, checkpoint_s):
    plan = Plan(steps=12, rate=0.05, log_steps=5, checkpoint_s=checkpoint_s)
    net = network()
    with pytest.raises(Killed):
        train(net, losses(net, dies_at), plan, Checkpoints(tmp_path))
    found = (tmp_path / "checkpoint.pt").exists()
    assert found == (checkpoint_s == 0 or (checkpoint_s == 30 and dies_at > 1))
    other = network(seed=5 if found else 0)  # with a checkpoint, what the new process starts with does not matter
    train(other, losses(other), plan, Checkpoints(tmp_path, resume=True))
    assert_same(weights_of(other), whole)
    assert curve_of(tmp_path) == curve_of(tmp_path / "whole")
    assert [row.split(",")[0] for row in curve_of(tmp_path)] == ["step", "5", "10", "12"]


def test_a_run_may_be_killed_again_and_again(whole, tmp_path):
    for dies_at in range(1, 12):
        net = network(seed=dies_at - 1)
        with pytest.raises(Killed):
            train(net, losses(net, dies_at), PLAN, Checkpoints(tmp_path, resume=True))
    train(net, losses(net), PLAN, Checkpoints(tmp_path, resume=True))
    assert_same(weights_of(net), whole)
    assert curve_of(tmp_path) == curve_of(tmp_path / "whole")


def test_killed_while_a_checkpoint_is_written(whole, tmp_path, monkeypatch):
    save, saves = torch.save, count(1)

    def half(state: object, path: Path) -> None:
        save(state, path)
        if next(saves) == 4:
            write_whole(path, path.read_bytes()[:1000], force=True)
            raise Killed

    monkeypatch.setattr(torch, "save", half)
    net = network()
    with pytest.raises(Killed):
        train(net, losses(net), PLAN, Checkpoints(tmp_path))
    train(net, losses(net), PLAN, Checkpoints(tmp_path, resume=True))
    assert_same(weights_of(net), whole)
    assert curve_of(tmp_path) == curve_of(tmp_path / "whole")


def test_a_checkpoint_at_least_every_five_minutes(seconds, tmp_path, monkeypatch):
    steps = []
    save = torch.save

    def noted(state: dict, path: Path) -> None:
        steps.append(state["step"])
        save(state, path)

    monkeypatch.setattr(torch, "save", noted)
    net = nn.Linear(4, 2)
    train(net, losses(net), Plan(steps=100), Checkpoints(tmp_path))
    assert steps[-1] == 100
    assert max(after - before for before, after in zip([0, *steps], steps, strict=False)) * 10 <= 300


def test_the_same_seed_gives_the_same_weights_and_another_does_not(whole, tmp_path):
    again, other = network(), network(seed=1)
    torch.manual_seed(99)
    train(again, losses(again), PLAN, Checkpoints(tmp_path))
    assert_same(weights_of(again), whole)
    train(other, losses(other), PLAN, Checkpoints(tmp_path))
    assert not torch.equal(other[0].weight, whole["0.weight"])


def test_the_seed_of_the_plan_draws_other_batches(whole, tmp_path):
    net = network()
    train(net, losses(net), Plan(steps=12, rate=0.05, seed=1), Checkpoints(tmp_path))
    assert not torch.equal(net[0].weight, whole["0.weight"])


def test_without_resume_an_old_checkpoint_is_not_read(whole, tmp_path):
    stranger = network(seed=3)
    train(stranger, losses(stranger), PLAN, Checkpoints(tmp_path))
    net = network()
    train(net, losses(net), PLAN, Checkpoints(tmp_path, resume=False))
    assert_same(weights_of(net), whole)


def test_resuming_a_finished_run_changes_nothing(whole, tmp_path):
    net = network(seed=4)
    train(net, losses(net, dies_at=0), PLAN, Checkpoints(tmp_path / "whole", resume=True))  # no step is asked for
    assert_same(weights_of(net), whole)


def test_it_learns(tmp_path):
    net = nn.Linear(4, 2)
    train(net, losses(net), Plan(steps=60, rate=0.2), Checkpoints(tmp_path))
    assert float(losses(net)(1000)["fit"].detach()) < 0.05


def test_the_log_holds_means_over_the_steps_since_the_last_line(tmp_path):
    net = nn.Linear(4, 2)
    train(net, lambda step: {"number": 0 * net.weight.sum() + step}, Plan(steps=130), Checkpoints(tmp_path))
    assert curve_of(tmp_path) == ["step,number", "100,49.5", "130,114.5"]  # means of 0..99 and of 100..129


def test_a_new_run_starts_a_new_curve(tmp_path):
    net = nn.Linear(4, 2)
    for steps in (3, 2):
        train(net, lambda step: {"number": 0 * net.weight.sum() + step}, Plan(steps=steps), Checkpoints(tmp_path))
    assert curve_of(tmp_path) == ["step,number", "2,0.5"]


def test_progress_names_each_loss_and_the_time_left(seconds, tmp_path, caplog):
    net = nn.Linear(4, 2)

    def constant(step: int) -> dict[str, torch.Tensor]:
        return {"fit": 0 * net.weight.sum() + 0.25, "size": 0 * net.weight.sum() + 4}

    with caplog.at_level(logging.INFO):
        train(net, constant, Plan(steps=20, log_steps=10), Checkpoints(tmp_path))
    assert "step 10/20, 0:01:40 left: fit=0.2500 size=4.0000" in caplog.messages  # 10 steps of 10 s
    assert "step 20/20, 0:00:00 left: fit=0.2500 size=4.0000" in caplog.messages


def test_the_objective_weighs_and_the_log_shows_the_terms_as_they_are(tmp_path):
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    plan = Plan(steps=200, rate=0.1, decay=0.0)

    def pulled(step: int) -> dict[str, torch.Tensor]:
        return {"to_1": (net.weight - 1).square().sum(), "to_2": (net.weight - 2).square().sum()}

    weights = {"to_1": 1.0, "to_2": 3.0}
    train(net, pulled, plan, Checkpoints(tmp_path), objective=lambda terms: weighted_sum(terms, weights, terms))
    assert float(net.weight.detach()) == pytest.approx(1.75, abs=1e-3)  # (1 * 1 + 3 * 2) / 4
    last = [float(value) for value in curve_of(tmp_path)[-1].split(",")]
    assert last == pytest.approx([200, 0.5625, 0.0625], abs=1e-3)


def test_the_settings_stand_beside_the_log(tmp_path):
    net = network()
    training = with_settings(LAB_TRAINING, ["lambda_ano=0.25", "seed=7"])
    train(net, losses(net), PLAN, Checkpoints(tmp_path), training=training)
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept["plan"]["steps"] == 12 and kept["plan"]["rate"] == 0.05
    assert kept["training"]["lambda_ano"] == 0.25 and kept["training"]["seed"] == 7
    assert kept["training"]["correction"]["keep"] == 10.0


def test_a_run_is_not_resumed_with_other_settings(tmp_path):
    net = network()
    train(net, losses(net), PLAN, Checkpoints(tmp_path), training=LAB_TRAINING)
    before = weights_of(net)
    other = with_settings(LAB_TRAINING, ["lambda_ano=0", "look_size=1"])
    with pytest.raises(BadSetting, match="other settings of steps, look_size, lambda_ano"):
        train(
            net, losses(net), Plan(steps=13, rate=0.05, log_steps=5), Checkpoints(tmp_path, resume=True), training=other
        )
    assert json.loads((tmp_path / "settings.json").read_text())["plan"]["steps"] == 12
    train(
        net,
        losses(net),
        Plan(steps=12, rate=0.05, log_steps=5),
        Checkpoints(tmp_path, resume=True),
        training=LAB_TRAINING,
    )
    assert_same(weights_of(net), before)


def test_a_checkpoint_without_its_settings_is_not_resumed(tmp_path):
    net = network()
    train(net, losses(net), PLAN, Checkpoints(tmp_path))
    (tmp_path / "settings.json").unlink()
    with pytest.raises(BadSetting, match="without --resume"):
        train(net, losses(net), PLAN, Checkpoints(tmp_path, resume=True))


@pytest.mark.parametrize("asked", [False, True])
def test_bfloat16_holds_inside_the_losses_only(tmp_path, asked):
    net = nn.Linear(4, 2)
    seen = []

    def noted(step: int) -> dict[str, torch.Tensor]:
        found = net(torch.randn(16, 4))
        seen.append(found.dtype)
        return {"size": found.float().square().mean()}

    train(net, noted, Plan(steps=2, bfloat16=asked), Checkpoints(tmp_path))
    assert seen == [torch.bfloat16 if asked else torch.float32] * 2
    assert net.weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
