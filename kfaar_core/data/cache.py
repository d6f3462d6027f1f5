"""Content-addressed cache for evaluations.

The name of an entry is a hash of everything that it depends on. Entries are therefore never stale, and an interrupted
run can be resumed. Never use a user's key or photo as a part of a name; keys of evaluations are derived from the seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kfaar_core.errors import BadSetting
from kfaar_core.files import write_whole

log = logging.getLogger(__name__)

# Exceptions of numpy and zipfile for bytes that are not a complete npz file of plain arrays.
DAMAGED = (ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def content_key(**parts: object) -> str:
    """SHA-256 of named inputs, as 64 hex digits. The order of the arguments does not matter.

    Args:
        parts: text, numbers, None, bytes, arrays, dataclasses, and lists and dicts of these.

    Raises:
        BadSetting: a part of another type.
    """
    text = json.dumps(plain(parts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(part: object) -> object:
    """Convert a part to JSON values. Types are encoded, so 1, "1" and b"1" give different values.

    Raises:
        BadSetting: a part of another type than content_key accepts.
    """
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, np.generic):
        return plain(part.item())
    if isinstance(part, bytes):
        return {"bytes": hashlib.sha256(part).hexdigest()}
    if isinstance(part, np.ndarray) and not part.dtype.hasobject:
        content = np.ascontiguousarray(part).tobytes()
        return {"array": hashlib.sha256(content).hexdigest(), "dtype": part.dtype.str, "shape": list(part.shape)}
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {field.name: plain(getattr(part, field.name)) for field in dataclasses.fields(part)}
        return {"record": type(part).__name__, "fields": fields}
    if isinstance(part, Mapping) and all(isinstance(name, str) for name in part):
        return {"map": {name: plain(value) for name, value in part.items()}}
    if isinstance(part, list | tuple):
        return {"list": [plain(value) for value in part]}
    raise BadSetting(
        got=f"a {type(part).__name__} among the inputs of a cached result",
        mend="give text, numbers, bytes, arrays, records, lists or dicts with text keys",
    )


class ArrayCache:
    """Cache of named arrays in one folder; each entry is an npz file, read without pickle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays of an entry (name -> array); None if it does not exist or is damaged."""
        try:
            return npz_arrays(self._path(key).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, *DAMAGED):
            log.warning("a damaged cache entry was ignored")
            return None

    def has(self, key: str) -> bool:
        """Whether an entry exists, damaged or not."""
        return self._path(key).is_file()

    def put(self, key: str, **arrays: np.ndarray) -> None:
        """Write an entry atomically.

        Raises:
            BadOutput: the folder cannot be written.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, npz_bytes(arrays), force=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Encode arrays as an npz file. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
    return buffer.getvalue()


def npz_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Decode an npz file.

    Raises:
        One of DAMAGED: not an npz file, or one with Python objects.
    """
    stored = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):  # a single array, which is another format
        raise ValueError("not an npz file")
    with stored:
        return {name: stored[name] for name in stored.files}


class InMemoryCache(ArrayCache):
    """Cache in memory, for data that must not be written to disk, such as a visitor's features."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, np.ndarray]] = {}

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        return self._held.get(key)

    def has(self, key: str) -> bool:
        return key in self._held

    def put(self, key: str, **arrays: np.ndarray) -> None:
        self._held[key] = dict(arrays)
