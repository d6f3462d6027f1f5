"""The files around the code agree with it and with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kfaar_core.checkpoints import CHECKPOINTS
from kfaar_core.weights import WEIGHTS, Asset

ROOT = Path(__file__).resolve().parents[2]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def requirements(name: str) -> dict[str, str]:
    """Package -> version range, without comments and references."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    split = (re.fullmatch(r"([A-Za-z0-9-]+)(.*)", line) for line in lines if line and not line.startswith("-r"))
    return {match[1].lower(): match[2] for match in split if match}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_has_an_upper_bound(name):
    listed = requirements(name)
    assert listed and all("<" in bound or bound.startswith("==") for bound in listed.values())


def test_notice_names_every_committed_weight_and_its_origin():
    notice = (ROOT / "NOTICE").read_text()
    for weight in WEIGHTS.values():
        assert (f"assets/weights/{weight.file}" if Asset() in weight.sources else weight.file) in notice
    for weight in CHECKPOINTS:
        assert weight.licence_weights in " ".join(notice.split()), weight.name
    for words in (
        "Changes made",
        "Sergei Belousov",
        "NVIDIA",
        "CC BY-NC-SA 4.0",
        "OpenCV Zoo",
        "Timothy Esler",
        "MIT License",
    ):
        assert words in notice
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_ci_is_an_executable_script_that_parses():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0


@pytest.fixture
def python(tmp_path) -> Path:
    """A stand-in for Python beside a copy of the Makefile: it notes its calls and can make an empty .venv."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\nif [ "$1" = -c ]; then exit "${UNSUPPORTED:-0}"; fi\necho "$@" >> calls\n'
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi\n'
    )
    python.chmod(0o755)
    return python


def outer_make_forgotten() -> dict[str, str]:
    """The environment without what `make test ARGS=...` tells the makes below it."""
    return {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS")
    }


@needs_make
def test_make_refuses_an_interpreter_that_is_not_supported(tmp_path, python):
    command = ["make", "--no-print-directory", f"PYTHON={python}", "app"]
    settings = outer_make_forgotten() | {"UNSUPPORTED": "1"}
    told = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=30)
    assert told.returncode and "Python 3.11 to 3.14 is needed" in told.stderr and str(python) in told.stderr
    assert not (tmp_path / ".venv").exists()


@needs_make
def test_make_installs_only_when_requirements_changed(tmp_path, python):
    """First .venv and an install, then only the run, after a change an install again."""

    def make(target: str) -> list[str]:
        (tmp_path / "calls").write_text("")
        command = ["make", "--no-print-directory", f"PYTHON={python}", target]
        subprocess.run(command, cwd=tmp_path, env=outer_make_forgotten(), check=True, capture_output=True, timeout=30)
        return (tmp_path / "calls").read_text().splitlines()

    assert [" ".join(call.split()[:3]) for call in make("app")] == ["-m venv .venv", "-m pip install", "app.py"]
    assert make("app") == ["app.py"]
    assert [call.split()[1] for call in make("test")] == ["pip", "pytest"]
    assert [" ".join(call.split()[:2]) for call in make("test")] == ["-m pytest"]
    later = (tmp_path / ".venv" / "installed-dev").stat().st_mtime + 5
    os.utime(tmp_path / "requirements.txt", (later, later))
    assert [call.split()[1] for call in make("test")] == ["pip", "pytest"]
