"""A method of somebody's own: one new file, and everything else finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demo.core import LocalCore
from kfaar_core import methods, pipeline
from kfaar_core.errors import BadSetting
from kfaar_core.evaluate import runner
from kfaar_core.keys import UserKey
from kfaar_core.presets import TINY
from kfaar_core.results import load_result
from kfaar_core.scenarios import populations
from kfaar_core.servers import AnonymisationServer, AuthenticationServer

ROOT = Path(__file__).resolve().parents[3]
TOY = '''
"""`toy`: the key's signs on the first numbers of w; the face is read as a photo is."""

import torch

from kfaar_core.methods.base import Method, MethodNetworks, Projected
from kfaar_core.stages import tiny
from kfaar_core.stages.identify import IdentityMap, RotationIdentifier


def build(shared):
    identity = IdentityMap(shared.load("toy"))

    def projector(feature, key):
        signs = torch.from_numpy(key.signs()[:8]).float()
        latent = torch.zeros(3, 512)
        latent[:, :8] = 3 * signs * torch.from_numpy(identity(feature)).float()
        return Projected(latent)

    return MethodNetworks(
        encoder=shared.encoder,
        identity=identity,
        projector=projector,
        identifier=RotationIdentifier(identity, identity),
    )


METHOD = Method(
    name="toy",
    label="somebody's own (toy)",
    about="signs of a key",
    order=0,
    build=build,
    tiny_weights=lambda name: tiny.identity_state(),
)
'''
KEY = UserKey.parse("c3" * 32)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder as KFAAR_METHODS names it, with the one file; nothing of it remains afterwards."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    sys.modules.pop("kfaar_core.methods.toy", None)
    methods._imported.cache_clear()


def test_it_is_a_method_like_the_others_and_without_its_file_it_is_none(folder):
    assert "toy" in methods.names()
    assert methods.available(TINY)[:5] == ("floor", "toy", "hashed", "look", "bits")  # the preset's own, then by order
    (folder / "toy.py").unlink()
    with pytest.raises(BadSetting, match="bits, blur, floor"):
        methods.get("toy")


def test_it_runs_through_the_pipeline(folder, photo):
    stages = pipeline.load(replace(TINY, method="toy"), "cpu")
    server, request = AnonymisationServer(stages), pipeline.AnonymiseRequest(photo=photo, key=KEY)
    face = server.anonymise(request)
    u = stages.identity(stages.encoder.embed(photo.pixels, stages.locator.locate(photo).landmarks))
    latent = stages.projector(stages.encoder.embed(photo.pixels, stages.locator.locate(photo).landmarks), KEY).latent
    np.testing.assert_allclose(latent[0, :8].numpy(), 3 * KEY.signs()[:8] * u, atol=1e-5)
    other = server.anonymise(replace(request, key=KEY.flip([0])))
    assert face.portrait.shape == (32, 32, 3) and not np.array_equal(face.portrait, other.portrait)
    verdict = AuthenticationServer(stages).authenticate(replace(photo, pixels=face.portrait), photo, KEY)
    assert -1 <= verdict.cosine <= 1 and verdict.dimension == 8


def test_it_is_evaluated(folder):
    preset = runner.settings(TINY, "toy")
    asked = runner.Evaluation(table="VI", data="synthetic", preset=preset, limit=3, repetitions=1)
    path = runner.run(asked, folder / "out")
    found = load_result(path)
    assert path.name == "tiny-toy-synthetic-vi-shared.json"
    assert (found.people, found.dimension, found.population(populations.IMPOSTOR).failed) == (3, 8, 0)


def test_the_apps_menu_offers_it(folder):
    core = LocalCore(pipeline.load(replace(TINY, method="toy"), "cpu"))
    assert [method.name for method in core.methods()][:5] == ["toy", "floor", "hashed", "look", "bits"]


@pytest.mark.slow
def test_the_command_line_knows_it(folder):
    """In a process of its own, by the variable: the help, which loads nothing, and a run."""
    words = [sys.executable, "-m", "kfaar_core", "evaluate"]
    setting = {**os.environ, "KFAAR_METHODS": str(folder), "COLUMNS": "200", "PYTHONPATH": str(ROOT)}

    def run(*more: str) -> str:
        done = subprocess.run([*words, *more], cwd=folder, env=setting, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ", toy" in run("--help")
    asked = ["--table", "VI", "--data", "synthetic", "--limit", "2", "--trials", "1", "--preset", "tiny"]
    answer = json.loads(run(*asked, "--method", "toy", "-o", "out", "--json"))
    assert load_result(folder / answer["result"]).people == 2
