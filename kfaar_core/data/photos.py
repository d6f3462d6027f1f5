"""Data sets of photos of people. Photos are read lazily, without copying or unpacking the data set.

Accepted are: a parquet file or a folder of its shards (columns image{bytes, path} and identity, optionally file and
emotion); a folder of `person/photo.jpg`, or laid out as CelebA or FFHQ (layouts.py); a zip of either; a folder that the
library `datasets` saved; a name in the folder KFAAR_DATA; a Hub data set id that is on this machine; or
`hub:owner/name`, which `datasets` may download (hub.py).
"""

from __future__ import annotations

import io
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as arrow
import pyarrow.parquet as parquet

from kfaar_core.data.layouts import people_of
from kfaar_core.data.split import PARTS, TEST, part_of
from kfaar_core.errors import DataMissing
from kfaar_core.files import PICTURES, file_sha256, joined_sha256

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "KFAAR_DATA"
IDENTITY_COLUMNS = ("identity", "label", "person", "name")  # the first of these that a parquet file has is used
PHOTO_MAX = 64 * 2**20  # bytes, largest file of one photo  [design]
# RuntimeError: a password is asked for, or the compression is unknown. UnicodeError: a damaged name.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeError, OSError)
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Sample:
    """Metadata of one photo."""

    identity: str  # the person
    file: str  # name inside the data set, unique there
    emotion: str | None = None


class Source(Protocol):
    """Interface of a storage format: metadata of the photos, and their bytes."""

    samples: tuple[Sample, ...]

    def read(self, index: int) -> bytes:
        """The encoded bytes of one photo."""

    def sha256(self) -> str:
        """Hash of the whole data set, independent of its path."""


class Dataset:
    """A data set of photos of people. A photo is read only when asked for."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = name  # for example "lfw"; written to result files
        self.samples = source.samples
        self._source = source

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"Dataset({self.name}: {len(self)} photos, {len(self.identities)} people)"

    def read(self, index: int) -> bytes:
        """The encoded bytes of one photo, for image.open_photo.

        Raises:
            DataMissing: the photo is missing, empty or larger than 64 MB.
        """
        data = self._source.read(index)
        if not data:
            raise DataMissing(got=f"photo {index} of {self.name} is empty", mend="fetch the data again")
        return data

    @cached_property
    def identities(self) -> frozenset[str]:
        return frozenset(sample.identity for sample in self.samples)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the data set, 64 hex digits. The first call reads all of it."""
        return self._source.sha256()

    @cached_property
    def is_lfw(self) -> bool:
        """Whether most files are named as in LFW: `Some_Name/Some_Name_0001.jpg`."""
        named = sum(bool(re.fullmatch(r"\d{4}", lfw_number(sample))) for sample in self.samples)
        return 2 * named > len(self)

    def identities_of(self, part: str) -> frozenset[str]:
        """The identities of a part of the split: `train`, `dev` or `test`.

        LFW is split by identity. Of any other data set, all identities are in `test`.

        Raises:
            DataMissing: an unknown part, or a part without identities.
        """
        if part not in PARTS:
            raise DataMissing(got=f"the part {part!r} of {self.name}", mend=f"choose one of {', '.join(PARTS)}")
        if self.is_lfw:
            names = frozenset(name for name in self.identities if part_of(name) == part)
        else:
            names = self.identities if part == TEST else frozenset()
        if not names:
            raise DataMissing(
                got=f"{self.name} has nobody in the part {part}",
                mend="give LFW for training and thresholds; any other data is for tests only",
            )
        return names


def lfw_number(sample: Sample) -> str:
    """The number in an LFW file name, `0001` of `Some_Name_0001.jpg`; an empty string for other file names."""
    stem = PurePosixPath(sample.file).stem
    return stem.removeprefix(sample.identity + "_") if stem.startswith(sample.identity + "_") else ""


def open_dataset(where: str | Path | None = None, *, name: str | None = None) -> Dataset:
    """Open a data set of photos of people.

    Args:
        where: a file, a folder, a name such as `lfw` in the folder KFAAR_DATA, or a Hub data set id `owner/name`;
            None = `lfw` in KFAAR_DATA.
        name: for result files; None = the name of the file, folder or Hub data set.

    Raises:
        DataMissing: the data set does not exist, cannot be read, or has no photos.
    """
    from kfaar_core.data import hub

    asked = "lfw" if where is None else str(where)
    source: Source
    if asked.startswith(hub.PREFIX):
        asked = asked.removeprefix(hub.PREFIX)
        title, source = name_of(asked.partition(":")[0]), hub.from_hub(asked)
    else:
        path = locate(asked)
        title, source = name_of(path.name if where is None or Path(where).exists() else asked), open_source(path)
    if not source.samples:
        raise DataMissing(got=f"{title} holds no photo", mend=ACCEPTED)
    dataset = Dataset(name or title, source)
    log.info("%r", dataset)
    return dataset


