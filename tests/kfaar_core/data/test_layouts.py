"""Folders and zips laid out as CelebA and FFHQ; data sets of the library `datasets`."""

from __future__ import annotations

import io
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from kfaar_core.data import hub, layouts
from kfaar_core.data.photos import open_dataset
from kfaar_core.errors import DataMissing


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


CELEBA = {
    "celeba/img_align_celeba/000001.jpg": picture(10),
    "celeba/img_align_celeba/000002.jpg": picture(20),
    "celeba/img_align_celeba/000003.jpg": picture(30),
    "celeba/img_align_celeba/000009.jpg": picture(90),  # not in the list
    "celeba/Anno/identity_CelebA.txt": b"000001.jpg 2880\n000002.jpg 17\n000003.jpg 2880\n",
}
FFHQ = {
    "images1024x1024/00000/00000.png": picture(10),
    "images1024x1024/00000/00999.png": picture(20),
    "images1024x1024/01000/01000.png": picture(30),
    "LICENSE.txt": b"",
}


def folder_of(files: dict[str, bytes], folder):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zip_of(files: dict[str, bytes], folder):
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return folder / "data.zip"


@pytest.mark.parametrize("stored", [folder_of, zip_of])
@pytest.mark.parametrize(
    ("files", "people"), [(CELEBA, ["2880", "17", "2880"]), (FFHQ, ["00000", "00999", "01000"])], ids=["celeba", "ffhq"]
)
def test_who_is_on_each_photo(tmp_path, stored, files, people):
    dataset = open_dataset(stored(files, tmp_path))
    assert [sample.identity for sample in dataset.samples] == people
    assert [dataset.read(index) for index in range(3)] == [picture(10), picture(20), picture(30)]


def test_ffhq_thumbnails_in_one_folder_and_folders_that_only_look_like_it():
    people = layouts.people_of(["00000.png", "00001.png"], bytes)
    assert people == {"00000.png": "00000", "00001.png": "00001"}
    same = layouts.people_of(["12345/00001.png", "12345/00002.png"], bytes)  # not a folder of a thousand
    assert set(same.values()) == {"12345"}
    mixed = layouts.people_of(["00000/00000.png", "ada/1.png", "loose.png"], bytes)
    assert mixed == {"00000/00000.png": "00000", "ada/1.png": "ada"}


def test_a_damaged_list_is_named_by_its_line(tmp_path):
    files = CELEBA | {"celeba/Anno/identity_CelebA.txt": b"000001.jpg 2880\n\n000002.jpg\n"}
    with pytest.raises(DataMissing, match="Line 3"):
        open_dataset(folder_of(files, tmp_path))


@pytest.mark.parametrize("labelled", [False, True])
def test_data_of_the_library_datasets(tmp_path, monkeypatch, labelled):
    datasets = pytest.importorskip("datasets")
    kind = datasets.ClassLabel(names=["ada", "bo"]) if labelled else datasets.Value("string")
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    rows = {"image": [{"bytes": picture(shade), "path": None} for shade in (10, 20, 30)]}
    table = datasets.Dataset.from_dict({**rows, "label": ["ada", "bo", "ada"]}, features=features)
    table.save_to_disk(tmp_path / "saved")
    dataset = open_dataset(tmp_path / "saved")
    assert [sample.identity for sample in dataset.samples] == ["ada", "bo", "ada"]
    assert dataset.read(1) == picture(20)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: {"train": table} if split is None else table)
    asked = open_dataset("hub:someone/faces")
    assert asked.name == "faces" and asked.sha256 == dataset.sha256
    assert open_dataset("hub:someone/faces:train").sha256 == dataset.sha256


def test_what_the_hub_cannot_give_is_one_sentence(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def offline(name, split):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataMissing, match="could not be had \\(ConnectionError\\)"):
        open_dataset("hub:someone/faces")
    with pytest.raises(DataMissing, match="needs one of image"):
        hub.HubSource("x", datasets.Dataset.from_dict({"label": ["ada"]}))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataMissing, match="not installed"):
        open_dataset("hub:someone/faces")
