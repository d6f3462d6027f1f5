"""A preset that was trained is pushed to a Hub on this machine and read from there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from huggingface_hub import constants
from typer.testing import CliRunner

from kfaar_core import calibration, hub, pipeline, presets, publish, weights
from kfaar_core.__main__ import app
from kfaar_core.errors import BadOutput, BadSetting, BadWeights
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.presets import PAPER
from tests.hub_server import hub_server
from tests.kfaar_core.conftest import drawn
from tests.kfaar_core.paper_cast import install, published_run

REPOSITORY = "me/kfaar-paper"
SECRET = "5a" * 32


@pytest.fixture
def server(monkeypatch, tmp_path):
    with hub_server() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.address + "".join(template[1:]))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        huggingface_hub.close_session()
        hub._snapshot.cache_clear()
        yield running
    huggingface_hub.close_session()
    hub._snapshot.cache_clear()


@pytest.fixture
def trained(monkeypatch, tmp_path) -> Path:
    """A folder with small weights of the preset `paper`, a card, thresholds and a score file."""
    folder = published_run(tmp_path / "run")
    (folder / "weights/paper/kvfa.card.json").write_text('{"metrics": {}}\n')
    (folder / "scores").mkdir()
    (folder / "scores/paper-bits-lfw-vi-shared.json").write_text("{}\n")
    (folder / "scores/lab-bits-lfw-vi-shared.json").write_text("{}\n")  # of another preset
    (folder / "scores/paper-notes.key").write_text(SECRET)  # no kind of file that is published
    install(monkeypatch, folder)
    return folder


def pushed(server) -> dict[str, bytes]:
    result = CliRunner().invoke(app, ["hub", "push", REPOSITORY, "--preset", "paper", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["repository"] == f"{REPOSITORY}@{server.commit(REPOSITORY)}"
    return server.files[REPOSITORY]


def test_what_was_trained_is_uploaded_with_card_and_hashes(server, trained):
    files = pushed(server)
    assert {name for name in files if name.endswith(".safetensors")} == {
        f"weights/paper/{path.name}" for path in (trained / "weights/paper").glob("*.safetensors")
    }
    assert {
        "weights/paper/kvfa.card.json",
        "thresholds/paper-bits.json",
        "scores/paper-bits-lfw-vi-shared.json",
    } <= set(files)
    assert not any("lab" in name or name.endswith(".key") for name in files)
    assert all(SECRET.encode() not in content for content in files.values())
    manifest = json.loads(files["weights/manifest.json"])
    assert (
        manifest["paper/kvfa.safetensors"]["sha256"]
        == hashlib.sha256(files["weights/paper/kvfa.safetensors"]).hexdigest()
    )
    card = files["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "other"
    assert "stylegan2_1024 is not for commercial use" in card and f"KFAAR_HUB_REPO={REPOSITORY}" in card
    assert json.loads(files["preset.json"])["generator"] == "stylegan2"


def test_what_was_pushed_runs_elsewhere(server, trained, monkeypatch):
    """Another machine: nothing but the repository's name. Weights, thresholds, scores and preset come from there."""
    photo, key = drawn(1, 200, 180), UserKey(b"\x5a")
    here = pipeline.anonymise(pipeline.load("paper", "cpu"), AnonymiseRequest(photo=photo, key=key))
    files = pushed(server)
    settings = json.loads(files["preset.json"])
    files["preset.json"] = json.dumps(settings | {"match_threshold": 0.6}).encode()
    monkeypatch.setattr(hub, "published", PUBLISHED)
    monkeypatch.setenv(hub.REPOSITORY_VARIABLE, REPOSITORY)
    snapshot = hub.published()
    assert snapshot is not None and trained not in snapshot.parents
    preset = presets.get_preset("paper")
    assert preset == replace(PAPER, match_threshold=0.6) and presets.get_preset("lab") == presets.LAB
    assert hub.folder("scores", publish.SCORES) == snapshot / "scores"
    assert calibration.load_calibration("paper", "bits").kvfa_dev == 0.5
    stages = pipeline.load("paper", "cpu")
    there = pipeline.anonymise(stages, AnonymiseRequest(photo=photo, key=key))
    assert (there.portrait == here.portrait).all() and weights.find("paper/kvfa").is_relative_to(snapshot)
    other = snapshot / "weights/paper/kvfa.safetensors"
    other.resolve().write_bytes(other.read_bytes()[:-1])
    with pytest.raises(BadWeights, match="half-downloaded"):
        pipeline.load("paper", "cpu")


PUBLISHED = hub.published  # before any test replaces it


def test_a_run_of_another_version_is_told(server, trained, monkeypatch):
    files = pushed(server)
    files["preset.json"] = json.dumps(json.loads(files["preset.json"]) | {"novelty": 1}).encode()
    monkeypatch.setattr(hub, "published", PUBLISHED)
    monkeypatch.setenv(hub.REPOSITORY_VARIABLE, f"{REPOSITORY}@main")
    with pytest.raises(BadSetting, match="does not know"):
        presets.get_preset("paper")


@pytest.mark.parametrize(("name", "said"), [("kfaar", "owner/name"), ("me/none", "did not arrive"), ("", None)])
def test_a_repository_that_is_none(server, monkeypatch, name, said):
    monkeypatch.setenv(hub.REPOSITORY_VARIABLE, name)
    if said is None:
        assert hub.published() is None
        return
    with pytest.raises((BadSetting, BadWeights), match=said):
        hub.published()


def test_what_cannot_be_pushed(server, trained, monkeypatch):
    with pytest.raises(BadSetting, match="owner/name"):
        publish.push(PAPER, "kfaar")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadOutput, match="did not take"):
        publish.push(PAPER, REPOSITORY, say=lambda sentence: None)
    monkeypatch.setattr(hub, "published", lambda: None)
    with pytest.raises(BadWeights, match=r"Nothing was trained.*train all --preset paper"):
        publish.push(PAPER, REPOSITORY, say=lambda sentence: None)
