"""Whose key each picture of a run gets, where it is kept, and how it is found again."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from kfaar_core import methods
from kfaar_core.calibration import Calibration
from kfaar_core.enrolment import opened
from kfaar_core.image import open_photo
from kfaar_core.keyring import KeyRing, derived_key
from kfaar_core.keys import UserKey
from kfaar_core.pipeline import AnonymiseRequest, load
from kfaar_core.presets import TINY
from kfaar_core.servers import AnonymisationServer
from kfaar_core.stages.tiny import TinyDetector

KEY = "00112233445566778899aabbccddeeff"
HOME = "out/kfaar.keys.json"
PHRASE = "walnut orbit Tuesday kelp"


@pytest.fixture
def family(folder, pixels):
    """Two photos of alice, one of bob, in folders of their own."""
    for turn, name in enumerate(("alice/1.png", "alice/2.png", "bob/1.png")):
        (folder / "family" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(pixels, 20 * turn, axis=1)).save(folder / "family" / name)
    return folder / "family"


@pytest.fixture
def album(folder, pixels):
    """Two photos side by side."""
    (folder / "album").mkdir()
    for turn, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.roll(pixels, 20 * turn, axis=1)).save(folder / "album" / name)
    return folder / "album"


@pytest.fixture
def never_anonymous(monkeypatch):
    """The judge calls every virtual face the original person."""
    strict = Calibration(judge_fmr_1=-1.1, judge_fmr_01=-1.1, kvfa_dev=0.5, enrolled=-1.0)
    monkeypatch.setattr(Calibration, "tiny", classmethod(lambda cls: strict))


@pytest.fixture
def phrase(monkeypatch):
    """What is typed when a passphrase is asked for; answers how often."""
    asked = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or PHRASE)
    return asked


@pytest.fixture
def drawn_with(tiny, folder):
    """Whether a picture is what a single run draws from the photo with this key."""

    def same(photo, picture, key: UserKey) -> bool:
        tiny("anonymise", photo, "-o", "check.png", "--force", "--key", key.hex())
        return (folder / "check.png").read_bytes() == (folder / picture).read_bytes()

    return same


def lines(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# ---- who gets which key


def test_a_folder_is_a_person_with_a_key(tiny, family, folder, drawn_with):
    result = tiny("anonymise", family, "-o", "out", "--stateless", "--json")
    assert [answer["person"] for answer in lines(result)] == ["alice", "alice", "bob"]
    assert "2 folders count as one person each" in result.stderr
    ring = KeyRing.load(folder / HOME)
    assert stat.S_IMODE((folder / HOME).stat().st_mode) == 0o600 and ring.master.bits == 256
    assert ring.master.hex() not in result.output
    for name in ("alice/1.png", "alice/2.png", "bob/1.png"):
        person = name.split("/")[0]
        assert ring.labels_of(name) == (person,)
        assert drawn_with(family / name, f"out/{name}", derived_key(ring.master, person))
    assert not list((folder / "out").rglob("*.key"))


def test_a_master_that_was_given_draws_the_same_people_and_is_written_nowhere(tiny, family, folder, drawn_with):
    tiny("anonymise", family, "-o", "out", "--key", KEY)
    assert drawn_with(family / "bob/1.png", "out/bob/1.png", derived_key(UserKey.parse(KEY), "bob"))
    assert not [path for path in (folder / "out").rglob("*") if path.is_file() and path.suffix != ".png"]


def test_one_person_in_all_photos(tiny, album, folder, drawn_with):
    answers = lines(tiny("anonymise", album, "-o", "out", "--person", "carol", "--stateless", "--json"))
    ring = KeyRing.load(folder / HOME)
    assert {answer["person"] for answer in answers} == {"carol"}
    assert all(drawn_with(album / name, f"out/{name}", ring.key("carol")) for name in ("a.png", "b.png"))


def test_one_person_of_a_single_photo(tiny, photo, files, drawn_with):
    tiny("anonymise", photo, "-o", "v.png", "--key", KEY, "--person", "carol")
    assert files() == {"me.jpg", "v.png"}
    assert drawn_with(photo, "v.png", derived_key(UserKey.parse(KEY), "carol"))


def test_the_owner_without_a_label_keeps_the_master_itself(tiny, photo, folder, drawn_with):
    KeyRing(UserKey.parse(KEY)).save(folder / "mine.json")
    before = (folder / "mine.json").read_bytes()
    tiny("anonymise", photo, "-o", "v.png", "--key", "@mine.json")
    assert drawn_with(photo, "v.png", UserKey.parse(KEY)) and (folder / "mine.json").read_bytes() == before


def test_one_key_is_what_it_was_and_says_what_it_costs(tiny, album, folder, drawn_with):
    for number, given in enumerate((("--key", KEY), ())):
        result = tiny("anonymise", album, "-o", f"out{number}", "--one-key", *given)
        assert "one key for all faces of this run" in result.stderr.lower()
    assert {path.name for path in (folder / "out0").iterdir()} == {"a.png", "b.png"}
    ring = KeyRing.load(folder / "out1/kfaar.keys.json")
    for number, key in enumerate((UserKey.parse(KEY), ring.master)):
        assert all(drawn_with(album / name, f"out{number}/{name}", key) for name in ("a.png", "b.png"))
    assert {face.label for face in ring.faces} == {None} and ring.people == ()


def test_fresh_gives_each_picture_a_nonce_that_the_file_keeps(tiny, family, folder, drawn_with):
    tiny("anonymise", family, "-o", "out", "--fresh")
    ring = KeyRing.load(folder / HOME)
    nonces = [person.nonce for person in ring.people]
    assert len(set(nonces)) == 3 and all(len(nonce) == 16 for nonce in nonces)
    for name in ("alice/1.png", "alice/2.png"):
        (label,) = ring.labels_of(name)
        assert drawn_with(family / name, f"out/{name}", ring.key(label))
        assert ring.key(label) != derived_key(ring.master, label)
    first = (folder / "out/alice/1.png").read_bytes()
    tiny("anonymise", family, "-o", "out", "--fresh", "--force")
    assert (folder / "out/alice/1.png").read_bytes() != first
    assert len(KeyRing.load(folder / HOME).people) == 3


def test_a_single_photo_can_be_fresh(tiny, refused, photo, folder, drawn_with):
    tiny("anonymise", photo, "-o", "v.png", "--fresh")
    ring = KeyRing.load(folder / "v.png.key")
    assert drawn_with(photo, "v.png", ring.key("v.png"))
    assert "needs a key file" in refused("anonymise", photo, "-o", "w.png", "--fresh", "--key", KEY, "--preset", "tiny")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--person", "x", "--fresh"), "exclude each other"),
        (("--person", "x", "--one-key"), "exclude each other"),
        (("--fresh", "--one-key"), "exclude each other"),
        (("--person", "x", "--face", "all"), "leave one of them out"),
        (("--person", ""), "label is empty"),
        (("--key", "aa"), "key of 8 bits"),
        (("--key", "@gone.json"), "does not exist"),
    ],
)
def test_what_cannot_be_wished_is_refused_before_the_work(refused, album, files, monkeypatch, words, said):
    monkeypatch.setattr("kfaar_core.commands.anonymise.load_stages", None)  # would fail when called
    before = files()
    assert said in refused("anonymise", album, "-o", "out", "--preset", "tiny", *words).replace("Leave", "leave")
    assert files() == before


def test_a_key_of_8_bits_is_used_itself(tiny, photo, album, drawn_with):
    tiny("anonymise", photo, "-o", "v.png", "--key", "aa")
    tiny("anonymise", album, "-o", "out", "--key", "aa", "--one-key")
    assert drawn_with(album / "a.png", "out/a.png", UserKey(b"\xaa"))


# ---- enrolled people


@pytest.fixture
def strict(monkeypatch):
    """No photo passes for another one's person."""
    calibration = replace(Calibration.tiny(), enrolled=1.1)
    monkeypatch.setattr(Calibration, "tiny", classmethod(lambda cls: calibration))


