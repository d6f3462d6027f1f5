"""`python -m kfaar_core.train all`: the steps in order, and all of them for the preset `paper` with small networks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from kfaar_core import cast, files, weights
from kfaar_core.presets import LAB, PAPER
from kfaar_core.train import __main__ as command
from kfaar_core.train.recipe import RenderKind


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
