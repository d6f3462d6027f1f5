"""Derived keys and key files: faces made years ago are read only while these bytes stay."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfaar_core.errors import BadKey, BadOutput, KfaarError
from kfaar_core.keyring import KeyRing, Person, RecordedFace, derived_key, hkdf_sha256, read_ring
from kfaar_core.keys import UserKey

MASTER = UserKey(bytes(range(32)))
SECRET = MASTER.hex()


def refused(call) -> str:
    with pytest.raises(BadKey) as caught:
        call()
    sentence = str(caught.value)
    assert SECRET not in sentence and sentence.count("\n") == 0
    return sentence


# ---- derivation


@pytest.mark.parametrize(
    ("secret", "salt", "info", "expected"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x00, 0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b" * 22,
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.2", "A.3"],
)
def test_hkdf_is_that_of_rfc_5869(secret, salt, info, expected):
    """Its appendix A, the cases with SHA-256."""
    made = hkdf_sha256(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), len(expected) // 2)
    assert made.hex() == expected


VECTORS = [  # docs/key-schedule.md has the first and the second
    ("alice", None, "3f0538124a614716884735f99f561c852fdfa116d29bb3725fdba949c1ac0e96"),
    ("alice", bytes(range(16)), "877b7a31616aafd5c789fdcdd53ee14a69c8cac1b005b04dc7c013315af0c258"),
    ("Zoë 王", None, "6cc9a1391c52d8be880719acd06fc259b1504399b830588707e21b6d2c7efb5a"),
]


def written_out(master: bytes, label: bytes, nonce: bytes) -> str:
    """Extract and expand of RFC 5869 with nothing but HMAC; 32 bytes are one block."""
    info = b"\0\0\0\x05kfaar" + b"\0\0\0\x15person key, version 1"
    info += len(label).to_bytes(4, "big") + label + len(nonce).to_bytes(4, "big") + nonce
    root = hmac.new(bytes(32), master, hashlib.sha256).digest()
    return hmac.new(root, info + b"\x01", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("label", "nonce", "expected"), VECTORS, ids=["label", "nonce", "Unicode"])
def test_a_person_gets_the_key_that_they_always_got(label, nonce, expected):
    assert derived_key(MASTER, label, nonce).hex() == expected
    assert written_out(MASTER.data, label.encode(), nonce or b"") == expected


def test_a_derived_key_has_256_bits_and_the_masters_version():
    for version in (1, 2):
        for bits in (128, 256, 512):
            key = derived_key(UserKey(bytes(bits // 8), version), "alice")
            assert (key.bits, key.version) == (256, version)


@pytest.mark.parametrize("bits", [8, 64, 120])
def test_short_keys_have_no_derived_ones(bits):
    assert f"{bits} bits" in refused(lambda: derived_key(UserKey(bytes(bits // 8)), "alice"))


def test_label_nonce_and_master_each_change_the_key():
    made = [
        derived_key(MASTER, "alice"),
        derived_key(MASTER, "alice "),
        derived_key(MASTER, "Alice"),
        derived_key(MASTER, "alice", b"\0"),
        derived_key(MASTER, "alice", b"\0\0"),
        derived_key(MASTER, "alice\u00a0", b"\0"),
        derived_key(MASTER.flip([0]), "alice"),
        MASTER,
    ]
    assert len(set(made)) == len(made)


def test_it_does_not_matter_which_system_wrote_a_folders_name():
    assert derived_key(MASTER, "Zoe\u0308") == derived_key(MASTER, "Zo\u00eb")
    ring = KeyRing(MASTER).with_person(Person("Zoe\u0308", nonce=b"n" * 16))
    assert ring.key("Zo\u00eb") == derived_key(MASTER, "Zo\u00eb", b"n" * 16)


@pytest.mark.parametrize("label", ["", "  ", "a\nb", "a\0", "\udcff", "x" * 1001])
def test_labels_that_are_none(label):
    assert "label is empty, too long" in refused(lambda: derived_key(MASTER, label))


def test_the_owner_keeps_the_master_itself():
    assert KeyRing(MASTER).key(None) == MASTER
    assert KeyRing(UserKey(b"a")).key(None) == UserKey(b"a")  # short keys too


def test_an_empty_nonce_is_none():
    assert "nonce is empty" in refused(lambda: derived_key(MASTER, "alice", b""))


# ---- the file

FULL = KeyRing(
    MASTER,
    people=(
        Person("alice", nonce=b"0123456789abcdef"),
        Person("Zoë 王", look=7, enrolled=b"\x00\xffany bytes"),
        Person(None, look=0),
    ),
    faces=(RecordedFace("deep/v.png", (1, 2, 30, 40), "alice"), RecordedFace("w.png", (0, 0, 5, 5), None)),
)


def test_a_file_holds_what_the_format_says(tmp_path):
    FULL.save(tmp_path / "k.json")
    assert stat.S_IMODE((tmp_path / "k.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "k.json").read_text()) == {
        "kfaar": 2,
        "master": SECRET,
        "salt": None,
        "people": [
            {"label": "alice", "nonce": b"0123456789abcdef".hex(), "look": None, "enrolled": None},
            {"label": "Zoë 王", "nonce": None, "look": 7, "enrolled": "AP9hbnkgYnl0ZXM="},
            {"label": None, "nonce": None, "look": 0, "enrolled": None},
        ],
        "faces": [
            {"picture": "deep/v.png", "box": [1, 2, 30, 40], "label": "alice"},
            {"picture": "w.png", "box": [0, 0, 5, 5], "label": None},
        ],
    }
    assert KeyRing.load(tmp_path / "k.json") == FULL == read_ring(f"@{tmp_path / 'k.json'}")


def test_a_file_from_before_there_were_enrolled_people_is_read():
    older = [{"label": "alice", "nonce": None, "look": 3, "code": None}]
    text = json.dumps({**json.loads(FULL.content()), "people": older, "faces": []})
    assert KeyRing.parse(text).people == (Person("alice", look=3),)


def test_a_file_is_replaced_only_when_forced(tmp_path):
    (tmp_path / "k.json").write_text("precious")
    with pytest.raises(BadOutput, match="exists already"):
        FULL.save(tmp_path / "k.json")
    FULL.save(tmp_path / "k.json", force=True)
    assert KeyRing.load(tmp_path / "k.json") == FULL


@pytest.mark.parametrize("text", [SECRET, f"kfaar-key-1:{SECRET}\n", f"  {SECRET.upper()}\r\n"])
def test_old_key_files_are_keys_without_people(tmp_path, text):
    (tmp_path / "old.key").write_text(text)
    assert KeyRing.load(tmp_path / "old.key") == KeyRing(MASTER) == read_ring(SECRET)


def test_the_version_of_a_key_stays_with_it():
    newer = KeyRing(UserKey(MASTER.data, 2))
    assert KeyRing.parse(newer.content().decode()).master == newer.master != MASTER


def test_nothing_secret_shows():
    shown = repr(FULL)
    assert SECRET not in shown and "0123456789abcdef" not in shown and "-0.25" not in shown
    with pytest.raises(FrozenInstanceError):
        FULL.people = ()


def changed(**fields) -> str:
    return json.dumps({**json.loads(FULL.content()), **fields})


def person(**fields) -> list:
    return [{"label": "alice", "nonce": None, "look": None, "enrolled": None, **fields}]


def face(**fields) -> list:
    return [{"picture": "v.png", "box": [0, 0, 1, 1], "label": None, **fields}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON, or was cut short"),
        (FULL.content().decode()[:-9], "no JSON, or was cut short"),
        ("{" + "[" * 100_000, "no JSON"),
        ('{"kfaar": 2, "kfaar": 2}', "states a field twice"),
        ("{}", "lacks 'kfaar'"),
        (changed(kfaar=3), "version that this program does not know"),
        (changed(kfaar=True), "version that this program does not know"),
        (changed(kfaar="2"), "version that this program does not know"),
        (changed(**{SECRET: 1}), "has a field in the key file that this program does not know"),
        (changed(master=None), "either a master key or the salt"),
        (changed(salt="00" * 16), "either a master key or the salt"),
        (changed(master=None, salt="zz" * 16), "a salt that is none"),
        (changed(master=None, salt="00"), "a salt that is none"),
        (changed(master=7), "a master key that is none"),
        (changed(master=SECRET[1:]), "odd number of hex digits"),
        (changed(master=SECRET + "zz"), "not a hex digit"),
        (changed(people={}), "a list 'people' that is none"),
        (changed(people=[SECRET]), "something else where an entry of 'people' should be"),
        (changed(people=person(secret=SECRET)), "a field in an entry of 'people'"),
        (changed(people=person(label=1), faces=[]), "a label that is none"),
        (changed(people=person(label="\n"), faces=[]), "label is empty"),
        (changed(people=person(nonce=SECRET[:15]), faces=[]), "a nonce that is none"),
        (changed(people=person(nonce=""), faces=[]), "a nonce that is none"),
        (changed(people=person(nonce=" ".join(SECRET)), faces=[]), "a nonce that is none"),
        (changed(people=person(label=None, nonce="00" * 16), faces=[]), "a nonce to the owner"),
        (changed(people=person(look=-1), faces=[]), "a look that is none"),
        (changed(people=person(look=True), faces=[]), "a look that is none"),
        (changed(people=person(enrolled=[1]), faces=[]), "an enrolled person that is none"),
        (changed(people=person(enrolled="not base64"), faces=[]), "an enrolled person that is none"),
        (changed(people=person(enrolled="AP9"), faces=[]), "an enrolled person that is none"),
        (changed(people=person(code=[0.5]), faces=[]), "a field in an entry of 'people'"),
        (changed(people=person() * 2, faces=[]), "lists a person twice"),
        (changed(faces=face(label="bob")), "a person whom it does not list"),
        (changed(faces=face(picture="")), "a picture's name that is none"),
        (changed(faces=face(box=[0, 0, 1])), "a box that is none"),
        (changed(faces=face(box=[0, 0, 1, float("inf")])), "a box that is none"),
    ],
)
def test_files_that_are_none(text, said):
    assert said in refused(lambda: KeyRing.parse(text))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_any_value_in_any_place_is_read_or_refused_in_a_sentence(value):
    record = json.loads(FULL.content())
    for name in record:
        for text in (changed(**{name: value}), changed(people=person(label=value)), changed(faces=face(box=value))):
            try:
                KeyRing.parse(text, ask=lambda _: "")
            except KfaarError as error:
                assert SECRET not in str(error)


# ---- passphrases

pytestmark = pytest.mark.usefixtures("light_argon2")


def test_a_passphrase_gets_a_salt_of_its_own_and_the_file_no_key(tmp_path):
    first, second = (KeyRing.of_passphrase("walnut orbit Tuesday kelp") for _ in range(2))
    assert first.master != second.master != UserKey.from_passphrase("walnut orbit Tuesday kelp")
    first.save(tmp_path / "k.json")
    written = (tmp_path / "k.json").read_text()
    assert json.loads(written)["master"] is None and first.master.hex() not in written
    assert KeyRing.load(tmp_path / "k.json", ask=lambda _: "walnut orbit Tuesday kelp\r\n") == first
    assert KeyRing.load(tmp_path / "k.json", ask=lambda _: "another one").master != first.master
    assert "passphrase is empty" in refused(lambda: KeyRing.load(tmp_path / "k.json", ask=lambda _: ""))


def test_a_passphrase_alone_has_the_salt_that_it_always_had():
    typed = read_ring("pass:", ask=lambda _: "four words").master
    assert typed == UserKey.from_passphrase("four words", salt="kfaar passphrase salt, version 1")


# ---- whose key a picture has


def test_a_picture_is_found_by_its_path_then_by_its_name():
    faces = [("a/v.png", "alice"), ("b/v.png", "bob"), ("b/w.png", "bob"), ("g.png", "alice"), ("g.png", "bob")]
    ring = KeyRing(MASTER, faces=tuple(RecordedFace(path, (0, 0, 1, 1), label) for path, label in faces))
    assert ring.labels_of("b/v.png") == ("bob",)
    assert ring.labels_of("elsewhere/v.png") == ("alice", "bob")
    assert ring.labels_of("../w.png") == ("bob",)
    assert ring.labels_of("g.png") == ("alice", "bob")
    assert ring.labels_of("x.png") == ()


def test_what_another_run_wrote_meanwhile_is_taken_over(tmp_path):
    ring = KeyRing(MASTER)
    ring.with_person(Person("alice")).save(tmp_path / "k.json")
    assert ring.again(tmp_path / "k.json").people == (Person("alice"),)
    KeyRing(MASTER.next()).save(tmp_path / "k.json", force=True)
    assert "another master key" in refused(lambda: ring.again(tmp_path / "k.json"))
    sealed = KeyRing.of_passphrase("walnut orbit Tuesday kelp").with_person(Person("bob"))
    sealed.save(tmp_path / "k.json", force=True)
    assert sealed.again(tmp_path / "k.json") == sealed  # without asking
    assert "another master key" in refused(lambda: KeyRing.of_passphrase("x y").again(tmp_path / "k.json"))


def test_a_person_or_picture_stands_once():
    ring = KeyRing(MASTER).with_person(Person("alice")).with_person(Person("alice", look=3))
    assert ring.people == (Person("alice", look=3),) and ring.labels() == (None, "alice")
    old, new = (RecordedFace("v.png", (0, 0, edge, edge), "alice") for edge in (1, 2))
    assert ring.with_picture("v.png", [old]).with_picture("v.png", [new]).faces == (new,)