def test_later_photos_of_a_person_show_the_one_of_the_first(tiny, family, folder, drawn_with):
    tiny("anonymise", family, "-o", "out")
    ring = KeyRing.load(folder / HOME)
    stages = load(methods.with_method(TINY, None))
    assert (folder / HOME).stat().st_size < 12_000  # two people, and what three pictures need
    for name, same in (("alice/1.png", True), ("alice/2.png", False), ("bob/1.png", True)):
        assert drawn_with(family / name, f"out/{name}", ring.key(name.partition("/")[0])) is same
    key = ring.key("alice")
    person = opened(ring.person("alice").enrolled, key, stages.fingerprint)
    request = AnonymiseRequest(photo=open_photo(family / "alice/2.png"), key=key, person=person)
    expected = AnonymisationServer(stages).anonymise(request).picture
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "out/alice/2.png")), expected)
    before = ring.person("alice").enrolled
    tiny("anonymise", family / "alice/2.png", "-o", "later.png", "--key", f"@{HOME}", "--person", "alice")
    assert (folder / "later.png").read_bytes() == (folder / "out/alice/2.png").read_bytes()
    assert KeyRing.load(folder / HOME).person("alice").enrolled == before


def test_a_photo_of_somebody_else_under_the_name_is_told(kfaar, strict, family, folder):
    result = kfaar("anonymise", family, "-o", "out", "--preset", "tiny")
    assert result.exit_code == 1 and "2.png: This key is enrolled for somebody else" in result.stderr
    assert {path.name for path in (folder / "out").rglob("*.png")} == {"1.png"}  # alice's first, and bob's


