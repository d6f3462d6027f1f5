"""The limit on tries: near-duplicates, clients, time and memory."""

from __future__ import annotations

import numpy as np
import pytest

from kfaar_core import tries
from kfaar_core.errors import TooManyTries
from kfaar_core.tries import Tries

FACE, OTHER = np.eye(8)[:1], np.eye(8)[1:2]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def turned(cosine: float) -> np.ndarray:
    """A read-out at this cosine to FACE."""
    return cosine * FACE + np.sqrt(1 - cosine**2) * np.eye(8)[2:3]


@pytest.mark.parametrize("kind", [float, np.float32])
def test_bands_by_hand(kind):
    cosines = [kind(cosine) for cosine in (-0.5, 0.25, 0.45, 0.55, 0.75)]
    assert [tries.BANDS[tries.band_of(cosine, 0.5)] for cosine in cosines] == [
        "clearly not", "clearly not", "rather not", "rather", "clearly"
    ]  # fmt: skip


def test_a_picture_that_is_read_nearly_alike_is_no_new_face():
    limit = Tries(3, Clock())
    for code in (FACE, turned(0.95), turned(0.7)):
        limit.count("a", code)
    with pytest.raises(TooManyTries, match="3 tries"):
        limit.count("a", turned(0.99))
    limit.count("a", turned(0.5))  # another face


def test_clients_and_faces_are_counted_apart_and_an_hour_later_anew():
    clock = Clock()
    limit = Tries(1, clock)
    limit.count("a", FACE)
    limit.count("b", FACE)
    limit.count("a", OTHER)
    clock.now = 3599.0
    with pytest.raises(TooManyTries, match="Wait 1 minutes"):
        limit.count("a", FACE)
    clock.now = 3600.0
    limit.count("a", FACE)


def test_a_picture_with_two_faces_counts_for_both_and_a_refused_one_for_none():
    limit = Tries(2, Clock())
    limit.count("a", np.concatenate([FACE, OTHER]))
    limit.count("a", FACE)
    with pytest.raises(TooManyTries):
        limit.count("a", np.concatenate([FACE, OTHER]))
    limit.count("a", OTHER)


def test_who_asks_about_many_faces_is_refused_and_forgets_none(rng, monkeypatch):
    monkeypatch.setattr(tries, "MOST_FACES", 5)
    limit = Tries(1, Clock())
    codes = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    for code in codes[:5]:
        limit.count("a", code[None])
    with pytest.raises(TooManyTries, match="5 faces"):
        limit.count("a", codes[5:6])
    with pytest.raises(TooManyTries):
        limit.count("a", codes[:1])


def test_many_clients_share_one_count_and_push_nobody_out(monkeypatch):
    monkeypatch.setattr(tries, "MOST_CLIENTS", 2)
    clock = Clock()
    limit = Tries(1, clock)
    for client in ("a", "b", "c"):
        limit.count(client, FACE)
    for client in ("a", "d"):
        with pytest.raises(TooManyTries):
            limit.count(client, FACE)
    clock.now = 4000.0  # room again
    for client in ("e", "d"):
        limit.count(client, FACE)