ACCEPTED = (
    "give a parquet file with the columns image and identity, a folder of person/photo.jpg, a zip of such a folder, "
    "or a Hub data set id"
)


def name_of(where: str) -> str:
    """The default name of a data set: `lfw` for `lfw.parquet`, `celeba` for `owner/celeba`."""
    return PurePosixPath(where).name.removesuffix(".parquet").removesuffix(".zip").lower()


def locate(where: str) -> Path:
    """Find the file or folder of a data set: as a path, in KFAAR_DATA, or in the cache of the Hub.

    Raises:
        DataMissing: it is in none of them.
    """
    path = Path(where).expanduser()
    if path.exists():
        return path
    root = os.environ.get(FOLDER_VARIABLE)
    if root and "/" not in where and "\\" not in where:
        for candidate in (where, f"{where}.parquet", f"{where}.zip"):
            if (Path(root) / candidate).exists():
                return Path(root) / candidate
    if HUB_ID.fullmatch(where) and not path.suffix:
        return from_hub(where)
    mend = ACCEPTED if root else f"{ACCEPTED}, or let {FOLDER_VARIABLE} name the folder that holds it"
    raise DataMissing(got=f"no photos at {Path(where).name!r}", mend=mend)


def from_hub(dataset_id: str) -> Path:
    """The folder of a Hub data set in the local Hub cache. Nothing is downloaded.

    Raises:
        DataMissing: the data set is not in the cache.
    """
    import huggingface_hub

    patterns = ["*.parquet", "*.zip", *(f"*{suffix}" for suffix in PICTURES)]
    try:
        folder = huggingface_hub.snapshot_download(
            dataset_id, repo_type="dataset", allow_patterns=patterns, local_files_only=True
        )
    except (OSError, ValueError) as error:  # not in the cache, or an invalid id
        raise DataMissing(
            got=f"the Hub data set {dataset_id!r} is not on this machine",
            mend=f"download it first: hf download --repo-type dataset {dataset_id}",
        ) from error
    return Path(folder)


def open_source(path: Path) -> Source:
    """Open a file or folder with the Source for its format.

    Raises:
        DataMissing: an unknown format, several data sets, or a damaged file.
    """
    if path.is_dir():
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            from kfaar_core.data import hub

            return hub.saved(path)
        shards = sorted(path.rglob("*.parquet"))
        if not shards:
            packed = sorted(path.glob("*.zip"))
            return open_source(packed[0]) if len(packed) == 1 else FolderSource(path)
        if len(shards) > 1 and not all(re.search(r"-\d+-of-\d+", shard.stem) for shard in shards):
            several = ", ".join(shard.name for shard in shards[:8])
            raise DataMissing(got=f"the folder holds several data sets: {several}", mend="give one of these files")
        return ParquetSource([parquet_file(shard, shard.name) for shard in shards], hashed=shards)
    if path.suffix.lower() == ".zip":
        return open_zip(path)
    if path.suffix.lower() == ".parquet":
        return ParquetSource([parquet_file(path, path.name)], hashed=[path])
    raise DataMissing(got=f"{path.name} is neither a folder nor a parquet or zip file", mend=ACCEPTED)


def open_zip(path: Path) -> Source:
    """Open a zip of `person/photo.jpg` or of one parquet file.

    Raises:
        DataMissing: the zip is damaged or encrypted.
    """
    try:
        archive = zipfile.ZipFile(path)
        tables = [entry for entry in archive.namelist() if entry.lower().endswith(".parquet")]
        if len(tables) != 1:
            return ZipSource(path, archive)
        packed = io.BytesIO(unpacked(archive, tables[0]))
    except ZIP_ERRORS as error:
        raise DataMissing(got=f"{path.name} is not a whole, open zip file", mend="fetch the data again") from error
    return ParquetSource([parquet_file(packed, tables[0])], hashed=[path])


def unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of a zip, whole in memory.

    Raises:
        DataMissing: it unpacks to far more than photos and lists of names do. An upload could fill the memory so.
    """
    entry = archive.getinfo(name)
    if entry.file_size > PHOTO_MAX + 8 * entry.compress_size:
        raise DataMissing(
            got=f"a file in the zip unpacks from {entry.compress_size} to {entry.file_size} bytes",
            mend="give the photos as they are, not packed once more",
        )
    return archive.read(name)


def parquet_file(source: Path | io.BytesIO, name: str) -> parquet.ParquetFile:
    """Open a parquet file and check that it has the required columns.

    Raises:
        DataMissing: the file is damaged or lacks a column.
    """
    try:
        table = parquet.ParquetFile(source)
    except (arrow.ArrowException, OSError) as error:
        raise DataMissing(got=f"{name} is not a whole parquet file", mend="fetch the data again") from error
    columns = set(table.schema_arrow.names)
    if "image" not in columns or not columns & set(IDENTITY_COLUMNS):
        raise DataMissing(got=f"{name} has the columns {', '.join(sorted(columns))}", mend=ACCEPTED)
    return table


class ParquetSource:
    """Source: photos in the column image{bytes, path} of parquet files. Two row groups are kept in memory."""

    def __init__(self, tables: Sequence[parquet.ParquetFile], hashed: Sequence[Path]) -> None:
        self._hashed = hashed  # the files on disk that sha256 covers
        self.samples = tuple(sample for table in tables for sample in parquet_samples(table))
        sizes = [
            (table, group, table.metadata.row_group(group).num_rows)
            for table in tables
            for group in range(table.num_row_groups)
        ]
        self._rows = tuple((table, group, row) for table, group, rows in sizes for row in range(rows))
        self._group = lru_cache(maxsize=2)(self._read_group)

    def _read_group(self, table: parquet.ParquetFile, group: int) -> Any:  # pyarrow has no types
        return table.read_row_group(group, columns=["image"]).column("image")

    def read(self, index: int) -> bytes:
        table, group, row = self._rows[index]
        try:
            stored = self._group(table, group)[row].as_py()
        except (arrow.ArrowException, OSError) as error:
            raise DataMissing(got=f"photo {index} can no longer be read", mend="fetch the data again") from error
        return (stored.get("bytes") if isinstance(stored, dict) else stored) or b""

    def sha256(self) -> str:
        digests = [file_sha256(path) for path in self._hashed]
        return digests[0] if len(digests) == 1 else joined_sha256(enumerate(digests))


def parquet_samples(table: parquet.ParquetFile) -> list[Sample]:
    """The metadata of the photos of a parquet file, read without the photos."""
    names = table.schema_arrow.names
    identity = next(column for column in IDENTITY_COLUMNS if column in names)
    wanted = [identity, "image.path", *(column for column in ("file", "emotion") if column in names)]
    try:
        columns = table.read(columns=wanted).to_pydict()
    except (arrow.ArrowException, OSError, UnicodeError) as error:
        raise DataMissing(got="the names in the parquet file are damaged", mend="fetch the data again") from error
    rows = len(columns[identity])
    paths = [(entry or {}).get("path") for entry in columns.get("image", [None] * rows)]
    files = columns.get("file", paths)
    emotions = columns.get("emotion", [None] * rows)
    return [
        Sample(str(who), str(file or f"{number:06d}"), str(emotion) if emotion else None)
        for number, (who, file, emotion) in enumerate(zip(columns[identity], files, emotions, strict=True))
    ]


class FolderSource:
    """Source: a folder of pictures; layouts.py says who is on them."""

    def __init__(self, folder: Path) -> None:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        people = people_of(names, lambda name: (folder / name).read_bytes())
        self._folder, self._names = folder, tuple(people)
        self.samples = samples_of(people)

    def read(self, index: int) -> bytes:
        path = self._folder / self._names[index]
        try:
            if path.stat().st_size > PHOTO_MAX:
                raise DataMissing(got=f"photo {index} is larger than 64 MB", mend="leave it out")
            return path.read_bytes()
        except OSError as error:
            raise DataMissing(got=f"photo {index} can no longer be read", mend="check the folder") from error

    def sha256(self) -> str:
        return joined_sha256((name, file_sha256(self._folder / name)) for name in self._names)


class ZipSource:
    """Source: a zip of such a folder. Photos are read into memory, never unpacked to disk."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        names = [name for name in archive.namelist() if not name.endswith("/")]
        people = people_of(names, partial(unpacked, archive))
        self._names = tuple(people)
        self.samples = samples_of(people)

    def read(self, index: int) -> bytes:
        name = self._names[index]
        try:
            if self._archive.getinfo(name).file_size > PHOTO_MAX:
                raise DataMissing(got=f"photo {index} is larger than 64 MB", mend="leave it out")
            return self._archive.read(name)
        except ZIP_ERRORS as error:
            raise DataMissing(got=f"photo {index} in the zip is damaged", mend="fetch the data again") from error

    def sha256(self) -> str:
        return file_sha256(self._path)


def samples_of(people: Mapping[str, str]) -> tuple[Sample, ...]:
    """The metadata of photos from posix path -> person."""
    return tuple(Sample(identity=person, file=name) for name, person in people.items())