@pytest.mark.parametrize("words", [("--stateless",), ("--fresh",), ("--one-key",), ("--face", "all"), ("--key", KEY)])
def test_nobody_is_enrolled_who_is_no_named_person_of_a_key_file(tiny, strict, family, album, folder, words):
    tiny("anonymise", family, "-o", "out", *words)
    tiny("anonymise", album, "-o", "loose", *words)
    for home in (HOME, "loose/kfaar.keys.json"):
        if (folder / home).exists():
            assert not any(person.enrolled for person in KeyRing.load(folder / home).people)


def test_a_person_of_another_method_is_told(kfaar, tiny, family):
    tiny("anonymise", family / "alice/1.png", "-o", "v.png", "--person", "alice")
    words = ("anonymise", family / "alice/2.png", "-o", "w.png", "--key", "@v.png.key", "--person", "alice")
    other = kfaar(*words, "--method", "hashed", "--preset", "tiny")
    assert other.exit_code == 1 and "enrolled with other networks or another method" in other.stderr
    tiny(*words, "--method", "hashed", "--stateless")


# ---- a rejected face


def test_a_rejected_face_of_a_new_person_gets_a_nonce_and_later_photos_keep_it(
    tiny, family, folder, never_anonymous, drawn_with
):
    answers = lines(tiny("anonymise", family, "-o", "out", "--stateless", "--json"))
    assert [answer["rekeyed"] for answer in answers] == [3, 0, 3]
    ring = KeyRing.load(folder / HOME)
    assert all(person.nonce for person in ring.people) and len(ring.people) == 2
    for name in ("alice/1.png", "alice/2.png"):
        assert drawn_with(family / name, f"out/{name}", ring.key("alice"))


def test_a_key_that_was_given_is_never_passed_over(tiny, family, folder, never_anonymous):
    KeyRing(UserKey.parse(KEY)).save(folder / "mine.json")
    answers = lines(tiny("anonymise", family, "-o", "out", "--json", "--key", "@mine.json"))
    assert {answer["rekeyed"] for answer in answers} == {0}
    assert not any(person.nonce for person in KeyRing.load(folder / "mine.json").people)


# ---- the file of a run


