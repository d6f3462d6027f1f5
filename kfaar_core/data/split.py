"""Who may be trained on, tuned on and tested on: a split by identity that needs no list (design: protocol).

A person's part follows from the name alone, so that nobody can end up in two parts, whatever file the photo came from.
"""

from __future__ import annotations

import hashlib

TRAIN, DEV, TEST = "train", "dev", "test"
PARTS = (TRAIN, DEV, TEST)


def bucket(name: str) -> int:
    """0..9, the same on every machine: SHA-256 of the UTF-8 name, read as one big-endian number, modulo 10."""
    return int(hashlib.sha256(name.encode("utf-8")).hexdigest(), 16) % 10


def part_of(name: str) -> str:
    """The part of an identity: `train` (buckets 0-6), `dev` (7) or `test` (8-9)."""
    number = bucket(name)
    return TRAIN if number <= 6 else DEV if number == 7 else TEST
