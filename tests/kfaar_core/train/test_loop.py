from __future__ import annotations

import csv

import pytest
import torch
from torch import nn

from kfaar_core.train.loop import Plan, append, train

PLAN = Plan(steps=12, rate=0.05, checkpoint_s=-1)  # a checkpoint after every step


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
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        found = net(x)
        return {"fit": (found - x[:, :2]).square().mean(), "size": 0.1 * found.square().mean()}

    return of


def weights_of(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def whole(tmp_path) -> dict[str, torch.Tensor]:
    """Weights of a run that nobody disturbed."""
    (tmp_path / "whole").mkdir()
    net = network()
    train(net, losses(net), PLAN, tmp_path / "whole")
    assert not net.training
    return weights_of(net)


@pytest.mark.parametrize("dies_at", [1, 7, 11])
def test_a_killed_and_resumed_run_gives_the_same_weights(whole, tmp_path, dies_at):
    net = network()
    with pytest.raises(Killed):
        train(net, losses(net, dies_at), PLAN, tmp_path)
    other = network(seed=5)  # what the new process starts with does not matter
    train(other, losses(other), PLAN, tmp_path, resume=True)
    assert_same(weights_of(other), whole)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(whole, tmp_path):
    again, other = network(), network(seed=1)
    torch.manual_seed(99)
    train(again, losses(again), PLAN, tmp_path)
    assert_same(weights_of(again), whole)
    train(other, losses(other), PLAN, tmp_path)
    assert not torch.equal(other[0].weight, whole["0.weight"])


def test_without_resume_an_old_checkpoint_is_not_read(whole, tmp_path):
    stranger = network(seed=3)
    train(stranger, losses(stranger), PLAN, tmp_path)
    net = network()
    train(net, losses(net), PLAN, tmp_path, resume=False)
    assert_same(weights_of(net), whole)


def test_resuming_a_finished_run_changes_nothing(whole, tmp_path):
    net = network(seed=4)
    train(net, losses(net, dies_at=0), PLAN, tmp_path / "whole", resume=True)  # no step is asked for
    assert_same(weights_of(net), whole)


def test_it_learns(tmp_path):
    net = nn.Linear(4, 2)
    train(net, losses(net), Plan(steps=150, rate=0.1), tmp_path)
    assert float(losses(net)(1000)["fit"].detach()) < 0.05


def test_the_log_holds_means_over_the_steps_since_the_last_line(tmp_path):
    net = nn.Linear(4, 2)
    train(net, lambda step: {"number": 0 * net.weight.sum() + step}, Plan(steps=130, checkpoint_s=1e9), tmp_path)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = [(row["step"], float(row["number"])) for row in csv.DictReader(file)]
    assert rows == [("100", 49.5), ("130", 114.5)]  # means of 0..99 and of 100..129


def test_a_resumed_log_has_true_means(tmp_path):
    net = nn.Linear(4, 2)

    def constant(step: int) -> dict[str, torch.Tensor]:
        if step == 60 and not (tmp_path / "resumed").exists():
            raise Killed
        return {"loss": 0 * net.weight.sum() + 4}

    plan = Plan(steps=130, checkpoint_s=-1)
    with pytest.raises(Killed):
        train(net, constant, plan, tmp_path)
    (tmp_path / "resumed").touch()
    train(net, constant, plan, tmp_path, resume=True)
    with (tmp_path / "log.csv").open(newline="") as file:
        assert [(row["step"], float(row["loss"])) for row in csv.DictReader(file)] == [("100", 4.0), ("130", 4.0)]


def test_a_log_has_one_header(tmp_path):
    for step in (1, 2):
        append(tmp_path / "log.csv", {"step": step, "fit": 0.5})
    assert (tmp_path / "log.csv").read_text().split() == ["step,fit", "1,0.5", "2,0.5"]
