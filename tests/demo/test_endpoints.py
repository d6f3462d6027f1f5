"""The endpoints for programs, over HTTP, with the stand-in core."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo.build import LAUNCH, build
from kfaar_core.mark import COMPOSITE
from tests.demo.stand_in import StandInCore

KEY = "01" * 32
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def client():
    page = build(StandInCore())
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **LAUNCH)
    yield Client(address, verbose=False)
    page.close()


def test_a_face_is_made_marked_and_read(client, photo):
    picture, facts = client.predict(handle_file(photo), KEY, "portrait", api_name="/anonymise")
    with Image.open(picture) as opened:
        assert opened.format == "PNG" and opened.info["Comment"] == "synthetic face"
    assert facts["anonymous"] is True and facts["fault"] is None and facts["warnings"] == []
    answer = client.predict(handle_file(picture), handle_file(photo), KEY, api_name="/authenticate")
    assert answer["same_person"] is True and answer["threshold"] == 0.5


@pytest.mark.parametrize("name", ["method", "projector"])
def test_the_method_goes_by_both_names(client, photo, name):
    asked = {"photo": handle_file(photo), "key": "01" * 4, "mode": "portrait"}
    with pytest.raises(AppError, match="128 or 256 bits"):  # which only the stand-in's bits says
        client.predict(**asked, **{name: "bits"}, api_name="/anonymise")


def test_face_and_refinement_can_be_asked_for(client, photo):
    asked = {"photo": handle_file(photo), "key": KEY, "api_name": "/anonymise"}
    assert client.predict(**asked, refine=False)[1]["kvfa_cosine"] is None
    assert client.predict(**asked)[1]["kvfa_cosine"] == 0.8
    with pytest.raises(AppError, match="whole number"):
        client.predict(**asked, face=1.5)


def test_a_face_that_is_too_close_has_a_code_and_a_sentence(client, photo):
    _, facts = client.predict(handle_file(photo), "ff" * 32, "portrait", api_name="/anonymise")
    assert facts["fault"] == "close" and "0.60" in facts["warnings"][0] and facts["anonymous"] is False


def test_everybody_of_a_photo_is_replaced(client, tmp_path, rng):
    two = tmp_path / "two.png"
    Image.fromarray(rng.integers(0, 256, (80, 160, 3), dtype=np.uint8)).save(two)
    picture, facts = client.predict(handle_file(two), "00ff" + "11" * 30, face=-1, api_name="/anonymise")
    assert [face["face"] for face in facts["faces"]] == [0] and facts["pixelated"] == [1]
    with Image.open(picture) as opened:
        assert opened.size == (160, 80) and COMPOSITE.encode() in opened.info["xmp"]


def test_faces_are_detected_without_drawing(client, photo):
    found = client.predict(handle_file(photo), api_name="/detect")
    assert found == {"width": 60, "height": 80, "faces": [{"box": [10.0, 10.0, 50.0, 50.0], "confidence": 0.99}]}


def test_a_grid_is_compared(client, photo):
    packed, likeness = client.predict([handle_file(photo)], [KEY, "02" * 32], api_name="/compare")
    with ZipFile(packed) as pictures:
        assert pictures.namelist() == ["photo-a-key-1.png", "photo-a-key-2.png"]
    assert np.array(likeness["cosines"]).shape == (3, 3) and len(likeness["labels"]) == 3
    with pytest.raises(AppError, match="list of texts"):
        client.predict([handle_file(photo)], KEY, api_name="/compare")


def test_the_four_scenarios(client, photo):
    picture, _ = client.predict(handle_file(photo), KEY, api_name="/anonymise")
    answers = client.predict(handle_file(picture), handle_file(photo), KEY, api_name="/scenarios")
    assert [(answer["number"], answer["accepted"]) for answer in answers] == [
        (1, False),
        (2, False),
        (3, False),
        (4, True),
    ]


@pytest.mark.parametrize(
    ("language", "command"), [("python", [sys.executable]), ("sh", ["bash"]), ("javascript", ["node"])]
)
def test_the_examples_of_the_documentation_run(client, tmp_path, language, command):
    """With the stand-in's method in the place of the real one's."""
    if shutil.which(command[0]) is None or (language == "sh" and shutil.which("curl") is None):
        pytest.skip(f"{command[0]} is not installed")
    (block,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    code = block.replace("http://127.0.0.1:7860", client.src.rstrip("/")).replace("hashed", "floor")
    script = tmp_path / f"example.{'mjs' if language == 'javascript' else language}"
    script.write_text(code.replace('"virtual-face.png"', f'"{tmp_path}/virtual-face.png"'))
    ran = subprocess.run([*command, script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "refine" in ran.stdout or "generate" in ran.stdout, ran.stdout + ran.stderr  # seconds by stage