def test_a_key_file_that_was_named_learns_who_is_who(tiny, family, folder):
    KeyRing(UserKey.parse(KEY)).save(folder / "mine.json")
    tiny("anonymise", family / "alice", "-o", "one", "--key", "@mine.json", "--person", "alice")
    tiny("anonymise", family / "bob" / "1.png", "-o", "b.png", "--key", "@mine.json", "--person", "bob")
    ring = KeyRing.load(folder / "mine.json")
    assert ring.master == UserKey.parse(KEY) and not (folder / "one/kfaar.keys.json").exists()
    assert {face.picture: face.label for face in ring.faces} == {
        "one/1.png": "alice",
        "one/2.png": "alice",
        "b.png": "bob",
    }
    assert all(face.box[2] > face.box[0] >= 0 for face in ring.faces)


def test_a_run_goes_on_with_the_key_file_and_no_other_master(tiny, refused, album, folder, pixels, drawn_with):
    tiny("anonymise", album, "-o", "out")
    ring = KeyRing.load(folder / HOME)
    Image.fromarray(pixels[::-1].copy()).save(album / "c.png")
    said = refused("anonymise", album, "-o", "out", "--preset", "tiny", "--key", KEY)
    assert "another master key than --key" in said
    (folder / "plain.key").write_text(ring.master.hex())
    tiny("anonymise", album, "-o", "out", "--key", "@plain.key")
    whole = KeyRing.load(folder / HOME)
    assert whole.master == ring.master and whole.labels_of("c.png") == ("c.png",)
    assert drawn_with(album / "c.png", "out/c.png", ring.key("c.png"))


def test_a_damaged_key_file_is_never_written_over(refused, tiny, album, folder, files):
    tiny("anonymise", album, "-o", "out")
    cut = (folder / HOME).read_bytes()[:-20]
    (folder / HOME).write_bytes(cut)
    for words in ((), ("--force",)):
        assert "cut short" in refused("anonymise", album, "-o", "out", "--preset", "tiny", *words)
    assert (folder / HOME).read_bytes() == cut


def test_what_another_run_added_to_the_key_file_stays(tiny, album, folder, monkeypatch):
    """The other run writes while ours is at work."""
    ring = KeyRing(UserKey.parse(KEY))
    ring.save(folder / "mine.json")
    real = TinyDetector.faces

    def meanwhile(self, photo):
        there = KeyRing.load(folder / "mine.json")
        there.with_person(replace(there.person("theirs"), nonce=b"0" * 16)).save(folder / "mine.json", force=True)
        return real(self, photo)

    monkeypatch.setattr(TinyDetector, "faces", meanwhile)
    tiny("anonymise", album, "-o", "out", "--key", "@mine.json")
    people = {person.label: person.nonce for person in KeyRing.load(folder / "mine.json").people}
    assert people == {"a.png": None, "b.png": None, "theirs": b"0" * 16}


def test_no_key_file_is_left_when_nothing_was_made(kfaar, folder):
    (folder / "walls").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 80), "grey").save(folder / "walls" / name)
    assert kfaar("anonymise", "walls", "-o", "out", "--preset", "tiny").exit_code == 1
    assert not (folder / "out").exists()


def test_results_of_before_key_files_are_left_as_they_are(tiny, photo, album, folder, pixels):
    """A folder that an older program wrote: the words alone in the picture, a key beside each."""
    tiny("anonymise", album / "a.png", "-o", "old.png", "--key", KEY)
    words = PngImagePlugin.PngInfo()
    words.add_text("Software", "kfaar")
    words.add_text("Comment", "synthetic face")
    (folder / "out").mkdir()
    with Image.open(folder / "old.png") as picture:
        picture.save(folder / "out" / "a.png", pnginfo=words)
    (folder / "out" / "a.png.key").write_text(f"kfaar-key-1:{KEY}\n")
    before = (folder / "out" / "a.png").read_bytes()
    result = tiny("anonymise", album, "-o", "out", "--json")
    assert [answer["output"] for answer in lines(result)] == ["out/b.png"] and "1 of 2 photos" in result.stderr
    assert (folder / "out" / "a.png").read_bytes() == before
    cosines = [
        json.loads(tiny("authenticate", "out/a.png", album / "a.png", "--key", key, "--json").stdout)["cosine"]
        for key in (KEY, "@out/a.png.key", f"kfaar-key-1:{KEY}")
    ]
    assert cosines[0] == cosines[1] == cosines[2]
    wrong = json.loads(tiny("authenticate", "out/a.png", album / "a.png", "--key", "ff" * 16, "--json").stdout)
    assert wrong["cosine"] != cosines[0]


