from __future__ import annotations

import os
from collections import Counter

import pytest

from kfaar_core.data import split


def test_the_bucket_is_the_last_digit_of_the_hash():
    # printf '' | sha256sum: e3b0c442...7852b855, in decimal ...617909; and 'abc': ba7816bf...f20015ad.
    assert split.bucket("") == int("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 16) % 10
    assert split.bucket("abc") == int("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 16) % 10


def test_buckets_are_shared_out_7_1_2():
    names = [f"person {i}" for i in range(2000)]
    assert {split.bucket(name) for name in names} == set(range(10))
    for name in names:
        expected = {7: "dev", 8: "test", 9: "test"}.get(split.bucket(name), "train")
        assert split.part_of(name) == expected


@pytest.mark.data
@pytest.mark.skipif("KFAAR_DATA" not in os.environ, reason="KFAAR_DATA is not set")
def test_lfw_has_the_stated_counts():
    from kfaar_core.data.photos import open_dataset

    lfw = open_dataset("lfw")
    photos = Counter(sample.identity for sample in lfw.samples)
    found = {
        part: (
            sum(photos[name] for name in lfw.identities_of(part)),
            sum(photos[name] > 1 for name in lfw.identities_of(part)),
        )
        for part in split.PARTS
    }
    assert found == {"train": (8856, 1176), "dev": (1273, 177), "test": (3104, 327)}
