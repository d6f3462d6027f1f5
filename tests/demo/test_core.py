"""The core of this machine behind the demo, with the tiny preset; and the GPU's mark where the package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo import remember
from demo.core import ROUGH, LocalCore, Request
from kfaar_core import pipeline
from kfaar_core.assemble import assemble
from kfaar_core.errors import BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.presets import PRESETS, get_preset
from kfaar_core.records import Photo
from kfaar_core.servers import AnonymisationServer

ROOT = Path(__file__).resolve().parents[2]
KEY = UserKey(bytes(range(32)))

# What ZeroGPU does, as far as it can be seen from here: the function runs elsewhere, so its arguments and its answers
# are pickled, and a key among them would be an error (it refuses to be pickled).
SPACES = """
import pickle
calls, asked = [], []

def GPU(duration):
    return lambda function: marked(function, duration)

def marked(function, duration):
    def elsewhere(*values):
        calls.append(function.__name__)
        asked.append(duration(*values))
        steps = function(*pickle.loads(pickle.dumps(values)))
        try:
            for answer in steps:
                yield pickle.loads(pickle.dumps(answer))
        finally:
            steps.close()
    return elsewhere
"""
WRAPPED = """
import app, spaces
import numpy as np
from demo.core import Request
from demo.visitor import Stopped
from kfaar_core import pipeline
from kfaar_core.errors import NoFaceFound
from kfaar_core.keys import UserKey
from kfaar_core.records import Photo

key = UserKey(bytes(range(32)))
photo = Photo(pixels=np.random.default_rng(0).integers(0, 256, (70, 60, 3), dtype=np.uint8))
core, seen = app.LocalCore(pipeline.load("tiny", device="cpu"), wrap=app.gpu), []
marked = core.anonymise(Request(photo, key, "floor"), lambda *step: seen.append(step))
plain = app.LocalCore(pipeline.load("tiny", device="cpu")).anonymise(Request(photo, key, "floor"))
assert spaces.calls == ["_steps"] and spaces.asked == [14]  # one face, refined as far as anybody knows
assert set(core._loaded) >= {"floor", "hashed", "look", "bits"}  # all are placed before the first drawing
assert marked.key == key and np.array_equal(marked.portrait, plain.portrait)
assert {stage for stage, _, _ in seen} >= {"locate", "judge"}  # the bar moves there too

def stop(stage, done, of):
    seen.append(stage)
    if stage == "encode":
        raise Stopped

seen.clear()
try:
    core.anonymise(Request(photo, key, "floor"), stop)
    raise SystemExit("it was not stopped")
except Stopped:
    assert seen[-1] == "encode"
try:
    core.anonymise(Request(Photo(np.zeros((8, 8, 3), np.uint8)), key, "floor", faces=(9,)))
    raise SystemExit("it found a ninth face")
except NoFaceFound:
    pass
"""


@pytest.fixture(scope="module")
def local() -> LocalCore:
    return LocalCore(pipeline.load("tiny", device="cpu"))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (70, 60, 3), dtype=np.uint8)


def test_the_default_method_stands_first_and_others_are_loaded_once(local, monkeypatch):
    assert [method.name for method in local.methods()][:4] == ["floor", "hashed", "look", "bits"]
    assert local.methods()[3].key_lengths == (8, 128, 256)
    loaded = []

    def load(preset, device):
        loaded.append((preset.method, device))
        return assemble(get_preset("tiny"), device)

    monkeypatch.setattr(pipeline, "load", load)
    other = LocalCore(assemble(get_preset("tiny"), "cpu"))
    assert other.facts("floor").dimension > 0 and not loaded
    other.facts("bits")
    other.facts("bits")
    assert loaded == [("bits", "cpu")]


def test_the_app_offers_every_preset(monkeypatch, capsys):
    import app

    for preset in PRESETS:
        monkeypatch.setattr(sys, "argv", ["app.py", "--preset", preset])
        assert get_preset(app.flags().preset).name == preset
    monkeypatch.setattr(sys, "argv", ["app.py", "--preset", "best"])
    with pytest.raises(SystemExit):
        app.flags()
    assert "choose from lab, paper, tiny" in capsys.readouterr().err.replace("'", "")


def test_an_unknown_method_is_refused_in_words(local):
    with pytest.raises(BadSetting, match="magic"):
        local.facts("magic")


def test_a_rough_portrait_asks_for_a_coarse_posture_and_no_whole_photo_is_rough(local, monkeypatch):
    photo, asked = Photo(pixels=noise(1)), []
    exact = AnonymisationServer.anonymise

    def heard(self, request, *listeners, **others):
        asked.append((request.mode, request.coarse))
        return exact(self, request, *listeners, **others)

    monkeypatch.setattr(AnonymisationServer, "anonymise", heard)
    for mode in ("portrait", ROUGH, "paste"):
        local.anonymise(Request(photo, KEY, "floor", mode=mode))
    assert asked == [("portrait", False), ("portrait", True), ("paste", False)]
    with pytest.raises(BadSetting, match="coarse posture"):
        local.anonymise_group(Request(photo, KEY, "floor", (0, 1), ROUGH))


def test_a_face_is_made_and_read(local):
    photo = Photo(pixels=noise(1))
    face = local.anonymise(Request(photo, KEY, "floor"))
    assert face.key == KEY
    virtual = Photo(pixels=face.portrait)
    verdict = local.authenticate(virtual, photo, KEY, method="floor", client="test")
    assert verdict.cosine == pytest.approx(local.readout(virtual, photo, method="floor").with_key(KEY).cosine)


def test_a_remembered_person_is_drawn_again(local):
    first = local.anonymise(Request(Photo(pixels=noise(1)), KEY, "hashed", enrol=True))
    sealed = remember.sealed(first, local.fingerprint("hashed"))
    assert remember.known(sealed, KEY, local.fingerprint("floor")) is None
    before = remember.known(sealed, KEY, local.fingerprint("hashed"))
    again = local.anonymise(Request(Photo(pixels=noise(1)), KEY, "hashed", person=before.person))
    np.testing.assert_allclose(again.latent, first.latent, atol=0.05)  # half precision, and the posture once more


@pytest.mark.parametrize("keys", ["own", "shared"])
def test_own_photos_are_measured_and_nothing_is_written(local, tmp_path, monkeypatch, keys):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for person in range(3):
            for photo in range(2):
                stream = BytesIO()
                Image.fromarray(noise(10 * person + photo)).save(stream, "PNG")
                packed.writestr(f"{person}/{photo}.png", stream.getvalue())
    steps = []
    result = local.evaluate(
        archive, method="floor", people=2, keys=keys, progress=lambda done, of: steps.append((done, of))
    )
    assert (result.people, result.key_mode, result.dataset) == (2, keys, "yours")
    assert steps and len({of for _, of in steps}) == 1 and all(done <= of for done, of in steps)
    assert all(len(scores.values) for scores in result.populations)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.slow
def test_a_space_with_gpus_marks_the_drawing(tmp_path):
    (tmp_path / "spaces.py").write_text(SPACES)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    settings = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", WRAPPED], env=settings, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
