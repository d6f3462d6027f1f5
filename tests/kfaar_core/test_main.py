"""The command line as a process: quick where no network is needed, and quiet about what it knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "scipy", "openvino", "facenet_pytorch", "sklearn", "plotly", "gradio")
LIGHT = (["keygen"], ["--help"], ["anonymise", "--help"], ["anonymise", "none.jpg", "-o", "v.jpg"])


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_what_needs_no_network_imports_none(words):
    code = f"""
import sys
from kfaar_core.__main__ import app
try:
    app({words!r})
except SystemExit:
    pass
sys.exit(" ".join(name for name in {HEAVY!r} if name in sys.modules) or 0)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_codes_and_streams_of_a_process():
    done = python("-m", "kfaar_core", "keygen", "--bits", "16")
    assert done.returncode == 0 and len(done.stdout) == 5 and not done.stderr
    done = python("-m", "kfaar_core", "authenticate", "a.png", "b.png", "--key", "deadbeefc")
    assert done.returncode == 1 and not done.stdout
    assert "odd number" in done.stderr and done.stderr.count("\n") == 1
    assert "deadbeef" not in done.stderr
