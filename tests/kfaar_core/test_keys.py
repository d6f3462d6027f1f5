from __future__ import annotations

import copy
import dataclasses
import hashlib
import io
import logging
import pickle
import re
import stat
import string
import traceback
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfaar_core.errors import BadKey, BadOutput, BadSetting
from kfaar_core.keys import ARGON2_MEMORY_KIB, COMMON_PASSPHRASES, UserKey, read_key, weak_passphrase

pytestmark = pytest.mark.usefixtures("light_argon2")
KEY_BYTES = st.binary(min_size=1, max_size=64)
SECRET = "00112233445566778899aabbccddeeff"


def refused(call, error=BadKey) -> str:
    """The sentence of an error, after checking that nothing it drags along shows the secret."""
    with pytest.raises(error) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value))
    inner = caught.value.__context__
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(inner) + shown
    return str(caught.value)


# ---- make and parse


@pytest.mark.parametrize("bits", [8, 128, 256, 504, 512])
def test_a_new_key_has_the_length_asked_for_and_is_new(bits):
    key = UserKey.generate(bits)
    assert key.bits == bits == 8 * len(key.data)
    assert bits == 8 or key != UserKey.generate(bits)


@pytest.mark.parametrize("bits", [0, -8, 7, 12, 520, 4096])
def test_no_key_has_these_lengths(bits):
    for make in (UserKey.generate, lambda bits: UserKey.from_passphrase("long enough a phrase", bits=bits)):
        assert "8 to 512 bits" in refused(lambda make=make: make(bits))


def test_the_default_is_256_bits():
    assert UserKey.generate().bits == 256


@given(data=KEY_BYTES, upper=st.booleans(), around=st.sampled_from(["", " ", "\n", "\t\r\n"]))
def test_hex_comes_back_as_the_same_key(data, upper, around):
    text = data.hex().upper() if upper else data.hex()
    assert UserKey.parse(around + text + around).data == data
    assert UserKey.parse(UserKey(data).hex()) == UserKey(data)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (SECRET + "0", "odd number of hex digits (33)"),
        (5 * SECRET, "640 bits"),
        (SECRET + "zz", "Character 33 of the key is not a hex digit"),
        ("0x" + SECRET, "Character 2 of the key is not a hex digit"),
        (SECRET[:16] + " " + SECRET[16:], "Character 17 of the key is not a hex digit"),
        (SECRET + "é", "outside ASCII"),
        (SECRET + "٣٤", "outside ASCII"),  # digits for str.isdigit, not for us
        (SECRET + "\udcff\udcff", "outside ASCII"),
        (f"kfaar-key-3:{SECRET}", "states a version that this program does not know"),
        (f"kfaar-key-{10**8}:{SECRET}", "states a version that this program does not know"),
        (f"kfaar-key-0:{SECRET}", "Character 1 of the key is not a hex digit"),
        ("kfaar-key-2:", "is empty"),
        (f"kfaar-key-2:{SECRET}zz", "Character 33 of the key is not a hex digit"),
    ],
)
def test_text_that_is_no_key_has_its_own_sentence(text, sentence):
    assert sentence in refused(lambda: UserKey.parse(text))
    assert sentence in refused(lambda: read_key(text))


def refusal(text: str) -> str:
    """What is said of a text that is no key, its numbers left out."""
    return re.sub(r"\d+", "#", refused(lambda: UserKey.parse(text)))


@pytest.fixture(scope="module")
def refusals() -> set[str]:
    """The five sentences about texts that are no keys."""
    return {refusal(known) for known in ("", "é", "zz", "000", 129 * "00")}


@given(text=st.text(max_size=200))
def test_any_other_text_is_refused_without_being_quoted(refusals, text):
    plain = text.strip()
    hexadecimal = len(plain) % 2 == 0 and 0 < len(plain) <= 128 and all(c in string.hexdigits for c in plain)
    if hexadecimal:
        assert UserKey.parse(text).hex() == plain.lower()
    else:
        # One of five sentences whatever was typed, so none of it is in them, not even where it happens to read alike.
        assert refusal(text) in refusals


# ---- nothing shows a key


def test_no_form_of_printing_shows_the_key(caplog):
    key = UserKey.parse(SECRET)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r %s", key, key, [key])
    shown = caplog.text + f"{key} {key!r} {[key]} {key!s:>40}"
    assert repr(key) == str(key) == "UserKey(128 bits)"
    assert SECRET not in shown and repr(key.data) not in shown


