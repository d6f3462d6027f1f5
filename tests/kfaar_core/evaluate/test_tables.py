"""Several tables of several methods in one run, what is skipped, and a run that is killed and resumed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kfaar_core.errors import BadSetting
from kfaar_core.evaluate import groups, identification, quality, runner
from kfaar_core.evaluate.context import EvaluationContext, features, was_detected
from kfaar_core.evaluate.observers import Observation
from kfaar_core.evaluate.trials import trials_of
from kfaar_core.presets import TINY
from kfaar_core.records import Face, Photo
from kfaar_core.report.tables import from_json
from kfaar_core.stages.linear import unit
from kfaar_core.stages.tiny import TinyDetector

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True, scope="module")
def observed():
    """Observers that look at the mean colour alone; the real ones take most of the time of a tiny face."""

    def look(picture: np.ndarray, _landmarks: np.ndarray) -> Observation:
        red, green, blue = picture.mean(axis=(0, 1)) / 255
        embedding = unit(np.array([red, green, blue]) - 0.5).astype(np.float32)
        return Observation(float(red), 80 * float(green), np.full(7, 1 / 7), embedding, np.zeros((2, 3)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kfaar_core.evaluate.context.observers", lambda _device: look)
        yield


def asked(method: str, *tables: str) -> list[runner.Evaluation]:
    preset = runner.settings(TINY, method)
    return [runner.Evaluation(table=t, data="synthetic", preset=preset, limit=4, repetitions=2) for t in tables]


def test_tables_by_number_by_name_and_all():
    assert runner.tables_of("II") == runner.tables_of("III") == ("anonymity",)
    assert runner.tables_of("V,VI, XII") == ("quality", "VI", "keys")
    assert set(runner.tables_of("all")) <= set(runner.TABLES)
    with pytest.raises(BadSetting, match="ablation"):
        runner.tables_of("IX")
    with pytest.raises(BadSetting, match="'XV'"):
        runner.tables_of("VI,XV")


def test_what_a_method_cannot_do_is_skipped_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    said: list[runner.Done] = []
    tables = ("anonymity", "VI", "lengths", "quality")
    done = runner.run_all([e for m in ("blur", "ivfg") for e in asked(m, *tables)], tmp_path, None, said.append)
    assert done == said and [(d.method, d.table) for d in done] == [(m, t) for m in ("blur", "ivfg") for t in tables]
    reasons = {(d.method, d.table): d.reason for d in done if not d.path}
    assert reasons == {
        ("blur", "VI"): "nobody can be read back from its faces",
        ("blur", "lengths"): "it has no key",
        ("ivfg", "VI"): "nobody can be read back from its faces",
    }
    assert all(from_json(d.path) for d in done if d.path)
    with pytest.raises(BadSetting, match="read back"):
        runner.run(asked("mask", "VII")[0], tmp_path)


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> EvaluationContext:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFAAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield asked("mask", "anonymity")[0].config.open()


def test_without_keys_one_face_serves_all_keys(masked):
    people = runner.pairs.people(masked.data.samples, limit=2)
    trials = trials_of(people, "shared", 3, 256)
    names = {masked.name_of(trial.face) for trial in trials}
    assert len(trials) == 6 and len(names) == 2


def test_an_edited_face_is_compared_where_the_detector_does_not_find_it(masked, monkeypatch):
    see = TinyDetector.faces

    def in_photos_alone(self: TinyDetector, photo: Photo) -> list[Face]:
        return see(self, photo) if photo.pixels.shape[0] == 512 else []

    (trial,) = trials_of(runner.pairs.people(masked.data.samples, limit=1), "shared", 1, 256)
    monkeypatch.setattr(TinyDetector, "faces", in_photos_alone)
    found = trial.face.arrays(masked)
    assert features(found) is not None and not was_detected(found) and found["confidence"] == 0
    assert not was_detected({}) and was_detected({"judge": np.ones(2)})  # as older entries are


@pytest.mark.parametrize("method", ["floor", "mask"])
def test_rates_of_identification_and_groups_are_rates(method, tmp_path, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    context = asked(method, "anonymity")[0].config.open()
    people = runner.pairs.people(context.data.samples, limit=4)
    table = identification.identification_table(context, people, "shared", 1)
    named = {row.name: row.value for row in table.rows}
    ranks = [value for name, value in named.items() if name.startswith("judge: rank")]
    assert all(0 <= value <= 1 for value in named.values()) and ranks
    assert any(name.startswith("I with the right key") for name in named) is (method == "floor")
    by_group = groups.groups_table(context, people, "shared", 1)
    everybody = next(row for row in by_group.rows if row.name == "FMR of the judge, real photos: everybody")
    assert everybody.n == 4 * 3
    for sides in (("women", "men"), ("under 30", "30 to 49", "50 and older")):  # each splits everybody
        inside = [row.n for row in by_group.rows if row.name.removeprefix("FMR of the judge, real photos: ") in sides]
        assert sum(inside) == everybody.n
    assert any("KVFA" in row.name for row in by_group.rows) is (method == "floor")


def test_the_distance_row_is_the_distance_with_an_interval_around_it(masked, rng):
    pair = rng.standard_normal((40, 3)), rng.standard_normal((40, 3)) + 1
    row = quality.distance_row(masked, "distance", pair)
    assert row.low < row.value < row.high and row.value == pytest.approx(3, abs=1.5) and row.n == 40


@pytest.mark.slow
def test_a_run_that_is_killed_gives_the_same_bytes_when_it_is_resumed(tmp_path):
    """A run to the end; another that is killed with SIGKILL in the middle and started again."""
    words = "-m kfaar_core evaluate --table VI,identification,groups --method floor,blur --preset tiny"
    command = [sys.executable, *words.split(), "--data", "synthetic", "--limit", "6", "--trials", "3", "-o", "out"]

    def start(name: str) -> subprocess.Popen[bytes]:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        setting = {**os.environ, "KFAAR_CACHE": str(place / "cache"), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=place, env=setting, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def written(name: str) -> dict[str, str]:
        paths = sorted((tmp_path / name / "out").rglob("*.*"))
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    whole = start("whole")
    _, told = whole.communicate(timeout=500)
    assert whole.returncode == 0 and b"blur, table VI: skipped: nobody can be read back" in told
    killed = start("killed")
    while killed.poll() is None and len(list((tmp_path / "killed" / "cache").rglob("*.npz"))) < 20:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()  # closes the pipes
    assert killed.returncode == -signal.SIGKILL and len(written("killed")) < len(written("whole"))
    again = start("killed")
    again.communicate(timeout=500)
    assert again.returncode == 0 and written("killed") == written("whole") and len(written("whole")) > 8
