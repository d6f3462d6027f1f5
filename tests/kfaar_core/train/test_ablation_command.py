"""python -m kfaar_core.train ablation: from what it is asked for to a file that `report` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from kfaar_core.errors import BadSetting
from kfaar_core.report.tables import read_table
from kfaar_core.train import __main__ as command
from kfaar_core.train.projector import People
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.stand_ins import crowd


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "locate", lambda name: tmp_path / name)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(command.app, ["ablation", *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hashed",), "Choose projector or kvfa"),
        (("kvfa", "--bits", "9"), "bits-128"),
        (("projector", "--set", "lambda_sny=0"), "lambda_syn"),
    ],
)
def test_what_is_refused_is_one_sentence(monkeypatch, words, said):
    monkeypatch.setattr(command, "Road", lambda *_: pytest.fail("began to work"))
    result = run(*words)
    assert isinstance(result.exception, BadSetting) and said in str(result.exception)


class SmallRoad:
    """60 triplets of 12 people, whose sights are noise."""

    def __init__(self, training, lfw: Path) -> None:
        self.training, self.people = training, crowd(np.random.default_rng(0), photos=(2,) * 12)

    def reader(self, weights: Path) -> str:
        return weights.name

    def keyed_sights(self, reader: str, bits: int) -> tuple[np.ndarray, np.ndarray]:
        assert (reader, bits) == ("mine", 128)
        torch.manual_seed(0)
        u = self.people.identity[torch.stack(self.people.triplets(60), dim=1).flatten()].numpy()
        payload = np.concatenate([u, np.ones((180, bits))], axis=1).astype(np.float32)
        return np.random.default_rng(1).standard_normal((2, 180, 5)), payload

    def keyed_draw(self, sights: np.ndarray, bits: int, weights: Path, people: People):
        assert (sights.shape, weights.name) == ((2, 180, 5), "mine")
        assert 0 < len(people.pairs) < 12  # somebody is held out
        return lambda count: (torch.randn(count, 3, 5), torch.randn(count, 4), torch.randn(count, bits).sign())

    def stand_in(self, bits: int) -> dict[str, torch.Tensor]:
        return {"mean": torch.zeros(5), "scale": torch.ones(5)}


def test_a_table_is_written_and_read_again(monkeypatch, folder):
    monkeypatch.setattr(command, "Road", SmallRoad)
    steps = ["--set", "keyed_steps=1", "--set", "bits_batch=4"]
    result = run("kvfa", "--bits", "128", "--seeds", "2", "--weights", "mine", "-o", str(folder / "out"), *steps)
    assert result.exit_code == 0, result.exception
    path = folder / "out" / "lab-bits-128-renders-x.json"
    assert result.stdout.endswith(f"{path}\n") and path.with_suffix(".md").is_file()
    table = read_table(path)
    assert table.number == "X" and "2 seeds" in table.about and "128-bit keys" in table.about
    assert json.loads(result.stdout.removesuffix(f"{path}\n"))["keyed_steps"] == 1 != LAB_TRAINING.keyed_steps