def test_a_key_cannot_be_pickled_changed_or_spread_into_a_dictionary():
    key = UserKey.generate()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(key, protocol)
    for name in ("_data", "_version", "data", "version", "bits", "new"):
        with pytest.raises(AttributeError):
            setattr(key, name, b"\0")
    with pytest.raises(AttributeError):
        del key._data
    assert not hasattr(key, "__dict__") and not dataclasses.is_dataclass(key)
    assert copy.copy(key) is key and copy.deepcopy([key])[0] is key


def test_changing_the_bytes_it_came_from_does_not_change_a_key():
    source = bytearray(b"abcd")
    key = UserKey(source)
    source[0] = 0
    assert key.data == b"abcd"


# ---- compare


@given(one=KEY_BYTES, other=KEY_BYTES)
def test_keys_are_equal_when_their_bits_are(one, other):
    assert (UserKey(one) == UserKey(other)) is (one == other)
    assert UserKey(one) == UserKey(bytes(one)) and hash(UserKey(one)) == hash(UserKey(bytes(one)))
    assert UserKey(one) != one and UserKey(one) != one.hex()


def test_comparison_takes_the_constant_time_function(monkeypatch):
    asked = []
    monkeypatch.setattr("kfaar_core.keys.hmac.compare_digest", lambda a, b: asked.append((a, b)) or True)
    assert UserKey(b"a") == UserKey(b"b") and asked == [(b"a", b"b")]


# ---- versions


def test_digits_alone_are_version_1_and_other_versions_are_stated():
    plain, newer = UserKey.parse(SECRET), UserKey.parse(f" kfaar-key-2:{SECRET.upper()}\n")
    assert (plain.version, newer.version) == (1, 2) and plain.data == newer.data
    assert UserKey.parse(f"kfaar-key-1:{SECRET}") == plain != newer and hash(plain) != hash(newer)
    assert (plain.text(), newer.text()) == (SECRET, f"kfaar-key-2:{SECRET}")
    assert UserKey.parse(newer.text()) == newer and newer.hex() == SECRET


def test_a_version_stays_with_a_key(tmp_path):
    newer = UserKey.parse(f"kfaar-key-2:{SECRET}")
    assert newer.flip([3]).version == newer.next().version == 2
    newer.save(tmp_path / "newer.key")
    assert (tmp_path / "newer.key").read_text() == f"kfaar-key-2:{SECRET}\n"
    assert UserKey.load(tmp_path / "newer.key") == newer
    assert UserKey.from_passphrase("four unrelated words", version=2).version == 2


def test_key_files_of_digits_alone_stay_valid(tmp_path):
    (tmp_path / "old.key").write_text(f"{SECRET}\n")
    assert UserKey.load(tmp_path / "old.key") == UserKey(bytes.fromhex(SECRET), version=1)


# ---- bits


def test_signs_are_the_bits_first_bit_first():
    signs = UserKey.parse("80f1").signs()
    assert signs.dtype == np.float32
    np.testing.assert_array_equal(signs, [1] + 7 * [-1] + 4 * [1] + 3 * [-1] + [1])


@given(data=KEY_BYTES, choose=st.data())
def test_flipping_turns_over_exactly_those_bits_and_twice_is_back(data, choose):
    key = UserKey(data)
    positions = choose.draw(st.lists(st.integers(0, key.bits - 1), unique=True))
    flipped = key.flip(positions)
    assert set(np.flatnonzero(flipped.signs() != key.signs())) == set(positions)
    assert flipped.flip(positions) == key and flipped.bits == key.bits


@pytest.mark.parametrize(("positions", "sentence"), [([8], "outside"), ([-1], "outside"), ([1, 1], "twice")])
def test_positions_that_make_no_sense_are_refused(positions, sentence):
    assert sentence in refused(lambda: UserKey(b"a").flip(positions), BadSetting)


@given(data=KEY_BYTES, choose=st.data())
def test_random_flips_are_as_many_as_asked_for(data, choose):
    key = UserKey(data)
    count = choose.draw(st.integers(0, key.bits))
    flipped = [key.flip_random(count, np.random.default_rng(5)) for _ in range(2)]
    assert np.sum(flipped[0].signs() != key.signs()) == count and flipped[0] == flipped[1]


def test_more_flips_than_bits_are_refused():
    for count in (-1, 9):
        assert "between 0 and 8" in refused(lambda count=count: UserKey(b"a").flip_random(count, None), BadSetting)


# ---- derive


