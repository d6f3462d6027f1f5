"""A zip of photos, with the stand-in core."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from demo import many_panel
from demo.keys_panel import GivenKey
from demo.tabs.authenticate import Case
from demo.visitor import Visitor
from kfaar_core.errors import BadKey, DataMissing
from kfaar_core.keyring import derived_key
from kfaar_core.keys import UserKey
from kfaar_core.mark import COMPOSITE

KEY = UserKey(bytes(range(32)))
HEX = GivenKey("hex", "256", KEY.hex(), "")


@pytest.fixture
def album(tmp_path, rng) -> Path:
    """Photos of one and of two people, one without a face, one that is no picture, and a file to leave out."""
    path = tmp_path / "album.zip"
    with ZipFile(path, "w") as packed:
        for name, shape in (("trip/one.png", (80, 60)), ("two.jpeg", (80, 160))):
            stream = BytesIO()
            Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(stream, "PNG")
            packed.writestr(name, stream.getvalue())
        plain = BytesIO()
        Image.new("RGB", (60, 80), "gray").save(plain, "PNG")
        packed.writestr("wall.png", plain.getvalue())
        packed.writestr("../broken.jpg", b"no picture")
        packed.writestr("__MACOSX/._one.png", b"hidden")
        packed.writestr("notes.txt", b"left out")
    return path


def run(core, path, given=HEX):
    return [*many_panel.on_many(many_panel.Many(str(path), given, "floor", True), Visitor(), None, core=core)]


def test_every_photo_is_done_marked_and_listed(core, album):
    *steps, last = run(core, album)
    assert any("photo 2 of 4" in step.card for step in steps) and "2 of 4 photos are done" in last.card
    with ZipFile(BytesIO(last.pictures.data)) as answer:
        assert answer.namelist() == ["trip/one.png.jpg", "two.jpeg", "labels.csv"]
        with Image.open(answer.open("two.jpeg")) as picture:
            assert picture.size == (160, 80) and COMPOSITE.encode() in picture.info["xmp"]
        rows = [*csv.reader(StringIO(answer.read("labels.csv").decode()))]
    assert {row[0]: bool(row[1]) for row in rows[1:]} == {
        "trip/one.png": True,
        "two.jpeg": True,
        "wall.png": False,
        "../broken.jpg": False,
    }
    assert KEY.hex() not in repr(last)


def test_each_photo_has_a_key_that_key_and_label_give_again(core, album):
    run(core, album)
    keys = {key for _, key in core.drawn.values()}
    assert keys == {derived_key(KEY, name).data for name in ("trip/one.png", "two.jpeg")}
    assert Case(None, None, HEX, "floor", " two.jpeg ").key() == derived_key(KEY, "two.jpeg")
    assert Case(None, None, HEX, "floor", "").key() == KEY


def test_what_cannot_be_used_is_refused_in_words(core, album, tmp_path):
    with pytest.raises(BadKey, match="16 bits"):
        run(core, album, GivenKey("hex", "256", "abcd", ""))
    (tmp_path / "none.zip").write_bytes(b"no zip")
    with pytest.raises(DataMissing, match="whole zip"):
        run(core, tmp_path / "none.zip")
    with ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(DataMissing, match="without photos"):
        run(core, tmp_path / "empty.zip")
