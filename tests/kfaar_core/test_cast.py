"""The preset `paper`: its whole pipeline, with small random networks of the same classes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kfaar_core import cast, methods, pipeline, weights
from kfaar_core.__main__ import app
from kfaar_core.assemble import Stages
from kfaar_core.errors import BadKey, BadSetting, BadWeights
from kfaar_core.evaluate.context import EvaluationConfig, hashes
from kfaar_core.evaluate.runner import Evaluation, run
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.presets import LAB, PAPER, PRESETS
from kfaar_core.records import Photo
from kfaar_core.results import load_result
from kfaar_core.servers import AnonymisationServer, AuthenticationServer
from kfaar_core.stages.animate import Animator
from kfaar_core.stages.generate import StyleGan2Generator, render_face, resized, w_plus
from tests.kfaar_core.conftest import drawn
from tests.kfaar_core.paper_cast import install, network, published_run

KEY = UserKey(b"\x5a")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return published_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def small(monkeypatch, folder) -> None:
    install(monkeypatch, folder)


@pytest.fixture
def stages(small) -> Stages:
    return pipeline.load("paper", "cpu")


@pytest.fixture
def face() -> Photo:
    return drawn(1, 300, 260)


# ---- the pipeline


def test_a_photo_becomes_a_virtual_face_and_is_compared(stages, face):
    assert isinstance(stages.generator, StyleGan2Generator) and isinstance(stages.corrector, Animator)
    virtual = AnonymisationServer(stages).anonymise(AnonymiseRequest(photo=face, key=KEY))
    assert virtual.portrait.shape == (256, 256, 3) and virtual.latent.shape == (3, 512)
    assert tuple(virtual.seconds) == tuple(step for step in pipeline.STEPS if step != "refine")
    assert not np.array_equal(virtual.portrait, virtual.draft)  # G_f changed it
    again = AnonymisationServer(stages).anonymise(AnonymiseRequest(photo=face, key=KEY))
    np.testing.assert_array_equal(again.portrait, virtual.portrait)
    other = AnonymisationServer(stages).anonymise(AnonymiseRequest(photo=face, key=UserKey(b"\xa5")))
    assert not np.array_equal(other.portrait, virtual.portrait)
    verdict = AuthenticationServer(stages).authenticate(Photo(virtual.portrait), face, KEY)
    assert verdict.threshold == 0.5 and -1 <= verdict.cosine <= 1 and verdict.dimension == 8


def test_a_pasted_face_and_keys_of_each_length(stages, face):
    for bits in methods.get("bits").key_lengths:
        key = UserKey(bytes(bits // 8))
        pasted = pipeline.anonymise(stages, AnonymiseRequest(photo=face, key=key, mode="paste"))
        assert pasted.picture.shape == face.pixels.shape
    with pytest.raises(BadKey, match="8, 128, 256"):
        pipeline.anonymise(stages, AnonymiseRequest(photo=face, key=UserKey(bytes(2))))
    with pytest.raises(BadSetting, match="Choose 256 px"):
        pipeline.anonymise(stages, AnonymiseRequest(photo=face, key=KEY, side=512))


def test_the_posture_is_taken_from_the_photo_alone(stages, face):
    """G_f gets x' and the photo's portrait, both of 256 px; without a photo the face stays as it is."""
    given: list[tuple[torch.Tensor, ...]] = []

    def net(virtual, original):
        given.append((virtual, original))
        return original

    animator = Animator(net, stages.geometry, CPU)
    latent = torch.zeros(3, 512)
    draft = render_face(stages.generator, stages.geometry, latent, 64)
    photo = torch.rand(3, 300, 300) * 2 - 1
    done = animator.correct(draft, draft.posture, 256, photo)
    (virtual, original), *_ = given
    assert virtual.shape == original.shape == (1, 3, 256, 256)
    torch.testing.assert_close(virtual, resized(draft.picture[None], 256).clamp(-1, 1))
    torch.testing.assert_close(done.picture, original[0])
    assert done.animated and torch.equal(done.latent, latent)
    assert animator.turn(done, done.posture, 256, photo) is done and len(given) == 1  # not twice
    assert animator.turn(draft, draft.posture, 256, photo).animated and len(given) == 2  # rendered again: yes
    still = animator.turn(draft, draft.posture, 128)
    assert len(given) == 2 and still.picture.shape == (3, 128, 128)


def test_the_modern_option_animates_as_well(small, face):
    stages = pipeline.load(replace(PAPER, corrector="liveportrait"), "cpu")
    assert pipeline.anonymise(stages, AnonymiseRequest(photo=face, key=KEY)).portrait.shape == (256, 256, 3)


# ---- networks of the cast


def test_stylegan2_takes_a_style_for_each_layer_group():
    net = network("stylegan2")
    generator = StyleGan2Generator(net, CPU)
    assert generator.groups == (4, 4, net.layers - 8)
    w = torch.randn(2, 3, 512, generator=torch.Generator().manual_seed(0))
    layers = w_plus(w, generator.groups)
    assert layers.shape == (2, net.layers, 512)
    assert torch.equal(layers[:, :4], w[:, :1].expand(-1, 4, -1)) and torch.equal(layers[:, -1], w[:, 2])
    whole, half = generator.render(layers, 64), generator.render(layers, 32)
    torch.testing.assert_close(half, torch.nn.functional.avg_pool2d(whole, 2))
    layers.requires_grad_()
    generator.render(layers, 32).sum().backward()
    assert (layers.grad != 0).any(dim=2).all()


def test_pictures_keep_their_place_when_their_side_changes():
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    for side in (16, 64, 100):
        assert resized(ramp, side).mean() == pytest.approx(0, abs=1e-5)
        assert resized(ramp, side).shape == (1, 3, side, side)


def test_what_each_preset_needs():
    assert cast.needed(PRESETS["tiny"]) == ()
    assert set(cast.needed(LAB)) & cast.PUBLISHED == set()
    needed = set(cast.needed(PAPER)) & cast.PUBLISHED
    assert needed == {"facenet", "arcface_r50", "stylegan2_1024", "facevid2vid"}
    modern = replace(PAPER, corrector="liveportrait", judge="sphereface")
    assert sum(name.startswith("liveportrait_") for name in cast.needed(modern)) == 5


def test_the_hashes_of_lab_name_what_they_named_before():
    """Cached features of `lab` stay valid: its hashes name every committed weight that belongs to it, and no other."""
    named = set(hashes(LAB))
    assert not named & cast.PUBLISHED and not [name for name in named if "/" in name]
    assert {"mtcnn_pnet", "mobile_stylegan", "sface", "dlib_resnet", "judge", "geometry", "posture", "kvfa"} <= named


# ---- weights of the preset's own


def test_the_weights_of_the_preset_are_its_own(small):
    assert weights.trained_for("lab", "kvfa") == weights.trained_for("tiny", "kvfa") == "kvfa"
    assert weights.trained_for("paper", "kvfa") == "paper/kvfa"
    assert weights.trained_for("paper", "dlib_resnet") == "dlib_resnet"  # converted, not trained
    assert weights.verify("paper/kvfa") != weights.verify("kvfa")
    assert "published networks" in weights.entry("paper/kvfa").limits
    offered = methods.available(PAPER)  # besides, methods without weights
    assert offered[0] == "bits" and not {"hashed", "floor"} & set(offered)


def test_an_altered_weight_of_a_published_run_is_refused(small, folder):
    path = folder / "weights/paper/kvfa.safetensors"
    good = path.read_bytes()
    try:
        path.write_bytes(good[:-1] + b"\x7f")
        with pytest.raises(BadWeights, match="altered"):
            pipeline.load("paper", "cpu")
    finally:
        path.write_bytes(good)


# ---- command line and tables


def test_the_command_line_anonymises_and_compares(small, face, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(face.pixels).save("me.png")

    def kfaar(*words: str) -> str:
        result = CliRunner().invoke(app, [*words, "--preset", "paper", "--method", "bits", "--json"])
        assert result.exit_code == 0, result.output
        return result.stdout

    kfaar("anonymise", "me.png", "-o", "v.png", "--key", "5a", "--one-key")
    assert json.loads(kfaar("authenticate", "v.png", "me.png", "--key", "5a"))["dimension"] == 8


@pytest.fixture
def people(tmp_path) -> Path:
    """Three people with two pictures each."""
    for person in range(3):
        for photo in range(2):
            path = tmp_path / "data" / f"person {person}" / f"{photo}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn(10 * person + photo, 120, 110).pixels).save(path)
    return tmp_path / "data"


@pytest.mark.parametrize("table", ["VI", pytest.param("VII", marks=pytest.mark.slow)])
def test_tables_and_attacks_run_and_name_the_weights(small, monkeypatch, tmp_path, people, table):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    pins = {name: weights.Pin("ab" * 32, 1) for name in cast.PUBLISHED}
    pinned = weights.pin_of
    monkeypatch.setattr(weights, "pin_of", lambda weight: pins.get(weight.name) or pinned(weight))
    asked = Evaluation(table=table, data=str(people), preset=PAPER, repetitions=1, limit=2)
    result = load_result(run(asked, tmp_path / "out"))
    assert result.preset == "paper" and result.method == "bits" and result.people == 2
    assert {"facenet", "arcface_r50", "stylegan2_1024", "facevid2vid", "paper/kvfa"} <= set(result.weights)
    assert "sface" not in result.weights and "kvfa" not in result.weights
    assert all(np.isfinite(scores.values).all() for scores in result.populations)
    assert sum(len(scores.values) for scores in result.populations) > 0


def test_synthetic_people_are_refused_in_a_sentence(small):
    with pytest.raises(BadSetting, match="cannot give a posture"):
        EvaluationConfig(PAPER, "synthetic").open()


@pytest.mark.slow
def test_sphereface_judges_with_a_file_of_the_users_own(small, monkeypatch, tmp_path, people):
    """Its thresholds, its name in the results, and its hash among the weights."""
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_OWN", {})
    own = tmp_path / "sphere20a.pth"
    torch.save(network("sphereface").state_dict(), own)
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    pins = {name: weights.Pin("ab" * 32, 1) for name in cast.PUBLISHED - {"sphereface"}}
    pinned = weights.pin_of
    monkeypatch.setattr(weights, "pin_of", lambda weight: pins.get(weight.name) or pinned(weight))

    def loaded(name: str):
        if name == "sphereface":
            weights.load("sphereface")  # the file is verified and pinned
        return network(name)

    monkeypatch.setattr(cast, "network", loaded)
    command = ["evaluate", "--table", "VI", "--preset", "paper", "--data", str(people), "--limit", "2", "--trials", "1"]
    words = [*command, "-o", str(tmp_path / "out"), "--judge-weights", str(own), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    written = load_result(Path(json.loads(result.stdout)["result"]))
    assert written.weights["sphereface"] == sha256 and "arcface_r50" not in written.weights
