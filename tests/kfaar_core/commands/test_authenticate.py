from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from kfaar_core.commands.authenticate import different_key
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import load
from kfaar_core.records import Photo
from kfaar_core.servers import AuthenticationServer
from kfaar_core.stages.tiny import TinyDetector

KEY = "00112233445566778899aabbccddeeff"
WRONG = "ff" * 16


@pytest.fixture
def virtual(tiny, photo, folder):
    tiny("anonymise", photo, "-o", "v.png", "--key", KEY)
    return folder / "v.png"


@pytest.fixture
def expected(virtual, photo, opened):
    """The verdict straight from the core, on pixels that PIL decoded."""
    pictures = [Photo(pixels=np.asarray(opened(path).convert("RGB"))) for path in (virtual, photo)]

    def ask(key: str | None) -> float:
        server = AuthenticationServer(load("tiny", "cpu"))
        return server.authenticate(*pictures, None if key is None else UserKey.parse(key)).cosine

    return ask


def cosine_of(result) -> float:
    return json.loads(result.stdout)["cosine"]


def test_json_holds_what_was_promised(tiny, virtual, photo, expected):
    answer = json.loads(tiny("authenticate", virtual, photo, "--key", KEY, "--json").stdout)
    assert answer["cosine"] == pytest.approx(expected(KEY), abs=1e-6)
    assert answer["threshold"] == 0.5 and answer["same_person"] is (answer["cosine"] >= 0.5)
    assert answer["key_used"] is True and answer["dimension"] == 8


def test_each_picture_is_searched_for_faces_once(tiny, virtual, photo, monkeypatch):
    searched, faces = [], TinyDetector.faces
    monkeypatch.setattr(TinyDetector, "faces", lambda self, picture: searched.append(1) or faces(self, picture))
    tiny("authenticate", virtual, photo, "--key", KEY)
    assert len(searched) == 2


def test_without_a_key_condition_one_is_asked(tiny, virtual, photo, expected):
    result = tiny("authenticate", virtual, photo, "--json")
    assert cosine_of(result) == pytest.approx(expected(None), abs=1e-6)
    assert json.loads(result.stdout)["key_used"] is False


def test_every_form_of_a_key_is_the_same_key(tiny, virtual, photo, folder):
    (folder / "my.key").write_text(f"{KEY.upper()}\n")
    asked = ("authenticate", virtual, photo, "--json", "--key")
    as_hex = cosine_of(tiny(*asked, KEY))
    assert cosine_of(tiny(*asked, "@my.key")) == as_hex
    assert cosine_of(tiny(*asked, "@-", input=f"{KEY}\nanother line\n")) == as_hex
    assert cosine_of(tiny(*asked, WRONG)) != as_hex


def test_a_passphrase_is_asked_for_and_a_weak_one_is_said(tiny, virtual, photo, monkeypatch, expected):
    for typed, weak in (("walnut orbit Tuesday kelp", False), ("password", True)):
        monkeypatch.setattr("getpass.getpass", lambda prompt, typed=typed: typed)
        result = tiny("authenticate", virtual, photo, "--json", "--key", "pass:")
        assert cosine_of(result) == pytest.approx(expected(UserKey.from_passphrase(typed).hex()), abs=1e-6)
        assert ("first that anybody tries" in result.stderr) is weak and typed not in result.output


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "the key is empty"),
        ("abc", "odd number of hex digits"),
        ("zz", "not a hex digit"),
        ("clé0", "outside ASCII"),
        ("00" * 65, "8 to 512 bits"),
        ("@", "no file name"),
        ("@none.key", "does not exist"),
        ("@.", "is a folder"),
        ("@empty.key", "the key is empty"),
        ("@-", "the key is empty"),
        ("pass:open sesame", "on the command line"),
        ("pass:", "the passphrase is empty"),
    ],
)
def test_keys_that_are_none(refused, virtual, photo, folder, monkeypatch, spec, said):
    (folder / "empty.key").touch()
    monkeypatch.setattr("getpass.getpass", lambda prompt: "")
    sentence = refused("authenticate", virtual, photo, "--preset", "tiny", "--key", spec)
    assert said.lower() in sentence.lower()
    assert len(spec) < 9 or spec not in sentence


def test_pictures_that_are_none(refused, virtual, photo, folder):
    (folder / "text.png").write_text("no picture")
    for pair in (("text.png", photo), (virtual, "text.png")):
        assert "not a picture" in refused("authenticate", *pair, "--preset", "tiny", "--key", KEY)
    Image.new("RGB", (90, 90)).save(folder / "black.png")
    assert "no face" in refused("authenticate", virtual, "black.png", "--preset", "tiny").lower()
    assert "does not exist" in refused("authenticate", "gone.png", photo, "--preset", "tiny")


def test_what_was_done_to_a_picture_is_said(tiny, virtual, folder, pixels):
    frames = [Image.fromarray(pixels), Image.fromarray(pixels[::-1].copy())]
    frames[0].save(folder / "me.gif", save_all=True, append_images=frames[1:])
    assert "the first one was used" in tiny("authenticate", virtual, "me.gif").stderr


# ---- scenarios


def test_scenarios_agree_with_the_core(tiny, virtual, photo, expected):
    answer = json.loads(tiny("scenarios", virtual, photo, "--key", KEY, "--wrong-key", WRONG, "--json").stdout)
    assert [entry["scenario"] for entry in answer] == [1, 2, 3, 4]
    cosines = [entry["cosine"] for entry in answer]
    assert cosines[1:] == pytest.approx([expected(None), expected(WRONG), expected(KEY)], abs=1e-6)
    assert [entry["threshold"] for entry in answer] == [0.9, 0.5, 0.5, 0.5]  # FR's own, then KVFA's
    assert all(entry["same_person"] is (entry["cosine"] >= entry["threshold"]) for entry in answer)


def test_the_first_scenario_regenerates_with_the_right_key(tiny, virtual, photo, folder, opened):
    """By hand: the virtual face through anonymise once more, judged against the photo."""
    tiny("anonymise", virtual, "-o", "again.png", "--key", KEY)
    stages = load("tiny", "cpu")
    pictures = [Photo(pixels=np.asarray(opened(path).convert("RGB"))) for path in (photo, folder / "again.png")]
    answer = json.loads(tiny("scenarios", virtual, photo, "--key", KEY, "--json").stdout)
    assert answer[0]["cosine"] == pytest.approx(stages.judge_cosines(pictures)[0, 1], abs=1e-5)


def test_scenarios_as_a_table(tiny, virtual, photo):
    lines = tiny("scenarios", virtual, photo, "--key", KEY).stdout.splitlines()
    assert len(lines) == 4 and lines[3].startswith("4  KVFA, right key")


def test_the_wrong_key_must_be_another_one(refused, virtual, photo):
    words = ("scenarios", virtual, photo, "--preset", "tiny", "--key", KEY)
    assert "the right one" in refused(*words, "--wrong-key", KEY.upper())
    assert "--key is missing" in refused("scenarios", virtual, photo, "--preset", "tiny")


def test_a_short_wrong_key_is_never_the_right_one():
    for number in range(256):
        key = UserKey(bytes([number]))
        assert different_key(key) != key and different_key(key).bits == 8
