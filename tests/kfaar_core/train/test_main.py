"""python -m kfaar_core.train: what is asked for is checked before anything is loaded or rendered."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from kfaar_core.errors import KfaarError
from kfaar_core.nets.projector_net import BitsNet, HashedNet
from kfaar_core.train import __main__ as command
from kfaar_core.train.settings import LAB_TRAINING, with_settings


def run(*words: str) -> Result:
    return CliRunner().invoke(command.app, list(words))


@pytest.fixture(autouse=True)
def nothing_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, no data, and a road that must not be taken."""
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "locate", lambda name, download: tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", ["projector", "kvfa", "renders"])
@pytest.mark.parametrize("form", ["mlp", "bits", "bits-9", "bits-512", "Hashed"])
def test_an_unknown_form_is_one_sentence(monkeypatch, name, form):
    monkeypatch.setattr(command, "Road", lambda *_: pytest.fail("began to work"))
    result = run(name, form)
    assert result.exit_code == 1 and isinstance(result.exception, KfaarError)
    sentence = str(result.exception)
    assert f"{form!r} is unknown" in sentence and "bits-128" in sentence and "hashed" in sentence


@pytest.mark.parametrize("words", [("projector", "hashed"), ("kvfa", "hashed"), ("renders", "mixed")])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("lambda_sny=0", "Did you mean lambda_syn"),
        ("seed=often", "a whole number"),
        ("seed", "name=value"),
    ],
)
def test_a_setting_that_is_none_is_one_sentence(monkeypatch, words, change, said):
    monkeypatch.setattr(command, "Road", lambda *_: pytest.fail("began to work"))
    result = run(*words, "--set", change)
    assert isinstance(result.exception, KfaarError) and said in str(result.exception)


def test_the_sentence_is_all_that_is_printed(capsys):
    assert command.main(["projector", "mlp"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err == (
        "The form 'mlp' is unknown. Choose one of draft, hashed, bits-8, bits-128, bits-256.\n"
    )
    assert command.main(["--help"]) == 0


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", ["projector", "kvfa"])
def test_settings_are_printed_and_reach_the_road(monkeypatch, name):
    asked = []

    def road(training, lfw):
        asked.append((training, lfw.name))
        raise Stop

    monkeypatch.setattr(command, "Road", road)
    result = run(name, "hashed", "--set", "lambda_ano=0", "--set", "seed=3", "--data", "people")
    assert isinstance(result.exception, Stop)
    expected = with_settings(LAB_TRAINING, ["lambda_ano=0", "seed=3"])
    assert asked == [(expected, "people")]
    printed = json.loads(result.stdout)
    assert printed["lambda_ano"] == 0 and printed["seed"] == 3 and printed["margin"] == LAB_TRAINING.margin


def test_bits_by_name():
    assert [command._bits(f"bits-{length}") for length in (8, 128, 256)] == [8, 128, 256]


def test_the_trained_p_is_found_again_by_its_file(tmp_path):
    torch.manual_seed(0)
    hashed, bits = HashedNet(4, 6), BitsNet(5, 8)
    state = {f"net.{name}": tensor for name, tensor in hashed.state_dict().items()}
    save_file({**state, "identity.map": torch.zeros(4, 5)}, tmp_path / "projector_hashed.safetensors")
    state = {f"net.{name}": tensor.half() for name, tensor in bits.state_dict().items()}
    save_file({**state, "truncation": torch.tensor(0.7)}, tmp_path / "projector_bits_8.safetensors")
    code, look, z, key = torch.randn(2, 4), torch.randn(2, 6), torch.randn(2, 5), torch.ones(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(command._hashed(tmp_path)(code, look), hashed(code, look))
        torch.testing.assert_close(command._bits_net(tmp_path, 8)(z, key), bits(z, key), atol=1e-2, rtol=1e-2)


def test_weights_are_saved_small_with_a_card(tmp_path, monkeypatch):
    monkeypatch.setattr(command.sys, "argv", ["train", "projector", "bits-8"])
    path, large = tmp_path / "weights" / "some.safetensors", torch.randn(65, 64)
    training = with_settings(LAB_TRAINING, ["seed=3"])
    command._save(path, {"large": large, "turned": large.T[:2], "one": torch.tensor(0.7)}, training, {"read": 0.25})
    found = load_file(path)
    assert found["large"].dtype == torch.float16 and found["one"].dtype == found["turned"].dtype == torch.float32
    torch.testing.assert_close(found["turned"], large.T[:2])
    card = json.loads((tmp_path / "weights" / "some.card.json").read_text())
    assert card["metrics"] == {"read": 0.25} and card["training"]["seed"] == 3
    assert card["command"] == "python -m kfaar_core.train projector bits-8"


def test_a_card_takes_the_last_line_of_the_log(tmp_path):
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "ano"])
        writer.writeheader()
        writer.writerows([{"step": 100, "ano": 0.5}, {"step": 150, "ano": 0.25}])
    assert command._last_losses(tmp_path) == {"step": 150, "ano": 0.25}
