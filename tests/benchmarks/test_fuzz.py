"""What the fuzz script calls a fault, and that it sees one; no case here harms anything."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import fuzz, fuzz_corpus
from benchmarks.fuzz_corpus import KEY, Seed
from kfaar_core import keys
from kfaar_core.errors import BadKey, BadPicture


@pytest.fixture(autouse=True)
def light_argon2(monkeypatch):
    monkeypatch.setattr(keys, "ARGON2_MEMORY_KIB", 8 * keys.ARGON2_LANES)


@pytest.mark.parametrize("name", fuzz.CORPORA)
def test_every_seed_is_read_before_it_is_damaged(name, tmp_path):
    floats = (BadPicture,)  # a TIFF of floats is refused as it is
    for seed in fuzz.corpus(name, 0):
        try:
            fuzz.read(seed, tmp_path)
        except floats as error:
            assert "floating-point" in str(error)


def test_a_case_depends_on_seed_and_number_alone():
    first, again = (fuzz.case("files", 0, 5) for _ in range(2))
    assert first == again != fuzz.case("files", 0, 5 + len(fuzz.corpus("files", 0))) and first != fuzz.case(
        "files", 1, 5
    )


def test_outcomes(monkeypatch, tmp_path):
    key, photo = Seed("key text", {"key": KEY.encode()}), Seed("picture", {"photo": b"nothing"})
    assert fuzz.outcome(key, tmp_path) == "read" and fuzz.outcome(photo, tmp_path) == "refused: BadPicture"

    def quoting(text):
        raise BadKey(got=f"the key {text}", mend="try again")

    monkeypatch.setattr(keys.UserKey, "parse", quoting)
    assert fuzz.outcome(key, tmp_path) == "fault: Quoted in BadKey"
    monkeypatch.setattr(keys.UserKey, "parse", lambda text: [][1])
    assert fuzz.outcome(key, tmp_path).startswith("fault: IndexError at tests/benchmarks/test_fuzz.py:")


def test_checksums_are_mended():
    png = next(seed.files["photo"] for seed in fuzz.corpus("pictures", 0) if seed.files["photo"][1:4] == b"PNG")
    wrong = bytearray(png)
    wrong[29] ^= 1  # of the checksum of the header
    assert fuzz_corpus.mended(bytes(wrong)) == png == fuzz_corpus.mended(png)


CHILD = """
import os, sys, time
name, seed, first, last = sys.argv[2:]
print("ready", flush=True)
for number in range(int(first), int(last)):
    if number == 1:
        os.kill(os.getpid(), 11)
    if number == 3:
        time.sleep(60)
    print("refused: BadKey" if number % 2 else "read", flush=True)
print("peak 7", flush=True)
"""


def test_a_child_that_dies_or_hangs_is_a_fault_and_the_next_case_goes_on(monkeypatch):
    monkeypatch.setattr(fuzz, "CASE_S", 0.5)
    monkeypatch.setattr(fuzz, "ROOT", ".")
    report = fuzz.fuzz("files", 0, 6, (sys.executable, "-c", CHILD)).report()
    assert report["cases"] == 6 and report["read"] == 3 and report["refused"] == 1 and report["memory_mb"] == 7
    assert report["first_case_of_a_fault"] == {"fault: ended with -11": 1, "fault: over 0.5 s": 3}


def test_damage_reaches_every_kind_of_file(tmp_path):
    rng = np.random.default_rng(0)
    changed = [fuzz_corpus.damaged(seed, rng).files != seed.files for seed in fuzz.corpus("files", 0)]
    assert sum(changed) > 0.8 * len(changed)
