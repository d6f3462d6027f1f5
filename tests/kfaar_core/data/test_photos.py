"""Every way in which photos may lie, with drawn pictures and invented people."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from kfaar_core.data import photos as data
from kfaar_core.errors import DataMissing

PEOPLE = ("Ada_Blue", "Ada_Blue", "Bo_Red", "Cy_Green", "Cy_Green", "Cy_Green")


def picture(shade):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [picture(shade) for shade in range(0, 240, 40)]
FILES = [f"{name}_{number:04d}.png" for number, name in enumerate(PEOPLE)]


def write_parquet(path, rows=range(6), identity="identity", **more):
    images = [{"bytes": PICTURES[i], "path": FILES[i]} for i in rows]
    columns = {"image": images, identity: [PEOPLE[i] for i in rows], **more}
    parquet.write_table(arrow.table(columns), path, row_group_size=2)
    return path


def write_folder(root):
    for name, file, content in zip(PEOPLE, FILES, PICTURES, strict=True):
        (root / "faces" / name).mkdir(parents=True, exist_ok=True)
        (root / "faces" / name / file).write_bytes(content)
    return root


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, file, content in zip(PEOPLE, FILES, PICTURES, strict=True):
            archive.writestr(f"faces/{name}/{file}", content)
        archive.writestr("__MACOSX/faces/Ada_Blue/._Ada_Blue_0000.png", b"no picture")
        archive.writestr("readme.txt", b"not a photo")
    return path


def write_zipped_parquet(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(write_parquet(path.with_suffix(".parquet")), "data/all.parquet")
    path.with_suffix(".parquet").unlink()
    return path


def write_shards(root):
    (root / "data").mkdir()
    write_parquet(root / "data" / "train-00000-of-00002.parquet", range(4))
    write_parquet(root / "data" / "train-00001-of-00002.parquet", range(4, 6))
    return root


WAYS = {
    "parquet file": lambda root: write_parquet(root / "faces.parquet"),
    "folder with a parquet": lambda root: write_parquet(root / "faces.parquet").parent,
    "shards": write_shards,
    "folder": write_folder,
    "zip": lambda root: write_zip(root / "faces.zip"),
    "zipped parquet": lambda root: write_zipped_parquet(root / "faces.zip"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_photos(way, tmp_path):
    found = data.open_dataset(WAYS[way](tmp_path))
    assert [sample.identity for sample in found.samples] == list(PEOPLE)
    assert [sample.file.rpartition("/")[2] for sample in found.samples] == FILES
    assert [found.read(i) for i in (5, 0, 3, 1, 4, 2)] == [PICTURES[i] for i in (5, 0, 3, 1, 4, 2)]
    assert len(found.sha256) == 64


def test_the_hash_of_one_file_is_that_of_its_bytes(tmp_path):
    path = write_parquet(tmp_path / "faces.parquet")
    assert data.open_dataset(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hash_of_a_folder_follows_names_and_content_not_the_place(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    before = data.open_dataset(write_folder(here)).sha256
    assert data.open_dataset(write_folder(there)).sha256 == before
    (there / "faces" / "Bo_Red" / FILES[2]).write_bytes(PICTURES[0])
    assert data.open_dataset(there).sha256 != before


def test_emotion_and_file_are_read_when_there_are_any(tmp_path):
    moods = ["joy", None, "fear", "", "joy", "joy"]
    path = write_parquet(tmp_path / "faces.parquet", file=[f"f{i}" for i in range(6)], emotion=moods)
    samples = data.open_dataset(path).samples
    assert [sample.emotion for sample in samples] == ["joy", None, "fear", None, "joy", "joy"]
    assert samples[4].file == "f4"


def test_a_label_column_names_people_too(tmp_path):
    assert data.open_dataset(write_parquet(tmp_path / "a.parquet", identity="label")).samples[2].identity == "Bo_Red"


def test_plain_binary_images_are_read(tmp_path):
    parquet.write_table(arrow.table({"image": PICTURES, "identity": list(PEOPLE)}), tmp_path / "a.parquet")
    found = data.open_dataset(tmp_path / "a.parquet")
    assert found.read(3) == PICTURES[3]
    assert len({sample.file for sample in found.samples}) == 6


def test_photos_are_opened_only_when_read(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "faces.parquet")
    groups = []
    read = parquet.ParquetFile.read_row_group
    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", lambda *a, **k: groups.append(a[1]) or read(*a, **k))
    found = data.open_dataset(path)
    assert groups == []
    assert (found.read(4), found.read(5)) == (PICTURES[4], PICTURES[5])
    assert groups == [2]  # two photos of one row group: read once


def test_a_name_is_looked_up_in_the_data_folder(tmp_path, monkeypatch):
    write_parquet(tmp_path / "lfw.parquet")
    write_zip(tmp_path / "mine.zip")
    monkeypatch.setenv("KFAAR_DATA", str(tmp_path))
    assert data.open_dataset().name == "lfw"
    assert data.open_dataset("mine").name == "mine"
    assert data.open_dataset("mine", name="other").name == "other"


def test_a_folder_of_several_data_sets_asks_which(tmp_path):
    write_parquet(tmp_path / "lfw.parquet")
    write_parquet(tmp_path / "celeba.parquet")
    with pytest.raises(DataMissing, match=r"celeba\.parquet, lfw\.parquet\. Give one of these files"):
        data.open_dataset(tmp_path)


def test_a_hub_data_set_is_read_from_the_cache_and_never_downloaded(tmp_path, monkeypatch):
    import huggingface_hub

    asked, cached = [], []

    def download(dataset_id, **options):
        asked.append((dataset_id, options["repo_type"], options["local_files_only"]))
        if not cached:
            raise FileNotFoundError("not in the cache")
        return str(tmp_path)

    write_shards(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(DataMissing, match="hf download --repo-type dataset someone/faces"):
        data.open_dataset("someone/faces")
    cached.append("someone/faces")
    assert data.open_dataset("someone/faces").name == "faces"
    assert asked == 2 * [("someone/faces", "dataset", True)]


def broken_parquet(root):
    (root / "a.parquet").write_bytes(b"PAR1 nothing else")
    return root / "a.parquet"


def broken_zip(root):
    (root / "a.zip").write_bytes(b"PK nothing else")
    return root / "a.zip"


def damaged_names(root):
    """Whole at both ends, so that it opens; the identities in the middle are none."""
    path = WAYS["parquet file"](root)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"Ada_Blue", 0, len(data) // 2)
    data[at - 12 : at + 12] = bytes(24)
    path.write_bytes(data)
    return path


def zip_of(name, content):
    def make(root):
        with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        return root / "a.zip"

    return make


def damaged_list(root):
    path = zip_of("identity_CelebA.txt", "000001.jpg 1\n" * 9)(root)
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    return path


def damaged_file_name(root):
    path = root / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Äda/1.png", PICTURES[0])
    path.write_bytes(path.read_bytes().replace("Ä".encode(), b"\xff\xff"))
    return path


def other_columns(root):
    parquet.write_table(arrow.table({"picture": PICTURES}), root / "a.parquet")
    return root / "a.parquet"


def a_text(root):
    (root / "a.txt").write_text("no photos")
    return root / "a.txt"


BAD = {
    "missing": (lambda root: root / "none", "no photos at 'none'"),
    "empty folder": (lambda root: root, "holds no photo"),
    "broken parquet": (broken_parquet, "not a whole parquet file"),
    "broken zip": (broken_zip, "not a whole, open zip file"),
    "broken list in a zip": (damaged_list, "not a whole, open zip file"),
    "broken file name in a zip": (damaged_file_name, "not a whole, open zip file"),
    "damaged names": (damaged_names, "names in the parquet file are damaged"),
    "a list that fills the memory": (zip_of("identity_CelebA.txt", bytes(70_000_000)), "unpacks from .* to 70000000"),
    "a table that fills the memory": (zip_of("a.parquet", bytes(70_000_000)), "unpacks from .* to 70000000"),
    "other columns": (other_columns, "columns picture"),
    "text": (a_text, "neither a folder nor"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_says_how_to_mend(case, tmp_path, monkeypatch):
    monkeypatch.delenv("KFAAR_DATA", raising=False)
    make, words = BAD[case]
    with pytest.raises(DataMissing, match="(?i)" + words) as caught:
        data.open_dataset(make(tmp_path))
    assert caught.value.mend
    assert str(tmp_path) not in str(caught.value)


def test_a_photo_that_vanished_or_is_empty_says_so(tmp_path):
    found = data.open_dataset(write_folder(tmp_path))
    (tmp_path / "faces" / "Bo_Red" / FILES[2]).unlink()
    (tmp_path / "faces" / "Ada_Blue" / FILES[0]).write_bytes(b"")
    with pytest.raises(DataMissing, match="no longer"):
        found.read(2)
    with pytest.raises(DataMissing, match="empty"):
        found.read(0)


@pytest.mark.parametrize("way", ["parquet file", "zip"])
def test_a_photo_that_is_damaged_inside_its_file_says_so(way, tmp_path):
    path = WAYS[way](tmp_path)
    whole = path.read_bytes()
    found = data.open_dataset(path)
    path.write_bytes(b"\0" * (len(whole) // 2) + whole[len(whole) // 2 :])
    with pytest.raises(DataMissing) as caught:
        data.open_dataset(path).read(0) if way == "zip" else found.read(0)
    assert caught.value.mend


def test_a_file_name_in_a_zip_that_is_damaged_at_the_photo_alone(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Äda/1.png", PICTURES[0])
    path.write_bytes(path.read_bytes().replace("Ä".encode(), b"\xff\xff", 1))
    with pytest.raises(DataMissing, match="damaged"):
        data.open_dataset(path).read(0)


def test_no_name_in_the_repr(tmp_path):
    assert repr(data.open_dataset(write_folder(tmp_path), name="drawn")) == "Dataset(drawn: 6 photos, 3 people)"


def test_lfw_is_split_and_known_by_its_file_names(tmp_path):
    found = data.open_dataset(write_folder(tmp_path))
    assert found.is_lfw
    parts = []
    for part in ("train", "dev", "test"):
        try:
            parts.append(found.identities_of(part))
        except DataMissing:
            parts.append(frozenset())
    assert frozenset.union(*parts) == found.identities
    assert sum(map(len, parts)) == 3


def test_other_data_is_for_tests_only(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", file=[f"{i:06d}.jpg" for i in range(6)])
    found = data.open_dataset(path)
    assert not found.is_lfw
    assert found.identities_of("test") == set(PEOPLE)
    for part in ("train", "dev", "tset"):
        with pytest.raises(DataMissing):
            found.identities_of(part)


@pytest.mark.data
@pytest.mark.skipif("KFAAR_DATA" not in os.environ, reason="KFAAR_DATA is not set")
def test_the_real_files():
    lfw, celeba = data.open_dataset("lfw"), data.open_dataset("celeba")
    assert (len(lfw), len(celeba), len(celeba.identities)) == (13233, 2935, 150)
    assert sum(sample.emotion is not None for sample in lfw.samples) == 12758
    assert lfw.is_lfw and not celeba.is_lfw
    assert Image.open(io.BytesIO(lfw.read(13000))).size == (250, 250)
