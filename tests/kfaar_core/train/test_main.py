"""python -m kfaar_core.train: what is asked for is checked before anything is loaded or rendered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from kfaar_core import methods, weights
from kfaar_core.errors import KfaarError
from kfaar_core.nets.projector_net import LEADING, HashedNet
from kfaar_core.quantised import dequantised
from kfaar_core.train import __main__ as command
from kfaar_core.train import recipe
from kfaar_core.train.recipe import Run
from kfaar_core.train.settings import LAB_TRAINING, with_settings
from tests.kfaar_core.train.small_worlds import SPACE, still


def run(*words: str) -> Result:
    return CliRunner().invoke(command.app, list(words))


@pytest.fixture(autouse=True)
def nothing_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache and no data."""
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "locate", lambda name: tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", ["projector", "kvfa", "renders"])
@pytest.mark.parametrize("form", ["mlp", "bits", "bits-9", "bits-512", "Hashed"])
def test_an_unknown_form_is_one_sentence(monkeypatch, name, form):
    monkeypatch.setattr(recipe, "TrainingData", lambda *_: pytest.fail("began to work"))
    result = run(name, form)
    assert result.exit_code == 1 and isinstance(result.exception, KfaarError)
    sentence = str(result.exception)
    assert f"{form!r}" in sentence and "bits-128" in sentence and "hashed" in sentence


@pytest.mark.parametrize("words", [("recogniser",), ("projector", "hashed"), ("kvfa", "hashed"), ("renders", "mixed")])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lambda_sny=0", "Did you mean lambda_syn"),
        ("seed=often", "a whole number"),
        ("seed", "name=value"),
    ],
)
def test_a_setting_that_is_none_is_one_sentence(monkeypatch, words, change, said):
    monkeypatch.setattr(recipe, "TrainingData", lambda *_: pytest.fail("began to work"))
    result = run(*words, "--set", change)
    assert isinstance(result.exception, KfaarError) and said in str(result.exception)


def test_the_sentence_is_all_that_is_printed(capsys):
    assert command.main(["projector", "mlp"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err == (
        "The method 'mlp'. Choose one of draft, hashed, bits-8, bits-128, bits-256.\n"
    )
    assert command.main(["--help"]) == 0


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", ["projector", "kvfa"])
def test_settings_are_printed_and_reach_the_data(monkeypatch, name):
    asked = []

    def data(training, lfw, preset):
        asked.append((training, lfw.name))
        raise Stop

    monkeypatch.setattr(recipe, "TrainingData", data)
    result = run(name, "hashed", "--set", "lambda_ano=0", "--set", "seed=3", "--data", "people")
    assert isinstance(result.exception, Stop)
    expected = with_settings(LAB_TRAINING, ["lambda_ano=0", "seed=3"])
    assert asked == [(expected, "people")]
    printed = json.loads(result.stdout)
    assert printed["lambda_ano"] == 0 and printed["seed"] == 3 and printed["margin"] == LAB_TRAINING.margin


class Asked:
    """Training data that says which surrogate encoder was asked for."""

    people = None

    def __init__(self, *_: object, **more: object) -> None: ...

    def style_reader(self) -> str:
        return "F after its first training"

    def reader(self, folder: Path) -> str:
        return f"F of {folder.name}"

    def renderer(self, with_bootstrap: bool) -> None:
        self.with_bootstrap = with_bootstrap

    def encoder(self, reader: str | None, kind: str) -> None:
        raise Stop(reader, kind, self.with_bootstrap)


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ("draft", (None, "mixed", False)),  # E alone: F learns from faces of this P
        ("hashed", ("F after its first training", "draft", True)),  # whose surrogate knows faces of the bootstrap P
        ("bits-8", ("F of weights", "mixed", False)),
    ],
)
def test_which_features_p_is_trained_with(monkeypatch, form, asked):
    monkeypatch.setattr(recipe, "TrainingData", Asked)
    result = run("projector", form, "-o", "weights")
    assert isinstance(result.exception, Stop) and result.exception.args == asked


def test_f_is_not_trained_on_the_bootstrap_alone(monkeypatch):
    monkeypatch.setattr(recipe, "TrainingData", lambda *_: pytest.fail("began to work"))
    result = run("kvfa", "draft")
    assert isinstance(result.exception, KfaarError) and "choose one of styles, hashed, code" in result.exception.mend


