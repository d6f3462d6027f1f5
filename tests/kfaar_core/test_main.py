"""The command line as a process: quick where no network is needed, and quiet about what it knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "scipy", "openvino", "facenet_pytorch", "sklearn", "plotly", "gradio")
LIGHT = (["keygen"], ["--help"], ["anonymise", "--help"], ["anonymise", "none.jpg", "-o", "v.gif"])


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_what_needs_no_network_imports_none():
    code = f"""
import sys
from kfaar_core.__main__ import app
for words in {LIGHT!r}:
    try:
        app(words)
    except SystemExit:
        pass
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    if heavy:
        sys.exit(f"{{words}} imports {{heavy}}")
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


# ---- standard streams that are closed, full, broken, or that lack a letter

KEYGEN = f"{sys.executable} -m kfaar_core keygen"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, timeout=60, env={**os.environ, **environment}, text=True
    )


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_change_nothing(closed):
    done = shell(f"{KEYGEN} --bits 16 {closed}")
    assert done.returncode == 0 and len(done.stdout) == 5 and not done.stderr


def test_what_is_written_next_does_not_take_the_place_of_a_closed_stream(tmp_path):
    done = shell(f"{KEYGEN} -o {tmp_path / 'a.key'} <&- >&- 2>&-")
    assert done.returncode == 0 and len((tmp_path / "a.key").read_text().split()) == 1


@pytest.mark.parametrize("spec", ["@-", "pass:"])
def test_a_key_from_a_closed_standard_input_is_refused_first(spec):
    done = shell(f"{sys.executable} -m kfaar_core authenticate a.png b.png --key {spec} <&-")
    assert done.returncode == 1 and "is empty. " in done.stderr and "foresaw" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_standard_output_is_one_sentence_and_the_file_is_whole(tmp_path):
    done = shell(f"{KEYGEN} -o {tmp_path / 'a.key'} > /dev/full")
    assert done.returncode == 1 and done.stderr.startswith("Standard output cannot be written (No space left")
    assert done.stderr.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_reader_that_has_gone_is_no_surprise():
    done = shell(f"(sleep 0.1; {KEYGEN}; echo $? >&2) | true")
    assert done.stderr == "1\n"


@pytest.mark.parametrize("encoding", ["cp1252", "cp1252:strict", "utf-8:strict", "ascii"])
def test_a_name_that_the_encoding_of_the_terminal_lacks(tmp_path, encoding):
    """One process runs three commands: a new key, another one answered as JSON, and one that is refused."""
    plain, listed = (tmp_path / f"ключ{number}.key" for number in (1, 2))
    commands = [["-o", str(plain)], ["--json", "-o", str(listed)], ["-o", str(listed)]]
    code = f"""
from kfaar_core.__main__ import app
codes = []
for words in {commands!r}:
    try:
        app(["keygen", *words])
    except SystemExit as done:
        codes.append(done.code)
    print()
assert codes == [0, 0, 1], codes
"""
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    done = shell(f"{sys.executable} {tmp_path / 'run.py'}", PYTHONIOENCODING=encoding, PYTHONPATH=str(ROOT))
    assert done.returncode == 0 and plain.exists() and listed.exists()
    assert json.loads(done.stdout.split("\n\n")[1])["output"] == str(listed)
    assert done.stderr.count("\n") == 1 and "exists already" in done.stderr and "foresaw" not in done.stderr
