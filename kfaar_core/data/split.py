"""The split of identities into train, dev and test (design: protocol).

The part depends on the hash of a person's name alone. All photos of a person are therefore in the same part, whatever
file they come from, and no list of names is needed.
"""

from __future__ import annotations

import hashlib

TRAIN, DEV, TEST = "train", "dev", "test"
PARTS = (TRAIN, DEV, TEST)


def bucket(name: str) -> int:
    """The bucket of a name, 0 to 9: SHA-256 of the UTF-8 name as a big-endian number, modulo 10."""
    return int(hashlib.sha256(name.encode("utf-8")).hexdigest(), 16) % 10


def part_of(name: str) -> str:
    """The part of an identity: `train` (buckets 0-6), `dev` (7) or `test` (8-9)."""
    number = bucket(name)
    return TRAIN if number <= 6 else DEV if number == 7 else TEST