def test_every_key_has_another_follower_of_its_length():
    for number in range(256):
        key = UserKey(bytes([number]))
        assert key.next() != key and key.next().bits == 8 and key.next() == key.next()
    long = UserKey.generate()
    chain = [long, long.next(), long.next().next()]
    assert len(set(chain)) == 3 and {key.bits for key in chain} == {256}


def test_expansion_is_shake_256_of_the_domain_the_purpose_and_the_key():
    """Against FIPS 202's function over a message written out by hand."""
    message = b"\0\0\0\x14kfaar key, version 1" + b"\0\0\0\x08rotation" + b"\0\0\0\x02\xab\xcd"
    assert UserKey.parse("abcd").expand("rotation", 100) == hashlib.shake_256(message).digest(100)


@given(one=KEY_BYTES, other=KEY_BYTES, purposes=st.tuples(st.text(max_size=9), st.text(max_size=9)))
def test_another_key_or_purpose_gives_other_bytes(one, other, purposes):
    inputs = {(one, purposes[0]), (other, purposes[0]), (one, purposes[1]), (other, purposes[1])}
    assert len({UserKey(data).expand(purpose, 32) for data, purpose in inputs}) == len(inputs)


# ---- passphrases


def test_a_passphrase_gives_the_key_that_another_argon2id_gives(monkeypatch):
    """The expected digits come from OpenSSL's Argon2id (cryptography's binding) and hashlib, not from this code."""
    monkeypatch.setattr("kfaar_core.keys.ARGON2_MEMORY_KIB", ARGON2_MEMORY_KIB)  # no longer the light one
    key = UserKey.from_passphrase("Crème brûlée, twice a week")
    assert key.hex() == "70e707f10b1bdc47a3df9d74e0ab55b41b37bd2c831a22dafa92f97e5648e1b1"


def test_the_way_an_accent_was_typed_does_not_matter():
    composed, decomposed, wide = "caf\u00e9 au lait", "cafe\u0301 au lait", "ｃａｆé au lait"
    assert UserKey.from_passphrase(composed) == UserKey.from_passphrase(decomposed) == UserKey.from_passphrase(wide)


def test_salt_case_and_length_all_change_the_key():
    keys = [
        UserKey.from_passphrase("four unrelated words"),
        UserKey.from_passphrase("Four unrelated words"),
        UserKey.from_passphrase("four unrelated words", salt="a salt of our own"),
        UserKey.from_passphrase("four unrelated words", bits=128),
        UserKey.from_passphrase("four unrelated words", bits=8),
    ]
    assert [key.bits for key in keys] == [256, 256, 256, 128, 8]
    assert len({key.hex()[:32] for key in keys}) == 5 and keys[3].hex() not in keys[0].hex()


@pytest.mark.parametrize(
    ("text", "salt", "sentence"),
    [
        ("", "long enough", "passphrase is empty"),
        (" \u3000\n", "long enough", "passphrase is empty"),
        (SECRET + "\ud800", "long enough", "broken character"),
        (SECRET, "short", "salt has 5 bytes"),
    ],
)
def test_passphrases_that_cannot_be_used_have_their_own_sentence(text, salt, sentence):
    assert sentence in refused(lambda: UserKey.from_passphrase(text, salt=salt))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "among the first"),
        ("k7#Qz", "guessed soon"),
        ("password", "among the first"),
        ("Pass Word 123456!", "guessed soon"),
        ("Correct Horse, Battery Staple", "among the first"),
        ("To be or not to be...", "among the first"),
        ("abababababababab", "among the first"),
        ("1234567890123456", "guessed soon"),
        ("qwertyuiopasdfghjkl", "among the first"),
        ("rusty violin under eleven clouds", None),
        ("rusty violin under eleven clouds " * 10, None),
        ("8402759163850274619", None),
        ("длинная фраза из слов", None),
    ],
)
def test_weak_passphrases_are_told_apart(text, sentence):
    said = weak_passphrase(text)
    assert said is None if sentence is None else sentence in said


@given(text=st.text(max_size=100))
@settings(max_examples=30, deadline=None)
def test_what_is_said_about_a_passphrase_never_quotes_it(text):
    assert weak_passphrase(text) in {None, *map(weak_passphrase, ("password", "k7#Qz"))}


def test_the_common_list_holds_what_the_comparison_can_meet():
    assert all(phrase == "".join(filter(str.isalpha, phrase.casefold())) for phrase in COMMON_PASSPHRASES)


# ---- files


