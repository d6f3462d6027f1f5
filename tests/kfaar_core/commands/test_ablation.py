"""python -m kfaar_core ablation: from the words of the command to a file that `report` reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kfaar_core.data import photos
from kfaar_core.report.tables import read_table
from kfaar_core.train import bits as recipe
from kfaar_core.train import data as training_data
from kfaar_core.train.bits import KeyedExamples
from kfaar_core.train.settings import LAB_TRAINING
from tests.kfaar_core.train.small_worlds import crowd


@pytest.fixture(autouse=True)
def nothing_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFAAR_CACHE", str(folder / "cache"))
    monkeypatch.setattr(photos, "locate", lambda name: folder / name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hashed",), "projector, kvfa"),
        (("kvfa", "--bits", "9"), "bits-128"),
        (("projector", "--set", "lambda_sny=0"), "lambda_syn"),
    ],
)
def test_what_is_refused_is_one_sentence(monkeypatch, refused, words, said):
    monkeypatch.setattr(training_data, "TrainingData", lambda *_: pytest.fail("began to work"))
    assert said in refused("ablation", *words)


class SmallData:
    """The people of 60 triplets."""

    def __init__(self, training, lfw: Path) -> None:
        self.training, self.people = training, crowd(np.random.default_rng(0), photos=(2,) * 12)

    def reader(self, weights: Path) -> str:
        return weights.name


def examples(data: SmallData, reader: str, name: str) -> KeyedExamples:
    """Triplets of 12 people, whose features are noise."""
    assert (reader, name) == ("mine", "bits-128")
    torch.manual_seed(0)
    u = data.people.identity[torch.stack(data.people.triplets(60), dim=1).flatten()].numpy()
    payload = np.concatenate([u, np.ones((180, 128))], axis=1).astype(np.float32)
    return KeyedExamples(np.random.default_rng(1).standard_normal((2, 180, 5)), payload, np.zeros((180, 3, 512)))


def test_a_table_is_written_and_read_again(monkeypatch, kfaar, folder):
    def draw_of(data, examples, name, weights, people):
        assert (examples.features.shape, name, weights.name) == ((2, 180, 5), "bits-128", "mine")
        assert 0 < len(people.pairs) < 12  # somebody is held out
        return lambda count: (torch.randn(count, 3, 5), torch.randn(count, 4), torch.randn(count, 128).sign())

    monkeypatch.setattr(training_data, "TrainingData", SmallData)
    monkeypatch.setattr(recipe, "keyed_examples", examples)
    monkeypatch.setattr(recipe, "draw_of", draw_of)
    monkeypatch.setattr(recipe, "projector_reader", lambda name: {"mean": torch.zeros(5), "scale": torch.ones(5)})
    steps = ["--set", "keyed_steps=1", "--set", "bits_batch=4"]
    result = kfaar("ablation", "kvfa", "--bits", "128", "--seeds", "2", "--weights", "mine", "-o", "out", *steps)
    assert result.exit_code == 0, result.output
    path = Path("out") / "lab-bits-128-renders-x.json"
    assert result.stdout.endswith(f"{path}\n") and path.with_suffix(".md").is_file()
    table = read_table(path)
    assert table.number == "X" and "2 seeds" in table.about and "128-bit keys" in table.about
    assert json.loads(result.stdout.removesuffix(f"{path}\n"))["keyed_steps"] == 1 != LAB_TRAINING.keyed_steps
