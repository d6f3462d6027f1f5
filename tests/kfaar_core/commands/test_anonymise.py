from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from kfaar_core.calibration import Calibration
from kfaar_core.keyring import KeyRing
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import STEPS, AnonymiseRequest, load
from kfaar_core.records import Photo
from kfaar_core.servers import AnonymisationServer
from kfaar_core.stages.tiny import TinyDetector

KEY = "00112233445566778899aabbccddeeff"
STAGES = {*STEPS} - {"refine"}  # which the method of the preset tiny does not have


@pytest.fixture
def two_faces(monkeypatch):
    """The tiny detector finds the same face twice, the second one smaller and further right."""
    one = TinyDetector.faces

    def both(self, photo):
        found = one(self, photo)
        return [*found, *(replace(face, box=face.box * 0.9, points=face.points * 0.9 + (8, 0)) for face in found)]

    monkeypatch.setattr(TinyDetector, "faces", both)


@pytest.fixture
def never_anonymous(monkeypatch):
    """The judge calls every virtual face the original person."""
    strict = Calibration(judge_fmr_1=-1.1, judge_fmr_01=-1.1, kvfa_dev=0.5)
    monkeypatch.setattr(Calibration, "tiny", classmethod(lambda cls: strict))


@pytest.fixture
def made_key(monkeypatch):
    """The key that the program makes, when it makes one."""
    key = UserKey(bytes(range(32)))
    monkeypatch.setattr(UserKey, "generate", classmethod(lambda cls, bits=256: key))
    return key


