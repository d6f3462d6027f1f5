"""Quotas, clocks that jump, two processes on one cache, and weights that change while they are read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kfaar_core import weights
from kfaar_core.data.cache import ArrayCache
from kfaar_core.errors import BadOutput, BadWeights
from kfaar_core.files import write_whole

ROOT = Path(__file__).resolve().parents[2]


def test_a_quota_leaves_no_half_file_and_the_old_one(tmp_path):
    """As on a full disk, which test_files.py has as an error of the system: here the kernel refuses to write."""
    words = """
import resource, signal, sys
from pathlib import Path
from kfaar_core.errors import BadOutput
from kfaar_core.files import NewFile, write_together
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    write_together([NewFile(Path("a.key"), b"new", True), NewFile(Path("a.png"), bytes(100_000))], force=True)
except BadOutput as error:
    print(error)
"""
    (tmp_path / "a.key").write_bytes(b"old")
    (tmp_path / "a.png").write_bytes(b"old picture")
    ran = subprocess.run(
        [sys.executable, "-c", words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "'a.png' cannot be written (File too large)" in ran.stdout, ran.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.key": b"old", "a.png": b"old picture"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_in_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadOutput, match="cannot be written"):
        write_whole(tmp_path / "a", b"new")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("jump", [-(10**9), 10**9])
def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch, jump):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    write_whole(tmp_path / "a", b"new")
    cache = ArrayCache(tmp_path / "cache")
    cache.put("ab12", x=np.arange(3))
    os.utime(next((tmp_path / "cache").rglob("*.npz")), (now() + jump, now() + jump))
    assert cache.get("ab12")["x"].tolist() == [0, 1, 2] and sorted(os.listdir(tmp_path)) == ["a", "cache"]


def test_two_processes_on_one_cache_read_whole_entries_alone(tmp_path):
    """One writes the same entries again and again, with the same bytes; this one reads them meanwhile."""
    words = f"""
import sys, time
import numpy as np
from pathlib import Path
from kfaar_core.data.cache import ArrayCache
cache, end = ArrayCache(Path({str(tmp_path)!r})), time.monotonic() + 60
print("ready", flush=True)
while time.monotonic() < end:
    cache.put("ab", x=np.arange(20_000))
"""
    with subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        cache, found, end = ArrayCache(tmp_path), 0, time.monotonic() + 20
        while found < 50 and time.monotonic() < end:
            if (entry := cache.get("ab")) is not None:
                assert np.array_equal(entry["x"], np.arange(20_000))
                found += 1
            elif found:
                pytest.fail("an entry that was there is not")
            cache.put("ab", x=np.arange(20_000))
        writer.kill()
    assert found == 50 and len(list(tmp_path.rglob("*.npz"))) == 1


def test_a_weight_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """The hash is taken of the bytes that are loaded, not of the file at another time."""
    name = "posture"
    data = (weights.ASSETS / f"{name}.safetensors").read_bytes()
    changed = bytearray(data)
    changed[-5] ^= 1
    read = Path.read_bytes

    def meanwhile(path: Path) -> bytes:
        return bytes(changed) if path.name == f"{name}.safetensors" else read(path)

    whole = weights.load(name)
    monkeypatch.setattr(Path, "read_bytes", meanwhile)
    with pytest.raises(BadWeights, match="altered"):
        weights.load(name)
    assert whole