@pytest.mark.parametrize(("kind", "size"), [("draft", 2.0), ("hashed", 3.0)])
def test_the_bootstrap_p_is_found_in_the_cache_and_the_trained_p_in_the_weights(
    monkeypatch, nothing_is_made, kind, size
):
    """P here writes one number into every leading coordinate but the first, which is the noise's."""
    drawn = {}
    for folder, written in ((nothing_is_made / "cache" / "projector" / "draft", 2.0), (nothing_is_made / "out", 3.0)):
        net = HashedNet(4, 6)
        for parameter in net.parameters():
            torch.nn.init.zeros_(parameter)
        torch.nn.init.constant_(net.straight.bias, written)
        state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
        folder.mkdir(parents=True)
        save_file({**state, "identity.map": torch.zeros(4, 5)}, folder / "projector_hashed.safetensors")

    def render_cache(generator, named, sample, shards, *_):
        drawn.update(kind=named, samples=sample(np.random.default_rng(0), 6), shards=shards)

    data = SimpleNamespace(
        generator=None, space=SPACE, floor=SimpleNamespace(step=still()), held_out=lambda kind: (0, len(kind))
    )
    monkeypatch.setattr(recipe, "TrainingData", lambda *_, **__: data)
    monkeypatch.setattr(command, "render_cache", render_cache)
    assert run("renders", kind, "-o", str(nothing_is_made / "out")).exit_code == 0
    assert drawn["kind"] == kind and drawn["shards"] == range(len(kind)) and drawn["samples"].w.shape == (6, 3, 512)
    v = SPACE.of_w(torch.from_numpy(drawn["samples"].w))[..., 1:LEADING]
    torch.testing.assert_close(v, torch.full_like(v, size))


def test_weights_are_saved_small_with_a_card(tmp_path):
    large, training = torch.randn(65, 64), with_settings(LAB_TRAINING, ["seed=3"])
    run = Run(training, tmp_path, tmp_path / "weights", command=("projector", "bits-8"))
    state = {"large": large, "turned": large.T[:2], "one": torch.tensor(0.7), "huge": 3 * large}
    assert run.save("judge", state, {"read": 0.25}, as_bytes=["huge"]) == {"read": 0.25}
    found = load_file(tmp_path / "weights" / "judge.safetensors")
    assert found["huge.levels"].dtype == torch.int8 and "huge" not in found
    torch.testing.assert_close(dequantised(found)["huge"], 3 * large, atol=0.06, rtol=0)  # half a step, and more
    assert found["large"].dtype == torch.float16 and found["one"].dtype == found["turned"].dtype == torch.float32
    torch.testing.assert_close(found["turned"], large.T[:2])
    card = json.loads((tmp_path / "weights" / "judge.card.json").read_text())
    assert card["metrics"] == {"read": 0.25} and card["training"]["seed"] == 3
    assert card["command"] == "python -m kfaar_core.train projector bits-8"
    assert card["limits"] == weights.entry("judge").limits != ""


def test_every_weight_of_ours_has_a_card_with_its_limits():
    methods.registered()
    cards = sorted(Path("assets/weights").glob("*.card.json"))
    assert {card.name.partition(".")[0] for card in cards} >= {"floor", "kvfa", "projector_hashed", "judge"}
    for card in cards:
        said = json.loads(card.read_text())
        assert said["limits"] == weights.entry(card.name.partition(".")[0]).limits != ""
        assert {"command", "data", "training", "metrics"} <= said.keys()


def test_every_command_of_a_card_still_runs(monkeypatch):
    """Up to the training itself, which would take hours."""
    for card in sorted(Path("assets/weights").glob("*.card.json")):
        words = json.loads(card.read_text())["command"].split()[3:]
        monkeypatch.setattr(command, "_train", lambda recipe, run: None)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert run(*words).exit_code == 0, card.name


def test_make_weights_runs_all_steps():
    """Which they are, and that each exists: tests/kfaar_core/train/test_all.py."""
    (line,) = re.findall(r"^weights:.*\n\t(.+)$", Path("Makefile").read_text(), re.MULTILINE)
    assert line == "$(BIN)/python -m kfaar_core.train all --resume $(ARGS)"
