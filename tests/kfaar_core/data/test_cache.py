from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from kfaar_core.data import cache
from kfaar_core.errors import BadSetting
from kfaar_core.presets import LAB, TINY


def test_equal_inputs_have_one_key_in_any_order():
    first = cache.content_key(preset=LAB, seed=3, data={"a": 1, "b": [2, None]})
    assert first == cache.content_key(data={"b": (2, None), "a": 1}, seed=np.int64(3), preset=LAB)
    assert len(first) == 64


def test_the_key_does_not_change_between_runs():
    # printf '{"map":{"seed":7}}' | sha256sum
    assert cache.content_key(seed=7).startswith("96c7b206352348ff")


@dataclass(frozen=True)
class Other:
    a: int = 1


DIFFERENT = (
    1, 1.5, "1", b"1", None, True, [1], {"a": 1}, Other(), LAB, TINY,
    np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1)), np.ones(2),
)  # fmt: skip


def test_different_inputs_have_different_keys():
    assert len({cache.content_key(part=part) for part in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize("part", [object(), {1: 2}, np.array([object()]), {1, 2}])
def test_what_cannot_be_told_is_refused(part):
    with pytest.raises(BadSetting):
        cache.content_key(part=part)


def test_arrays_come_back(tmp_path):
    store = cache.ArrayCache(tmp_path / "new")
    assert store.get("ab" * 32) is None
    store.put("ab" * 32, cosines=np.arange(3.0), people=np.arange(3))
    found = store.get("ab" * 32)
    np.testing.assert_array_equal(found["cosines"], [0, 1, 2])
    assert set(found) == {"cosines", "people"}


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half", b"text"])
def test_a_damaged_entry_is_made_anew(tmp_path, damage):
    store = cache.ArrayCache(tmp_path)
    store.put("cd" * 32, a=np.ones(2))
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(damage)
    assert store.get("cd" * 32) is None
    store.put("cd" * 32, a=np.ones(2))
    assert store.get("cd" * 32)["a"].tolist() == [1, 1]


def test_a_truncated_entry_is_made_anew(tmp_path):
    store = cache.ArrayCache(tmp_path)
    store.put("cd" * 32, a=np.arange(1000))
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:-40])
    assert store.get("cd" * 32) is None


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        cache.npz_bytes({"a": np.array([{}])})
    (tmp_path / "ef").mkdir()
    np.savez(tmp_path / "ef" / f"{'ef' * 32}.npz", a=np.array([{}], dtype=object), allow_pickle=True)
    assert cache.ArrayCache(tmp_path).get("ef" * 32) is None


def test_the_same_arrays_give_the_same_bytes():
    assert cache.npz_bytes({"a": np.ones(3)}) == cache.npz_bytes({"a": np.ones(3)})
