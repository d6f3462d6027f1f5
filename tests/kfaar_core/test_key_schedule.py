"""Faces made years ago are read only while these numbers stay: no change of code or library may move them."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from kfaar_core.key_schedule import normals, public_normals, rotation
from kfaar_core.keys import IN_FORCE, UserKey

# Version 1 as it was when all weights and tables were made (NumPy 2.4.6), version 2 by the functions below.
VECTORS = json.loads((Path(__file__).parent / "key_schedule.json").read_text())
CASES = [(int(version), case) for version in VECTORS for case in VECTORS[version]["keys"]]
EXACT = {"rtol": 1e-13, "atol": 1e-13}  # last digits are the mathematics library's and LAPACK's


def written_out(key: bytes, purpose: bytes, count: int) -> list[float]:
    """Version 2 in whole numbers, with another inverse of the normal distribution than the code has."""
    message = b"\0\0\0\x1dkfaar key schedule, version 2"
    message += len(purpose).to_bytes(4) + purpose + len(key).to_bytes(4) + key
    stream = hashlib.shake_256(message).digest(8 * count)
    words = (int.from_bytes(stream[8 * place : 8 * place + 8], "big") for place in range(count))
    return [NormalDist().inv_cdf((2 * (word // 2**12) + 1) / 2**53) for word in words]


def gram_schmidt(numbers: list[float], dimension: int) -> np.ndarray:
    """Its columns made orthonormal from the left, each against those before it, twice over for the last digits."""
    columns = [numbers[place::dimension] for place in range(dimension)]
    for place, column in enumerate(columns):
        for before in 2 * columns[:place]:
            along = math.fsum(a * b for a, b in zip(before, column, strict=True))
            column = [a - along * b for a, b in zip(column, before, strict=True)]
        length = math.hypot(*column)
        columns[place] = [a / length for a in column]
    return np.array(columns).T


def test_version_1_is_in_force():
    """All committed weights and tables were made with it."""
    assert IN_FORCE == 1 == UserKey.generate().version


@pytest.mark.parametrize(
    ("version", "case"), CASES, ids=lambda value: value if isinstance(value, int) else value["key"][:8]
)
def test_a_key_draws_what_it_always_drew(version, case):
    key = UserKey(bytes.fromhex(case["key"]), version)
    np.testing.assert_allclose(rotation(key, 8)[:2], case["rotation of 8, first rows"], **EXACT)
    np.testing.assert_allclose(rotation(key, 64)[-1, -4:], case["rotation of 64, end of the last row"], **EXACT)
    np.testing.assert_allclose(normals(key, "nuisance", (8,)), case["noise"], **EXACT)


@pytest.mark.parametrize("version", [1, 2])
def test_refinement_draws_what_it_always_drew(version):
    expected = VECTORS[str(version)]["refinement"]
    np.testing.assert_allclose(public_normals("refinement", (2, 4), version), expected, **EXACT)


@pytest.mark.parametrize("case", VECTORS["2"]["keys"], ids=lambda case: case["key"][:8])
def test_another_implementation_of_version_2_agrees(case):
    data = bytes.fromhex(case["key"])
    key = UserKey(data, 2)
    np.testing.assert_allclose(normals(key, "nuisance", (1000,)), written_out(data, b"nuisance", 1000), **EXACT)
    np.testing.assert_allclose(rotation(key, 64), gram_schmidt(written_out(data, b"rotation", 64**2), 64), atol=1e-12)
    np.testing.assert_allclose(public_normals("any", (9,), 2), written_out(b"", b"any", 9), **EXACT)


@pytest.mark.parametrize("version", [1, 2])
def test_a_rotation_is_orthogonal_and_takes_the_signs_that_make_it_the_only_one(version):
    key = UserKey(bytes(range(32)), version)
    turn = rotation(key, 48)
    np.testing.assert_allclose(turn.T @ turn, np.eye(48), atol=1e-13)
    upper = turn.T @ normals(key, "rotation", (48, 48))
    np.testing.assert_allclose(np.tril(upper, -1), 0, atol=1e-12)
    assert (np.diag(upper) > 0).all()


def test_the_signs_do_not_depend_on_the_factorisation(monkeypatch):
    key = UserKey(b"any", 2)
    expected, qr = rotation(key, 16), np.linalg.qr
    signs = np.where(np.arange(16) % 3, 1.0, -1.0)
    monkeypatch.setattr(np.linalg, "qr", lambda a: (qr(a)[0] * signs, signs[:, None] * qr(a)[1]))
    np.testing.assert_allclose(rotation(key, 16), expected, atol=1e-14)


@pytest.mark.parametrize("version", [1, 2])
def test_streams_are_normal_and_apart_by_key_and_purpose(version):
    count = 20_000
    drawn = [
        normals(UserKey(data, version), purpose, (count,))
        for data, purpose in ((b"a", "one"), (b"a", "two"), (b"b", "one"), (b"a\0", "one"))
    ]
    for each in drawn:
        assert stats.kstest(each, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 4 / np.sqrt(count)


@pytest.mark.parametrize("version", [1, 2])
def test_fewer_numbers_are_the_first_of_more(version):
    key = UserKey(b"any", version)
    np.testing.assert_array_equal(normals(key, "nuisance", (2, 3)).ravel(), normals(key, "nuisance", (100,))[:6])


def test_no_stream_reaches_infinity(monkeypatch):
    """At both ends of what SHAKE can give."""
    for byte, sign in ((b"\0", -1), (b"\xff", 1)):
        monkeypatch.setattr("kfaar_core.key_schedule.shake", lambda *given, byte=byte: byte * given[-1])
        np.testing.assert_allclose(normals(UserKey(b"any", 2), "any", (3,)), sign * 8.209536151601387, rtol=1e-14)


def test_versions_have_nothing_in_common():
    one, two = (normals(UserKey(b"any", version), "any", (10_000,)) for version in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.04
