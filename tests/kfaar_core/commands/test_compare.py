from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from kfaar_core.keys import UserKey

KEY = "00112233445566778899aabbccddeeff"


def keys_file(folder, count):
    keys = [UserKey(bytes([number] * 16)).hex() for number in range(1, count + 1)]
    (folder / "keys.txt").write_text("\n\n".join(keys) + "\n")
    return keys


@pytest.mark.parametrize(("count", "size"), [(1, (2, 1)), (3, (2, 2)), (8, (3, 3))])
def test_the_grid_has_a_tile_for_the_original_and_each_key(tiny, photo, folder, opened, source_type, count, size):
    keys = keys_file(folder, count)
    result = tiny("compare", photo, "--keys", "keys.txt", "-o", "grid.png")
    picture = opened(folder / "grid.png")
    assert picture.size == (size[0] * 264 + 8, size[1] * 292 + 8)
    assert source_type(picture) == "compositeWithTrainedAlgorithmicMedia"  # the photo is one of the tiles
    assert result.stdout.count("key ") == count
    assert not any(key in result.output or key.encode() in (folder / "grid.png").read_bytes() for key in keys)


def test_tiles_are_what_anonymise_draws_with_these_keys(tiny, photo, folder, opened):
    keys = keys_file(folder, 3)
    answer = json.loads(tiny("compare", photo, "--keys", "keys.txt", "-o", "grid.png", "--json").stdout)
    grid = np.asarray(opened(folder / "grid.png"))
    places = [(272, 8), (8, 300), (272, 300)]
    for key, (x, y), face in zip(keys, places, answer["faces"], strict=True):
        alone = json.loads(tiny("anonymise", photo, "-o", f"{x}-{y}.png", "--key", key, "--json").stdout)
        tile = opened(folder / f"{x}-{y}.png").resize((256, 256), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(grid[y : y + 256, x : x + 256], np.asarray(tile))
        assert face["judge_cosine"] == alone["judge_cosine"]
    assert [face["name"] for face in answer["faces"]] == ["key 1", "key 2", "key 3"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_keys_is_read_whatever_editor_wrote_it(tiny, photo, folder, encoding):
    (folder / "keys.txt").write_bytes(f"{KEY}\r\n{KEY}\r\n".encode(encoding))
    assert tiny("compare", photo, "--keys", "keys.txt", "-o", "grid.png").stdout.count("key ") == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds 0 keys"),
        ("\n \n", "holds 0 keys"),
        (f"{KEY}\n" * 9, "holds 9 keys"),
        (f"{KEY}\n{KEY[1:]}\n", "line 2 of the file of keys: the key has an odd number"),
        ("schlüssel\n", "outside ASCII"),
    ],
)
def test_files_of_keys_that_cannot_be_used(refused, photo, folder, files, content, said):
    (folder / "keys.txt").write_text(content)
    before = files()
    sentence = refused("compare", photo, "--keys", "keys.txt", "-o", "grid.png", "--preset", "tiny")
    assert said.lower() in sentence.lower() and KEY[1:] not in sentence
    assert files() == before


def test_outputs_are_checked_first(refused, photo, folder):
    (folder / "grid.png").write_text("mine")
    words = ("compare", photo, "--preset", "tiny", "--keys", "none.txt", "-o")
    assert "--force" in refused(*words, "grid.png")
    assert ".png" in refused(*words, "grid.gif")
    assert "does not exist" in refused(*words, "no/grid.png")
    assert "file of keys does not exist" in refused(*words, "new.png")