def test_a_saved_key_comes_back_and_only_its_owner_can_read_it(tmp_path):
    key, path = UserKey.generate(), tmp_path / "mine.key"
    key.save(path)
    assert path.read_text() == f"kfaar-key-1:{key.hex()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert UserKey.load(path) == key and [file.name for file in tmp_path.iterdir()] == ["mine.key"]


def test_saving_replaces_only_when_forced(tmp_path):
    path = tmp_path / "mine.key"
    path.write_text("precious")
    assert "'mine.key' exists already" in refused(lambda: UserKey(b"a").save(path), BadOutput)
    assert path.read_text() == "precious"
    UserKey(b"a").save(path, force=True)
    assert path.read_text() == "kfaar-key-1:61\n" and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_saving_never_follows_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    refused(lambda: UserKey(b"a").save(link), BadOutput)
    UserKey(b"a").save(link, force=True)
    assert target.read_text() == "precious" and not link.is_symlink() and link.read_text() == "kfaar-key-1:61\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (SECRET.encode("utf-16-le"), "not a hex digit"),
        (bytes(range(256)), "outside ASCII"),
        (SECRET.encode() + b"0", "odd number"),
        (SECRET.encode() * 1000, "65536 bits"),
    ],
)
def test_key_files_that_hold_no_key(tmp_path, content, sentence):
    path = tmp_path / SECRET
    path.write_bytes(content)
    assert sentence in refused(lambda: UserKey.load(path))


def test_key_files_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / SECRET).mkdir()
    assert "is a folder" in refused(lambda: UserKey.load(tmp_path / SECRET))
    assert "does not exist" in refused(lambda: UserKey.load(tmp_path / "not there" / SECRET))
    assert "cannot be read" in refused(lambda: UserKey.load(Path(SECRET + "\0")))

    def closed(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", closed)
    assert "cannot be read" in refused(lambda: UserKey.load(tmp_path / SECRET))


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_key_is_the_same_whatever_editor_wrote_it(tmp_path, encoding, end):
    content = f"{SECRET}{end}".encode(encoding)
    (tmp_path / "mine.key").write_bytes(content)
    piped = io.TextIOWrapper(io.BytesIO(content), encoding="latin-1")
    assert UserKey.load(tmp_path / "mine.key") == read_key("@-", stdin=piped) == UserKey.parse(SECRET)


# ---- the forms of a command line


def test_a_key_file_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    UserKey.parse(SECRET).save(tmp_path / "k.key")
    assert read_key("@~/k.key") == UserKey.parse(SECRET)


@pytest.mark.parametrize("typed", ["four words\r", "four words\r\n", "four words\n", "\ufefffour words"])
def test_a_piped_passphrase_is_the_typed_one(typed):
    assert read_key("pass:", ask=lambda _: typed) == UserKey.from_passphrase("four words")


def test_a_closed_standard_input_holds_nothing(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert "is empty" in refused(lambda: read_key("@-"))

    def unread(_: str) -> str:
        return None.readline()

    assert "passphrase is empty" in refused(lambda: read_key("pass:", ask=unread))


def test_a_passphrase_in_another_encoding_is_refused():
    def broken(_: str) -> str:
        return SECRET.encode("utf-16").decode("utf-8")

    assert "broken character" in refused(lambda: read_key("pass:", ask=broken))


def test_all_forms_name_a_key(tmp_path):
    key, path = UserKey.parse(SECRET), tmp_path / "mine.key"
    key.save(path)
    assert read_key(SECRET) == read_key(f"@{path}") == key
    assert read_key("@-", stdin=io.StringIO(f"{SECRET}\nsomething else\n")) == key
    asked = []
    typed = read_key("pass:", ask=lambda prompt: asked.append(prompt) or "four unrelated words")
    assert typed == UserKey.from_passphrase("four unrelated words") and asked == ["Passphrase: "]


def test_standard_input_is_looked_up_when_called(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET))
    assert read_key("@-") == UserKey.parse(SECRET)


def test_forms_that_name_no_key():
    def closed(_: str) -> str:
        raise EOFError

    binary = io.TextIOWrapper(io.BytesIO(SECRET.encode() + b"\xff\xfe"), encoding="utf-8")
    assert "outside ASCII" in refused(lambda: read_key("@-", stdin=binary))
    assert "is empty" in refused(lambda: read_key("@-", stdin=io.StringIO("")))
    assert "passphrase is empty" in refused(lambda: read_key("pass:", ask=closed))
    assert "on the command line" in refused(lambda: read_key(f"pass:{SECRET}"))
    assert "no file name behind @" in refused(lambda: read_key("@"))
    assert "@FILE" in refused(lambda: read_key("my.key"))