# ---- passphrases


def test_a_run_with_a_passphrase_keeps_a_salt_and_no_key(tiny, album, folder, phrase, pixels, drawn_with):
    tiny("anonymise", album, "-o", "out", "--key", "pass:")
    assert len(phrase) == 2  # typed twice: nothing could tell a slip
    written = json.loads((folder / HOME).read_text())
    assert written["master"] is None and len(written["salt"]) == 32
    master = UserKey.from_passphrase(PHRASE, salt=written["salt"])
    assert drawn_with(album / "a.png", "out/a.png", derived_key(master, "a.png"))
    Image.fromarray(pixels[::-1].copy()).save(album / "c.png")
    tiny("anonymise", album, "-o", "out", "--key", "pass:")
    assert len(phrase) == 3 and drawn_with(album / "c.png", "out/c.png", derived_key(master, "c.png"))
    answer = json.loads(tiny("authenticate", "out/a.png", album / "a.png", "--key", f"@{HOME}", "--json").stdout)
    assert answer["person"] == "a.png"


def test_passphrases_that_differ_are_refused(refused, album, folder, files, monkeypatch):
    typed = iter((PHRASE, f"{PHRASE}s"))
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    before = files()
    said = refused("anonymise", album, "-o", "out", "--key", "pass:", "--preset", "tiny")
    assert "differ" in said and PHRASE not in said and files() == before


def test_a_passphrase_alone_opens_what_it_opened_before(tiny, photo, phrase, files, drawn_with):
    tiny("anonymise", photo, "-o", "v.png", "--key", "pass:")
    assert drawn_with(photo, "v.png", UserKey.from_passphrase(PHRASE, salt="kfaar passphrase salt, version 1"))
    assert files() == {"me.jpg", "v.png", "check.png"} and len(phrase) == 1


def test_keygen_makes_a_salt_for_a_passphrase(kfaar, refused, folder, phrase):
    assert "needs a file" in refused("keygen", "--passphrase")
    result = kfaar("keygen", "--passphrase", "-o", "mine.json")
    assert result.exit_code == 0 and "without this file" in result.stdout
    assert stat.S_IMODE((folder / "mine.json").stat().st_mode) == 0o600
    master = KeyRing.load(folder / "mine.json", ask=lambda _: PHRASE).master
    assert master.hex() not in (folder / "mine.json").read_text() and len(phrase) == 2
    assert "--force" in refused("keygen", "--passphrase", "-o", "mine.json") and len(phrase) == 2


def test_keygen_makes_a_file_that_remembers_people(kfaar, folder):
    assert kfaar("keygen", "-o", "mine.json").exit_code == 0
    assert json.loads((folder / "mine.json").read_text())["people"] == []


# ---- found again


@pytest.fixture
def made(tiny, family, folder):
    tiny("anonymise", family, "-o", "out")
    return KeyRing.load(folder / HOME)


def asked(tiny, *words) -> dict:
    return json.loads(tiny("authenticate", *words, "--json").stdout)


def test_the_key_of_a_recorded_picture_is_found(tiny, made, family):
    for name in ("alice/1.png", "bob/1.png"):
        person = name.split("/")[0]
        found = asked(tiny, f"out/{name}", family / name, "--key", f"@{HOME}")
        direct = asked(tiny, f"out/{name}", family / name, "--key", made.key(person).hex())
        assert (found["person"], found["keys_tried"]) == (person, 1) and direct["person"] is None
        assert found["cosine"] == direct["cosine"]
        by_label = asked(tiny, f"out/{name}", family / name, "--key", made.master.hex(), "--person", person)
        assert by_label["cosine"] == direct["cosine"]


