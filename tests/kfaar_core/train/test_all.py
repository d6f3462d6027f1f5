"""`python -m kfaar_core.train all`: the steps in order, and all of them for the preset `paper` with small networks."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from kfaar_core import cast, files, pipeline, weights
from kfaar_core.data.landmarker import FaceLabels
from kfaar_core.data.split import part_of
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest
from kfaar_core.presets import LAB, PAPER
from kfaar_core.stages.tiny import TinyGeometry
from kfaar_core.train import __main__ as command
from kfaar_core.train import floor, photos, reader, renders
from kfaar_core.train.recipe import RenderKind
from tests.kfaar_core.conftest import drawn
from tests.kfaar_core.paper_cast import install, published_run


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    yield
    files.scope_cache("")


# ---- the steps


@pytest.fixture
def done(monkeypatch, tmp_path) -> list[tuple[str, object]]:
    """What each step is given, in place of what it does."""
    asked: list[tuple[str, object]] = []

    def recorded(step: command.Step) -> command.Step:
        def recipe(run):
            asked.append((step.name, run))
            return {}

        kind = RenderKind(lambda run: asked.append((step.name, run)), lambda run: 0)
        return replace(step, does=kind if isinstance(step.does, RenderKind) else recipe)

    monkeypatch.setattr(command, "STEPS", tuple(map(recorded, command.STEPS)))
    monkeypatch.setattr(command, "locate", lambda name: tmp_path / name)
    monkeypatch.setattr(command, "render_cache", lambda *_: None)
    monkeypatch.setattr(command.Run, "data", property(lambda run: type("Data", (), {"generator": None})))
    monkeypatch.setattr(cast, "check_present", lambda preset: None)
    return asked


def run(*words: str):
    return CliRunner().invoke(command.app, ["all", *words])


def test_lab_trains_everything_and_the_order_is_that_of_what_needs_what(done, tmp_path):
    result = run("-o", str(tmp_path), "--resume", "--set", "seed=3", "--device", "cpu")
    assert result.exit_code == 0, result.output
    names = [name for name, _ in done]
    assert names == [step.name for step in command.STEPS] and len(set(names)) == len(names)
    for first, later in (
        ("renders mixed", "judge"),
        ("geometry", "geometry --tune"),
        ("renders posed", "floor"),
        ("projector draft", "renders draft"),
        ("renders draft", "kvfa styles"),
        ("kvfa styles", "projector hashed"),
        ("projector hashed", "renders hashed"),
        ("renders hashed", "kvfa hashed"),
        ("kvfa hashed", "projector bits-8"),
        ("projector bits-256", "renders bits-256"),
        ("renders bits-256", "kvfa bits-256"),
    ):
        assert names.index(first) < names.index(later)
    assert all(run.training.seed == 3 and run.resume and run.out == tmp_path and run.preset == LAB for _, run in done)
    short = {name for name, run in done if run.training.styled_shards == 32}
    assert short == {"projector hashed", *(f"{kind} bits-{b}" for b in (8, 128, 256) for kind in ("projector", "kvfa"))}
    assert (tmp_path / "manifest.json").is_file()


def test_paper_leaves_out_what_all_presets_share_and_keeps_its_caches_apart(done, tmp_path):
    assert run("--preset", "paper", "-o", str(tmp_path), "--device", "cpu").exit_code == 0
    names = {name for name, _ in done}
    assert {step.name for step in command.STEPS} - names == {
        "judge",
        "geometry",
        "geometry --tune",
        "second",
        "ksame",
        "looks",
    }
    assert all(run.preset == PAPER and run.out == tmp_path / "paper" for _, run in done)
    assert files.cache_folder("renders-mixed") == tmp_path / "cache" / "paper" / "renders-mixed"


def test_without_its_files_nothing_begins(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "locate", lambda name: pytest.fail("began to work"))
    monkeypatch.setattr(weights, "find", lambda name: None)
    result = run("--preset", "paper", "--device", "cpu")
    assert result.exit_code == 1 and "weights --preset paper --fetch" in str(result.exception)


# ---- the whole of it

SHARD = 40
QUICK = {
    **dict.fromkeys(("mixed_shards", "posed_shards", "styled_shards", "channel_shards", "draft_shards"), 2),
    **dict.fromkeys(("code_shards", "draft_unseen", "unseen_shards", "bits_shards", "axis_shards"), 2),
    **dict.fromkeys(("styles_steps", "code_steps", "bits_steps", "keyed_steps", "projector_steps"), 2),
    **dict.fromkeys(("proxies", "proxy_epochs"), 1),
    **dict.fromkeys(("reader_batch", "bits_batch", "projector_batch"), 12),
    **dict.fromkeys(("dimension", "code_dimension"), 8),
    "projector_keys": 4,
}


class Teacher:
    """The labels of the tiny preset's face; pose and expression follow the brightness of the picture."""

    def __call__(self, picture: np.ndarray) -> FaceLabels:
        bright = picture.astype(np.float64).mean(axis=(0, 1)) / 255
        turn = 0.5 * (bright[0] - 0.5)
        rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        shapes = np.resize(bright, 52).astype(np.float32)
        points = TinyGeometry().points + 0.02 * np.float32(bright.mean())
        return FaceLabels(landmarks=points, blendshapes=shapes, rotation=rotation.astype(np.float32))


def lfw(path: Path) -> Path:
    """Photos of nobody, two of each, whose names fall into all parts of the split."""
    rows = []
    for person in range(60):
        for photo in range(2):
            stream = io.BytesIO()
            Image.fromarray(drawn(10 * person + photo, 90, 80).pixels).save(stream, "PNG")
            name = f"Nobody_{person}"
            image = {"bytes": stream.getvalue(), "path": f"{name}_{photo + 1:04d}.jpg"}
            rows.append({"image": image, "identity": name, "file": f"{name}/{name}_{photo + 1:04d}.jpg"})
    assert {part_of(row["identity"]) for row in rows} == {"train", "dev", "test"}
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_preset_paper_is_trained_from_end_to_end_and_runs(monkeypatch, tmp_path):
    install(monkeypatch, published_run(tmp_path / "before"))
    for module in (renders, photos):
        monkeypatch.setattr(module, "Landmarker", Teacher)
    for module in (renders, floor):
        monkeypatch.setattr(module, "SHARD", SHARD)
    monkeypatch.setattr(reader, "HELD_OUT", 8)
    data, out = lfw(tmp_path / "lfw.parquet"), tmp_path / "trained" / "weights"
    changes = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    result = run("--preset", "paper", "--data", str(data), "-o", str(out), "--device", "cpu", *changes)
    assert result.exit_code == 0, (result.output[-2000:], result.exception)
    made = {path.name for path in (out / "paper").glob("*.safetensors")}
    assert made >= {f"{kind}_bits_{bits}.safetensors" for kind in ("projector", "kvfa") for bits in (8, 128, 256)}
    assert json.loads((out / "paper" / "kvfa.card.json").read_text())["preset"] == "paper"
    (tmp_path / "trained" / "thresholds").symlink_to(tmp_path / "before" / "thresholds")
    monkeypatch.setattr("kfaar_core.hub.published", lambda: tmp_path / "trained")
    stages = pipeline.load("paper", "cpu")
    face = pipeline.anonymise(stages, AnonymiseRequest(photo=drawn(1, 200, 180), key=UserKey(b"\x5a")))
    assert face.portrait.shape == (256, 256, 3) and torch.from_numpy(face.latent).isfinite().all()