def lines(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# ---- one photo


def test_the_picture_is_the_one_of_the_core_and_says_what_it_is(tiny, photo, folder, opened, source_type):
    tiny("anonymise", photo, "-o", "v.png", "--key", KEY)
    picture = opened(folder / "v.png")
    assert picture.text.items() >= {"Software": "kfaar", "Comment": "synthetic face"}.items()
    assert source_type(picture) == "trainedAlgorithmicMedia"
    pixels = np.asarray(opened(photo).convert("RGB"))
    expected = AnonymisationServer(load("tiny", "cpu")).anonymise(
        AnonymiseRequest(photo=Photo(pixels=pixels), key=UserKey.parse(KEY))
    )
    np.testing.assert_array_equal(np.asarray(picture), expected.portrait)
    assert picture.size == (32, 32)


def test_json_holds_what_was_promised(tiny, photo):
    (answer,) = lines(tiny("anonymise", photo, "-o", "v.png", "--key", KEY, "--json"))
    assert answer["input"] == str(photo) and answer["output"] == "v.png" and answer["key_file"] is None
    for name in ("pose_original", "pose_before", "pose_after"):
        assert set(answer[name]) == {"yaw", "pitch", "roll"}
    assert answer["anonymous"] is (answer["judge_cosine"] < answer["judge_threshold"])
    assert set(answer["seconds"]) == STAGES and all(seconds >= 0 for seconds in answer["seconds"].values())


def test_without_a_key_one_is_made_and_kept_beside_the_output(tiny, photo, folder, files):
    result = tiny("anonymise", photo, "-o", "v.png")
    assert files() == {"me.jpg", "v.png", "v.png.key"}
    assert stat.S_IMODE((folder / "v.png.key").stat().st_mode) == 0o600
    key = UserKey.load(folder / "v.png.key")
    assert key.bits == 256 and key.hex() not in result.output and "v.png.key" in result.stdout
    tiny("anonymise", photo, "-o", "again.png", "--key", "@v.png.key")
    assert (folder / "again.png").read_bytes() == (folder / "v.png").read_bytes()


def test_each_run_makes_another_key(tiny, photo, folder):
    for name in ("a.png", "b.png"):
        tiny("anonymise", photo, "-o", name)
    assert UserKey.load(folder / "a.png.key") != UserKey.load(folder / "b.png.key")


@pytest.mark.parametrize(("options", "size"), [((), (32, 32)), (("--size", 64), (64, 64))])
def test_sizes(tiny, photo, folder, opened, options, size):
    tiny("anonymise", photo, "-o", "v.png", *options)
    assert opened(folder / "v.png").size == size


def test_pasted_back_the_photo_keeps_its_size_and_its_corners(tiny, photo, folder, opened, source_type):
    tiny("anonymise", photo, "-o", "v.png", "--mode", "paste")
    before, after = np.asarray(opened(photo)), np.asarray(opened(folder / "v.png"))
    assert after.shape == before.shape and (after != before).any()
    np.testing.assert_array_equal(after[:5], before[:5])
    assert source_type(opened(folder / "v.png")) == "compositeWithTrainedAlgorithmicMedia"


# ---- a face that comes too close (VI-C-2)


def test_a_made_key_is_passed_over_for_its_next_one_and_the_one_in_force_is_kept(
    tiny, photo, folder, never_anonymous, made_key
):
    result = tiny("anonymise", photo, "-o", "v.png", "--json")
    (answer,) = lines(result)
    assert answer["rekeyed"] == 3 and not answer["anonymous"]
    in_force = UserKey.load(folder / "v.png.key")
    assert in_force == made_key.next().next().next()
    assert "key number 4 is in force" in result.stderr and "next key" in result.stderr
    assert not any(key.hex() in result.output for key in (made_key, in_force))


def test_a_given_key_stays_and_the_next_one_is_offered(tiny, photo, folder, never_anonymous, files):
    result = tiny("anonymise", photo, "-o", "v.png", "--key", KEY, "--json")
    assert lines(result)[0]["rekeyed"] == 0
    assert "take the next key, such as one that keygen makes" in result.stderr
    assert "NOT anonymous" in tiny("anonymise", photo, "-o", "w.png", "--key", KEY).stdout
    assert files() == {"me.jpg", "v.png", "w.png"}


# ---- several faces


def test_all_faces_as_portraits_get_a_file_and_a_key_each(tiny, photo, folder, files, two_faces):
    answers = lines(tiny("anonymise", photo, "-o", "v.png", "--face", "all", "--json"))
    assert [(answer["face"], answer["output"]) for answer in answers] == [(0, "v-1.png"), (1, "v-2.png")]
    assert files() == {"me.jpg", "v-1.png", "v-2.png", "v.png.key"}
    ring = KeyRing.load(folder / "v.png.key")
    keys = [ring.key(*ring.labels_of(answer["output"])) for answer in answers]
    assert len({*keys, ring.master}) == 3
    for number, key in enumerate(keys):
        key.save(folder / f"{number}.key")
        tiny("anonymise", photo, "-o", f"{number}.png", "--face", number, "--key", f"@{number}.key")
        assert (folder / f"{number}.png").read_bytes() == (folder / f"v-{number + 1}.png").read_bytes()


def test_all_faces_pasted_back_are_one_picture_with_a_key_each(
    tiny, photo, folder, files, two_faces, never_anonymous, made_key
):
    answers = lines(tiny("anonymise", photo, "-o", "v.png", "--face", "all", "--mode", "paste", "--json"))
    assert {answer["output"] for answer in answers} == {"v.png"} and len(answers) == 2
    assert files() == {"me.jpg", "v.png", "v.png.key"}
    ring = KeyRing.load(folder / "v.png.key")
    assert [face.label for face in ring.faces] == ["me.jpg face 1", "me.jpg face 2"]
    assert len({face.box for face in ring.faces}) == 2 and ring.master == made_key
    assert {answer["rekeyed"] for answer in answers} == {3} and all(person.nonce for person in ring.people)


def test_one_key_for_all_faces_is_said_to_cost(tiny, photo, folder, files, two_faces, never_anonymous, made_key):
    words = ("anonymise", photo, "-o", "v.png", "--face", "all", "--mode", "paste", "--one-key")
    result = tiny(*words)
    assert "few dozen of the photos" in result.stderr and files() == {"me.jpg", "v.png", "v.png.key"}
    assert UserKey.load(folder / "v.png.key") == made_key.next().next().next()  # they take the next key together


def test_one_face_of_all_keeps_the_plain_name(tiny, photo, files):
    (answer,) = lines(tiny("anonymise", photo, "-o", "v.png", "--face", "all", "--key", KEY, "--json"))
    assert files() == {"me.jpg", "v.png"} and answer["person"] == "me.jpg face 1"


def test_faces_that_stay_in_the_picture_are_said_and_are_no_success(tiny, kfaar, photo, files, two_faces):
    result = kfaar("anonymise", photo, "-o", "a.png", "--mode", "paste", "--preset", "tiny")
    assert "1 other face is still" in result.stderr and result.exit_code == 1
    assert "The pictures are written, and 1 face is still in them" in result.stderr
    assert files() == {"me.jpg", "a.png", "a.png.key"}
    assert "still" not in tiny("anonymise", photo, "-o", "b.png", "--mode", "paste", "--face", "all").stderr
    assert "still" not in tiny("anonymise", photo, "-o", "c.png").stderr


def test_a_face_by_its_number(tiny, refused, photo, folder, two_faces):
    for number in (0, 1):
        tiny("anonymise", photo, "-o", f"{number}.png", "--face", number, "--key", KEY)
    assert (folder / "0.png").read_bytes() != (folder / "1.png").read_bytes()
    tiny("anonymise", photo, "-o", "largest.png", "--key", KEY)
    assert (folder / "0.png").read_bytes() == (folder / "largest.png").read_bytes()
    tiny("anonymise", photo, "-o", "central.png", "--face", "central", "--key", KEY)  # the second is further right
    assert (folder / "0.png").read_bytes() == (folder / "central.png").read_bytes()
    words = ("anonymise", photo, "-o", "x.png", "--preset", "tiny", "--face")
    assert "the picture has 2" in refused(*words, 2)
    for wrong in ("-1", "both", "1.5"):
        assert "number from 0" in refused(*words, wrong)


def test_the_face_in_the_middle_when_a_larger_one_stands_beside_it(tiny, photo, folder, monkeypatch):
    tiny("anonymise", photo, "-o", "alone.png", "--key", KEY)
    one = TinyDetector.faces

    def accompanied(self, photo):
        found = one(self, photo)
        return [replace(face, box=face.box * 1.1 + 5, points=face.points * 1.1 + 5) for face in found] + found

    monkeypatch.setattr(TinyDetector, "faces", accompanied)
    for name in ("largest", "central"):
        tiny("anonymise", photo, "-o", f"{name}.png", "--face", name, "--key", KEY)
    assert (folder / "central.png").read_bytes() == (folder / "alone.png").read_bytes()
    assert (folder / "largest.png").read_bytes() != (folder / "alone.png").read_bytes()


def test_nothing_is_written_when_one_of_several_outputs_exists(refused, photo, folder, files, two_faces):
    (folder / "v-2.png").write_text("mine")
    before = files()
    assert "'v-2.png' exists" in refused("anonymise", photo, "-o", "v.png", "--face", "all", "--preset", "tiny")
    assert files() == before and (folder / "v-2.png").read_text() == "mine"


# ---- several photos


@pytest.fixture
def album(folder, pixels):
    """me.jpg, me.png, deep/you.png, a note and a hidden picture."""
    album = folder / "album"
    (album / "deep").mkdir(parents=True)
    for turn, name in enumerate(("me.jpg", "me.png", "deep/you.png", ".hidden.png")):
        Image.fromarray(np.roll(pixels, 20 * turn, axis=1)).save(album / name)
    (album / "note.txt").write_text("no picture")
    return album


def test_a_folder_becomes_a_folder(tiny, album, folder):
    answers = lines(tiny("anonymise", album, "-o", "out", "--key", KEY, "--json"))
    written = {path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*.*")}
    assert written == {"me.jpg.png", "me.png.png", "deep/you.png"}
    assert len(answers) == 3 and len({answer["input"] for answer in answers}) == 3
    assert {answer["person"] for answer in answers} == {"me.jpg", "me.png", "deep"}  # a folder is a person
    assert {answer["key_file"] for answer in answers} == {None}  # a key that was given is written nowhere


def test_a_second_run_does_not_take_results_for_photos(tiny, album):
    for _ in range(2):
        answers = lines(tiny("anonymise", album, "-o", album / "out", "--key", KEY, "--json", "--force"))
        assert len(answers) == 3


def test_each_photo_gets_its_own_key(tiny, photo, album, folder):
    answers = lines(tiny("anonymise", photo, album / "deep" / "you.png", "-o", "out", "--json"))
    assert {answer["key_file"] for answer in answers} == {"out/kfaar.keys.json"}
    assert [answer["person"] for answer in answers] == ["me.jpg", "you.png"]
    ring = KeyRing.load(folder / "out/kfaar.keys.json")
    assert len({ring.master, ring.key("me.jpg"), ring.key("you.png")}) == 3


def test_a_failed_photo_is_reported_and_the_rest_go_on(kfaar, album, folder):
    (album / "aaa.jpg").write_bytes(b"")
    Image.new("RGB", (60, 60)).save(album / "black.png")
    result = kfaar("anonymise", album, "gone.jpg", "-o", "out", "--preset", "tiny", "--key", KEY, "--json")
    assert result.exit_code == 1 and len(lines(result)) == 3
    said = result.stderr.splitlines()
    assert said[3:-2] == ["Note: 2 other files were left out, no pictures by name or hidden."]
    assert (
        len(said) == 6
        and "one folder counts as one person" in said[4].lower()
        and said[-1].startswith("3 of 6 photos failed.")
    )
    assert "aaa.jpg" in said[0] and "empty" in said[0]
    assert "black.png" in said[1] and "no face" in said[1].lower()
    assert "gone.jpg" in said[2] and "does not exist" in said[2]
    assert not list((folder / "out").rglob("*.part"))


def test_every_ending_of_pictures_is_tried_and_none_goes_unnoticed(kfaar, folder, pixels, photo):
    album = folder / "album"
    album.mkdir()
    for name, kind in (("a.jfif", "JPEG"), ("b.JPE", "JPEG"), ("c.dib", "DIB"), ("d.pnm", "PPM"), ("e.PBM", "PPM")):
        Image.fromarray(pixels).save(album / name, kind)
    (album / "f.HEIC").write_bytes(b"no picture")
    (album / "g.cr2").write_bytes(b"a raw photo")
    for other in ("note.txt", ".DS_Store"):
        (album / other).touch()
    result = kfaar("anonymise", album, "-o", "out", "--preset", "tiny", "--key", KEY, "--json")
    assert result.exit_code == 1
    assert [answer["output"] for answer in lines(result)] == [f"out/{name}.png" for name in "abcde"]
    said = result.stderr.splitlines()
    assert "f.HEIC" in said[0] and "g.cr2" in said[1] and "2 other files were left out" in said[2]
    assert "2 of 7 photos failed" in said[3]


def test_a_run_that_was_stopped_goes_on(kfaar, tiny, album, folder, monkeypatch):
    real, seen = TinyDetector.faces, []

    def stopped(self, photo):
        seen.append(photo)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(self, photo)

    words = ("anonymise", album, "-o", "out")
    with monkeypatch.context() as patched:
        patched.setattr(TinyDetector, "faces", stopped)
        assert kfaar(*words, "--preset", "tiny").exit_code == 130
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*.png")}
    ring = KeyRing.load(folder / "out" / "kfaar.keys.json")
    assert 1 <= len(before) == len(ring.faces) < 3
    result = tiny(*words)
    assert f"{len(before)} of 3 photos were done before" in result.stderr and "--force" in result.stderr
    after = {path: path.read_bytes() for path in (folder / "out").rglob("*.png")}
    whole = KeyRing.load(folder / "out" / "kfaar.keys.json")
    assert len(after) == len(whole.faces) == 3 and before.items() <= after.items() and whole.master == ring.master
    assert tiny(*words).stdout == ""
    tiny(*words, "--force")
    assert after == {path: path.read_bytes() for path in (folder / "out").rglob("*.png")}  # the same keys again
    assert {path.name for path in (folder / "out").iterdir()} == {"me.jpg.png", "me.png.png", "deep", "kfaar.keys.json"}


def test_what_another_program_left_is_not_taken_for_a_result(refused, album, folder, pixels):
    (folder / "out").mkdir()
    Image.fromarray(pixels).save(folder / "out" / "me.png.png")
    said = refused("anonymise", album, "-o", "out", "--preset", "tiny", "--key", KEY)
    assert "'me.png.png' exists already" in said


@pytest.mark.parametrize("out", [".", "album"])
def test_results_may_lie_above_the_photos_or_among_them(tiny, album, folder, out):
    (album / "me.png").unlink()
    (album / "deep" / "you.png").rename(album / "deep" / "you.bmp")
    for _ in range(2):
        result = tiny("anonymise", album, "-o", out)
    assert "2 of 2 photos were done before" in result.stderr and "2 other files" in result.stderr
    assert {path.name for path in (folder / out).rglob("*.key*")} == {"kfaar.keys.json"}


def test_a_wrong_setting_is_said_once(refused, album, files):
    before = files()
    words = ("anonymise", album, "-o", "out", "--key", KEY)
    assert "32 or 64 px" in refused(*words, "--preset", "tiny", "--size", 33)
    assert "choose one of" in refused(*words, "--preset", "small").replace("Choose", "choose")
    assert files() == before


def test_folders_that_cannot_be_used(refused, photo, album, folder):
    (folder / "empty").mkdir()
    (folder / "file").touch()
    words = ("--preset", "tiny", "-o")
    assert "holds no pictures" in refused("anonymise", "empty", *words, "out")
    for wrong in ("v.png", "file", "v.jpg"):
        assert "folder for several photos" in refused("anonymise", photo, album, *words, wrong)
    assert "both become 'me.jpg.png'" in refused("anonymise", photo, album / "me.jpg", *words, "out")


# ---- outputs


@pytest.mark.parametrize("name", ["v.jpg", "v.JPEG", "v.webp"])
def test_the_ending_chooses_the_format(tiny, photo, folder, opened, source_type, name):
    tiny("anonymise", photo, "-o", name, "--key", KEY)
    tiny("anonymise", photo, "-o", "v.png", "--key", KEY)
    picture, pixels = opened(folder / name), np.asarray(opened(folder / "v.png")).astype(int)
    assert picture.format == {"v.jpg": "JPEG", "v.JPEG": "JPEG", "v.webp": "WEBP"}[name]
    assert source_type(picture) == "trainedAlgorithmicMedia" and "exif" not in picture.info
    loss = np.abs(np.asarray(picture.convert("RGB")).astype(int) - pixels)
    assert (loss.max() == 0) if name == "v.webp" else (0 < loss.mean() < 3)


@pytest.mark.parametrize("name", ["v.gif", "v", "v.png.heic"])
def test_other_endings_are_refused(refused, photo, files, name):
    before = files()
    assert "does not end in .png" in refused("anonymise", photo, "-o", name, "--preset", "tiny")
    assert files() == before


@pytest.mark.parametrize("name", ["v.png", "v.png.key"])
def test_an_existing_output_asks_for_force_before_any_work(tiny, refused, photo, folder, files, monkeypatch, name):
    (folder / name).write_text("mine")
    before = files()
    with monkeypatch.context() as patched:
        patched.setattr("kfaar_core.commands.anonymise.load_stages", None)  # would fail when called
        assert "--force" in refused("anonymise", photo, "-o", "v.png", "--preset", "tiny")
    assert files() == before and (folder / name).read_text() == "mine"
    tiny("anonymise", photo, "-o", "v.png", "--force")
    assert UserKey.load(folder / "v.png.key").bits == 256


def test_the_photo_itself_is_never_the_output(refused, folder, pixels):
    Image.fromarray(pixels).save(folder / "me.png")
    before = (folder / "me.png").read_bytes()
    assert "photo itself" in refused("anonymise", "me.png", "-o", "./me.png", "--force", "--preset", "tiny")
    assert (folder / "me.png").read_bytes() == before


def test_outputs_that_cannot_be_written(refused, photo, folder, files):
    (folder / "d.png").mkdir()
    (folder / "f").touch()
    before = files()
    for name, said in (("no/v.png", "does not exist"), ("f/v.png", "does not exist"), ("d.png", "exists")):
        assert said in refused("anonymise", photo, "-o", name, "--preset", "tiny")
    assert "is a folder" in refused("anonymise", photo, "-o", "d.png", "--force", "--preset", "tiny")
    assert files() == before


def test_no_key_is_left_when_its_picture_cannot_be_written(refused, photo, files, monkeypatch):
    def full(*words, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = files()
    assert "No space left" in refused("anonymise", photo, "-o", "v.png", "--preset", "tiny")
    assert files() == before


def test_a_run_that_loses_a_race_removes_nothing_of_the_winner(refused, photo, folder, files, monkeypatch):
    """The other run puts its picture there between our key and our picture."""
    link = os.link

    def overtaken(source, target, **options):
        link(source, target, **options)
        (folder / "v.png").write_text("theirs")

    monkeypatch.setattr(os, "link", overtaken)
    assert "exists already" in refused("anonymise", photo, "-o", "v.png", "--preset", "tiny")
    assert files() == {"me.jpg", "v.png"} and (folder / "v.png").read_text() == "theirs"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_between_key_and_picture_leaves_both(kfaar, photo, files, monkeypatch, stop):
    link = os.link

    def stopped(source, target, **options):
        link(source, target, **options)
        signal.raise_signal(stop)

    monkeypatch.setattr(os, "link", stopped)
    result = kfaar("anonymise", photo, "-o", "v.png", "--preset", "tiny")
    assert result.exit_code == 130 and result.stderr == "Stopped before the end.\n"
    assert files() == {"me.jpg", "v.png", "v.png.key"}


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_at_work_leaves_nothing(kfaar, photo, files, monkeypatch, stop):
    monkeypatch.setattr(TinyDetector, "faces", lambda self, photo: signal.raise_signal(stop))
    assert kfaar("anonymise", photo, "-o", "v.png", "--preset", "tiny").exit_code == 130
    assert files() == {"me.jpg"}


# ---- a key file that is there already


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_an_old_key_never_stands_beside_a_picture_of_another_one(tiny, refused, photo, folder, files, force):
    tiny("anonymise", photo, "-o", "v.png")
    old = (folder / "v.png.key").read_bytes()
    (folder / "v.png").unlink()
    words = ("anonymise", photo, "-o", "v.png", *force, "--key")
    assert "'v.png.key' holds another key" in refused(*words, KEY, "--preset", "tiny")
    assert files() == {"me.jpg", "v.png.key"} and (folder / "v.png.key").read_bytes() == old
    tiny(*words, "@v.png.key")
    assert files() == {"me.jpg", "v.png", "v.png.key"} and (folder / "v.png.key").read_bytes() == old


@pytest.mark.parametrize("length", [254, 256])
def test_a_name_that_is_too_long_with_its_ending_is_refused_before_the_work(refused, photo, files, monkeypatch, length):
    monkeypatch.setattr("kfaar_core.commands.anonymise.load_stages", None)  # would fail when called
    name = f"{'v' * (length - 4)}.png"
    for words in ((photo, "-o", name), (photo, "-o", name, "--key", KEY, "--face", "all")):
        assert "name too long" in refused("anonymise", *words, "--preset", "tiny").lower()
    assert files() == {"me.jpg"}


# ---- pictures


def saved(pixels: np.ndarray, kind: str) -> tuple[bytes, str]:
    """The picture in a form that needs care, and its file name."""
    picture, stream = Image.fromarray(pixels), io.BytesIO()
    settings: dict = {"format": "PNG"}
    if kind == "animation":
        settings = {"format": "GIF", "save_all": True, "append_images": [Image.fromarray(pixels[::-1].copy())]}
    elif kind == "CMYK":
        picture, settings = picture.convert("CMYK"), {"format": "JPEG"}
    elif kind == "palette":
        picture = picture.convert("P")
    elif kind == "alpha":
        picture.putalpha(128)
    elif kind == "grey":
        picture = picture.convert("L")
    elif kind == "16 bits":
        picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture, settings = picture.rotate(90, expand=True), {"format": "JPEG", "quality": 95, "exif": exif}
    elif kind == "profile":
        settings = {"format": "PNG", "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
    picture.save(stream, **settings)
    return stream.getvalue(), f"photo.{settings['format'].lower()}"


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("animation", "the first one was used"),
        ("CMYK", "converted from CMYK"),
        ("palette", ""),
        ("alpha", "laid on white"),
        ("grey", ""),
        ("16 bits", ""),
        ("turned", ""),
        ("profile", ""),
    ],
)
def test_pictures_that_need_care(tiny, folder, pixels, opened, kind, note):
    content, name = saved(pixels, kind)
    (folder / name).write_bytes(content)
    result = tiny("anonymise", name, "-o", "v.png", "--key", KEY, "--mode", "paste")
    assert note in result.stderr and bool(result.stderr) is bool(note)
    assert opened(folder / "v.png").size == (100, 120)  # upright
    assert set(opened(folder / "v.png").text) == {"Software", "Comment", "XML:com.adobe.xmp"}


def huge_png() -> bytes:
    """51 megapixels in its header; that there are no pixels is never noticed."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 10_000, 5_100, 8, 2, 0, 0, 0), b"IDAT")
    packed = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"#!/bin/sh\necho no picture\n", "is not a picture"),
        ("cut", "damaged or cut short"),
        (huge_png(), "over 50 megapixels"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "damaged"),
        (None, "does not exist"),
    ],
    ids=["empty", "text", "cut", "huge", "HEIC", "gone"],
)
def test_files_that_are_no_photo(refused, photo, folder, files, content, said):
    if content is not None:
        (folder / "x.jpg").write_bytes(photo.read_bytes()[:700] if content == "cut" else content)
    before = files()
    assert said in refused("anonymise", "x.jpg", "-o", "v.png", "--preset", "tiny")
    assert files() == before


def test_faces_that_cannot_be_used(refused, photo, folder, files, monkeypatch):
    Image.new("RGB", (80, 80), "grey").save(folder / "wall.png")
    words = ("-o", "v.png", "--preset", "tiny", "--key", KEY)
    before = files()
    assert "no face was found in the 80 x 80 px picture" in refused("anonymise", "wall.png", *words).lower()
    real = TinyDetector.faces

    def moved(box, points):
        def faces(self, photo):
            return [replace(f, box=f.box * box[0] + box[1], points=f.points * points) for f in real(self, photo)]

        monkeypatch.setattr(TinyDetector, "faces", faces)

    for which in ("largest", "all"):
        moved((0.1, 10), 0.1)
        assert re.search(r"only 6 px wide\. .* 12 px", refused("anonymise", photo, *words, "--face", which))
        moved((1, -45), 1)
        assert "border" in refused("anonymise", photo, *words, "--face", which)
    assert files() == before


# ---- what remains


def test_no_path_and_no_key_in_the_picture(tiny, photo, folder):
    tiny("anonymise", photo, "-o", "v.png", "--key", KEY)
    content = (folder / "v.png").read_bytes()
    chunks, place = [], 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4])
        chunks.append(content[place + 4 : place + 8])
        place += 12 + size
    assert set(chunks) == {b"IHDR", b"tEXt", b"iTXt", b"IDAT", b"IEND"}
    assert chunks.count(b"tEXt") == 2 and chunks.count(b"iTXt") == 1
