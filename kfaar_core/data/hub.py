"""Data sets that the library `datasets` reads: from the Hub (`hub:owner/name`), or a folder that it saved.

Needed is the extra `hub`. The Hub's own cache holds what was downloaded; its environment variables (HF_HOME,
HF_HUB_OFFLINE, HF_TOKEN) work as usual.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kfaar_core.data.photos import IDENTITY_COLUMNS, Sample
from kfaar_core.errors import DataMissing
from kfaar_core.files import joined_sha256

PREFIX = "hub:"
IMAGE_COLUMNS = ("image", "img", "picture")


def needed() -> Any:
    """The library `datasets`.

    Raises:
        DataMissing: it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataMissing(
            got="data that the library datasets reads, which is not installed", mend="pip install 'datasets>=4,<6'"
        ) from error
    return datasets


def from_hub(where: str) -> HubSource:
    """Open `owner/name`, or `owner/name:split`; it is downloaded if the Hub's cache lacks it.

    Raises:
        DataMissing: the library is not installed, or the data set cannot be had or has no usable columns.
    """
    name, _, split = where.partition(":")
    datasets = needed()
    try:
        found = datasets.load_dataset(name, split=split or None)
    except Exception as error:  # the library has dozens of kinds, also for the network
        raise DataMissing(
            got=f"the Hub data set {name!r} could not be had ({type(error).__name__})",
            mend="check its name and split, the network, and whether it needs a token (HF_TOKEN)",
        ) from error
    parts = list(found.values()) if isinstance(found, dict) else [found]
    return HubSource(name, datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0])


def saved(folder: Path) -> HubSource:
    """Open a folder that datasets.save_to_disk wrote.

    Raises:
        DataMissing: the library is not installed, or the folder is damaged or has no usable columns.
    """
    datasets = needed()
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise DataMissing(got=f"{folder.name} is not a whole saved data set", mend="save it again") from error
    if isinstance(found, dict):
        found = datasets.concatenate_datasets(list(found.values()))
    return HubSource(folder.name, found)


class HubSource:
    """Source: a table of the library `datasets`. Rows are read one by one; the pictures stay encoded."""

    def __init__(self, name: str, table: Any) -> None:
        image = column_of(name, table.column_names, IMAGE_COLUMNS)
        identity = column_of(name, table.column_names, IDENTITY_COLUMNS)
        self._image = image
        self._table = table.cast_column(image, needed().Image(decode=False))
        kind = table.features[identity]
        named = getattr(kind, "int2str", str)  # a class label has names
        people = [named(who) for who in table[identity]]
        files = table["file"] if "file" in table.column_names else [f"{row:08d}" for row in range(len(people))]
        self.samples = tuple(Sample(str(who), str(file)) for who, file in zip(people, files, strict=True))

    def read(self, index: int) -> bytes:
        stored = self._table[index][self._image] or {}
        if not stored.get("bytes") and stored.get("path"):
            return Path(stored["path"]).read_bytes()
        return stored.get("bytes") or b""

    def sha256(self) -> str:
        digests = (hashlib.sha256(self.read(row)).hexdigest() for row in range(len(self.samples)))
        return joined_sha256(
            (f"{s.identity}/{s.file}", digest) for s, digest in zip(self.samples, digests, strict=True)
        )


def column_of(name: str, columns: Sequence[str], wanted: Sequence[str]) -> str:
    """The first of the wanted columns that a table has.

    Raises:
        DataMissing: none of them.
    """
    found = next((column for column in wanted if column in columns), None)
    if found is None:
        raise DataMissing(
            got=f"{name} has the columns {', '.join(columns)}", mend=f"it needs one of {', '.join(wanted)}"
        )
    return found