def test_of_a_picture_that_was_renamed_all_keys_are_tried_and_the_best_is_named(tiny, made, family, folder):
    (folder / "out/bob/1.png").rename(folder / "moved.png")
    words = ("moved.png", family / "bob/1.png", "--key", f"@{HOME}")
    found = asked(tiny, *words)
    alone = {label: asked(tiny, *words, "--person", label)["cosine"] for label in ("alice", "bob")}
    alone[None] = asked(tiny, "moved.png", family / "bob/1.png", "--key", made.master.hex())["cosine"]
    best = max(alone, key=alone.get)  # networks of chance: not bob for certain
    assert (found["person"], found["cosine"], found["keys_tried"]) == (best, alone[best], 3)
    name = "the master key itself" if best is None else f"the key of {best!r}"
    assert f"{name}, which fits best of the 3" in tiny("authenticate", *words).stdout


def test_scenarios_find_the_key_too(tiny, refused, made, family, folder):
    words = ("out/bob/1.png", family / "bob/1.png", "--key")
    wrong = ("--wrong-key", "ff" * 16)
    expected = tiny("scenarios", *words, made.key("bob").hex(), *wrong).stdout
    assert tiny("scenarios", *words, f"@{HOME}", *wrong).stdout == expected
    (folder / "out/bob/1.png").rename(folder / "moved.png")
    words = ("moved.png", *words[1:])
    by_label = tiny("scenarios", *words, f"@{HOME}", "--person", "bob", *wrong)
    assert by_label.stdout == expected and not by_label.stderr
    tried = tiny("scenarios", *words, f"@{HOME}", *wrong)
    best = asked(tiny, *words, f"@{HOME}")["person"]
    assert (repr(best) if best else "master key itself") in tried.stderr
    assert tried.stdout == tiny("scenarios", *words, made.key(best).hex(), *wrong).stdout
    same = ("--wrong-key", made.key("bob").hex(), "--preset", "tiny")
    assert "the right one" in refused("scenarios", *words, f"@{HOME}", *same)


# ---- handed over


def test_a_derived_key_is_handed_over_and_never_the_master(kfaar, made, folder):
    printed = kfaar("derive", "--key", f"@{HOME}", "--person", "bob").stdout
    assert UserKey.parse(printed) == made.key("bob")
    result = kfaar("derive", "--key", f"@{HOME}", "--person", "bob", "-o", "bob.key")
    assert UserKey.load(folder / "bob.key") == made.key("bob")
    assert stat.S_IMODE((folder / "bob.key").stat().st_mode) == 0o600
    for text in (printed, result.output, (folder / "bob.key").read_text()):
        assert made.master.hex() not in text
    assert made.key("bob").hex() not in result.output


def test_a_handed_key_opens_the_picture(tiny, kfaar, made, family, folder):
    kfaar("derive", "--key", f"@{HOME}", "--person", "alice", "-o", "alice.key")
    words = ("out/alice/1.png", family / "alice/2.png", "--key")
    assert asked(tiny, *words, "@alice.key")["cosine"] == asked(tiny, *words, f"@{HOME}")["cosine"]


def test_a_plain_master_gives_keys_by_label_alone(kfaar):
    answer = json.loads(kfaar("derive", "--key", KEY, "--person", "bob", "--json").stdout)
    assert UserKey.parse(answer["key"]) == derived_key(UserKey.parse(KEY), "bob") and answer["bits"] == 256


def test_nobodys_key_is_not_handed_over(refused, made):
    assert "nobody of this label" in refused("derive", "--key", f"@{HOME}", "--person", "Bob")
    assert "label is empty" in refused("derive", "--key", KEY, "--person", " ")
    assert "key of 8 bits" in refused("derive", "--key", "aa", "--person", "bob")
