"""User keys k: KeyGen of section III, and every form in which a key comes in or goes out.

A key is a bit string of 8 to 512 bits and the version of the procedure that draws from it. Its text form is hex, the
most significant bit first, which is a key of version 1; `kfaar-key-2:` before the digits, on the same line, states
another version. A key file always states it. No error, repr, log or pickle ever holds a key or a passphrase.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import re
import secrets
import string
import sys
import unicodedata
from collections.abc import Callable, Sequence
from getpass import getpass
from itertools import count
from pathlib import Path
from typing import NoReturn, SupportsIndex, TextIO

import numpy as np
from argon2.low_level import Type, hash_secret_raw

from kfaar_core.errors import BadKey, BadSetting
from kfaar_core.files import write_whole

MIN_BITS, MAX_BITS = 8, 512  # the paper has 8, 128 and 256

# Argon2id as in the second recommended option of RFC 9106, section 4: made for machines that cannot spare the 2 GiB of
# the first option. 64 MiB and three passes cost a user a tenth of a second and a guesser as much for each guess.
ARGON2_PASSES = 3
ARGON2_MEMORY_KIB = 64 * 1024
ARGON2_LANES = 4
ARGON2_BYTES = 32
ARGON2_MIN_SALT = 8  # bytes; RFC 9106 asks for this much at least

# Public and the same for everybody, so that a passphrase gives the same key on every machine. An operator who gives a
# salt of their own makes tables computed for this one useless.
PASSPHRASE_SALT = "kfaar passphrase salt, version 1"

# How O_k and noise are drawn from a key (key_schedule). Faces, weights and tables of today were made with version 1.
VERSIONS = (1, 2)
IN_FORCE = 1  # of new keys

_DOMAIN = b"kfaar key, version 1"
_VERSIONED = re.compile(r"kfaar-key-([1-9][0-9]{0,8}):")
_LONGEST_TEXT = 16_384  # bytes of a file of keys that are looked at; a key has 128 digits at most
_LENGTHS = f"a key has {MIN_BITS} to {MAX_BITS} bits in steps of 8, that is an even number of 2 to 128 hex digits"
_HEX = frozenset(string.hexdigits)


class UserKey:
    """An immutable key. Compares in constant time, shows only its length, refuses to be pickled."""

    __slots__ = ("_data", "_version")
    _data: bytes
    _version: int

    def __init__(self, data: bytes, version: int = IN_FORCE) -> None:
        """A key of these bytes; `version` is one of VERSIONS.

        Raises:
            BadKey: fewer than 1 or more than 64 bytes, or another version.
        """
        _check_bits(8 * len(data))
        if version not in VERSIONS:
            raise BadKey(
                got="the key states a version that this program does not know",
                mend="use a newer program, or the key as it was saved",
            )
        object.__setattr__(self, "_data", bytes(data))
        object.__setattr__(self, "_version", version)

    @classmethod
    def generate(cls, bits: int = 256) -> UserKey:
        """KeyGen: a new key from the operating system's random source."""
        _check_bits(bits)
        return cls(secrets.token_bytes(bits // 8))

    @classmethod
    def parse(cls, text: str) -> UserKey:
        """The key that `text` or a key file spells; white space around it and the case of the digits do not matter.

        Raises:
            BadKey: no digits, a character that is no hex digit, an odd number of digits, a length that no key has, an
                unknown version.
        """
        digits, version = text.strip(), 1
        if start := _VERSIONED.match(digits):
            digits, version = digits[start.end() :], int(start[1])
        if not digits:
            raise BadKey(got="the key is empty", mend=_LENGTHS)
        if not digits.isascii():
            raise BadKey(
                got="the key holds a character outside ASCII", mend="write it with the digits 0-9 and a-f only"
            )
        wrong = next((place for place, digit in enumerate(digits, start=1) if digit not in _HEX), None)
        if wrong is not None:
            raise BadKey(
                got=f"character {wrong} of the key is not a hex digit", mend="write it with the digits 0-9 and a-f only"
            )
        if len(digits) % 2:
            raise BadKey(
                got=f"the key has an odd number of hex digits ({len(digits)})",
                mend="look for a digit that is missing or one too many",
            )
        return cls(bytes.fromhex(digits), version)

    @classmethod
    def from_passphrase(
        cls, text: str, salt: str = PASSPHRASE_SALT, bits: int = 256, version: int = IN_FORCE
    ) -> UserKey:
        """The key that a passphrase stands for: Argon2id, then SHAKE-256 to the length asked for.

        Text is NFKC-normalised, so that every keyboard's way of typing an accent gives the same key. Keys of different
        lengths from one passphrase have nothing in common.

        Raises:
            BadKey: an empty passphrase, one that is no valid Unicode, a salt under 8 bytes, a length that no key has.
        """
        _check_bits(bits)
        if not text.strip():
            raise BadKey(got="the passphrase is empty", mend="type a few words that only you know")
        secret, grains = _normalised(text), _normalised(salt)
        if len(grains) < ARGON2_MIN_SALT:
            raise BadKey(
                got=f"the passphrase's salt has {len(grains)} bytes", mend=f"use one of {ARGON2_MIN_SALT} bytes or more"
            )
        root = hash_secret_raw(
            secret, grains, ARGON2_PASSES, ARGON2_MEMORY_KIB, ARGON2_LANES, ARGON2_BYTES, Type.ID, version=0x13
        )
        return cls(shake(_DOMAIN, f"passphrase to {bits} bits", root, bits // 8), version)

    @classmethod
    def load(cls, path: Path) -> UserKey:
        """The key in a text file, as `save` writes it or of hex digits alone.

        Raises:
            BadKey: no such file, not readable, or not a key. The file is not named: people paste keys in its place.
        """
        return cls.parse(read_text(path, "the key file"))

    def save(self, path: Path, force: bool = False) -> None:
        """Write version, hex digits and a newline to a file that only its owner can read (mode 0600).

        Raises:
            BadOutput: the file exists (a link counts) and not `force`, or it cannot be written.
        """
        write_whole(Path(path), self.content(), force=force, private=True)

    def content(self) -> bytes:
        """What a key file holds."""
        return f"{stated(self._version)}{self.hex()}\n".encode("ascii")

    @property
    def bits(self) -> int:
        """Length in bits."""
        return 8 * len(self._data)

    @property
    def version(self) -> int:
        """Of the procedure that draws from it (key_schedule)."""
        return self._version

    @property
    def data(self) -> bytes:
        """The key itself, bits // 8 bytes."""
        return self._data

    def hex(self) -> str:
        """The key itself, as bits // 4 lower-case hex digits."""
        return self._data.hex()

    def text(self) -> str:
        """The key itself, as `parse` reads it: the hex digits, behind the version unless that is 1."""
        return before_digits(self._version) + self.hex()

    def flip(self, positions: Sequence[int]) -> UserKey:
        """The key with these bits turned over; position 0 is the first (most significant) bit, as in `signs`.

        Raises:
            BadSetting: a position outside the key, or named twice.
        """
        if any(not 0 <= position < self.bits for position in positions):
            raise BadSetting(
                got=f"a bit position outside a key of {self.bits} bits", mend=f"use positions from 0 to {self.bits - 1}"
            )
        if len(set(positions)) != len(positions):
            raise BadSetting(got="a bit position that is named twice", mend="name each position once")
        number = int.from_bytes(self._data)
        for position in positions:
            number ^= 1 << (self.bits - 1 - position)
        return UserKey(number.to_bytes(len(self._data)), self._version)

    def flip_random(self, count: int, rng: np.random.Generator) -> UserKey:
        """The key with `count` different bits turned over, drawn from `rng`.

        Raises:
            BadSetting: fewer than none or more than all bits.
        """
        if not 0 <= count <= self.bits:
            raise BadSetting(
                got=f"{count} bits to flip in a key of {self.bits} bits", mend=f"flip between 0 and {self.bits} bits"
            )
        return self.flip([int(position) for position in rng.choice(self.bits, size=count, replace=False)])

    def next(self) -> UserKey:
        """Another key of the same length, always the same one for this key (VI-C-2: when faces come too close)."""
        for step in count():  # one round, but for about one key of 8 bits in 256, which would be its own follower
            follower = UserKey(self.expand(f"next key, round {step}", len(self._data)), self._version)
            if follower != self:
                return follower
        raise AssertionError("unreachable")

    def signs(self) -> np.ndarray:
        """The bits as the projector takes them: (bits,) float32, +1.0 for a one, -1.0 for a zero, first bit first."""
        bits = np.unpackbits(np.frombuffer(self._data, dtype=np.uint8))  # (K,)
        return bits.astype(np.float32) * 2 - 1

    def expand(self, purpose: str, size: int) -> bytes:
        """`size` bytes that look random to whoever lacks the key: SHAKE-256, independent for each purpose and key."""
        return shake(_DOMAIN, purpose, self._data, size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserKey):
            return NotImplemented
        return hmac.compare_digest(self._data, other._data) and self._version == other._version

    def __hash__(self) -> int:
        return hash((UserKey, self._data, self._version))

    def __repr__(self) -> str:
        return f"UserKey({self.bits} bits)"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a UserKey cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a UserKey cannot be changed")

    def __copy__(self) -> UserKey:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> UserKey:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a UserKey is not pickled, so that it reaches no cache or log: use save()")


def stated(version: int) -> str:
    """What stands before the digits in a key file."""
    return f"kfaar-key-{version}:"


def before_digits(version: int) -> str:
    """What stands before the digits where a key is shown: digits alone are a key of version 1."""
    return "" if version == 1 else stated(version)


def read_key(spec: str, ask: Callable[[str], str] = getpass, stdin: TextIO | None = None) -> UserKey:
    """The key that a command line names: HEX, `@FILE`, `@-` (first line of standard input) or `pass:` (asks).

    Args:
        ask: shows its argument and returns what was typed, unseen.
        stdin: None takes the process's standard input at the time of the call.
    Raises:
        BadKey: everything that `parse`, `load` and `from_passphrase` refuse; a passphrase behind `pass:`.
    """
    if spec == "@-":
        return UserKey.parse(_first_line(sys.stdin if stdin is None else stdin))
    if spec == "@":
        raise BadKey(got="there is no file name behind @", mend="write @FILE, or @- for standard input")
    if spec.startswith("@"):
        return UserKey.load(Path(spec[1:]).expanduser())
    if spec == "pass:":
        return UserKey.from_passphrase(_asked(ask))
    if spec.startswith("pass:"):
        raise BadKey(
            got="a passphrase stands on the command line, where other programs can read it",
            mend="write only pass: and type it when asked",
        )
    try:
        return UserKey.parse(spec)
    except BadKey as error:
        raise BadKey(got=error.got, mend=f"{error.mend}; a key file is given as @FILE") from None


def read_text(path: Path, called: str) -> str:
    """The start of a text file that a user names, in UTF-8, or in UTF-16 when its first bytes say so.

    Raises:
        BadKey: no such file, or not readable.
    """
    try:
        with open(path, "rb") as stream:
            return _decoded(stream.read(_LONGEST_TEXT))
    except FileNotFoundError:
        raise BadKey(got=f"{called} does not exist", mend="check its name and folder") from None
    except IsADirectoryError:
        raise BadKey(got=f"{called} is a folder", mend="give the name of the file inside it") from None
    except (OSError, ValueError):
        raise BadKey(got=f"{called} cannot be read", mend="check its name and that you may read it") from None


def _decoded(content: bytes) -> str:
    """Text of an editor: its byte order mark, if any, says how it is written and is no part of it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


ZXCVBN_LONGEST = 32  # characters that are weighed: a strong start is enough, and 72 with many signs take it seconds
FIRST_TRIED, SOON_TRIED = 1e4, 1e10  # guesses; at ARGON2's tenth of a second each, 17 minutes and 32 years of one core

# Ours, by hand: words and sayings that a guesser tries first. Compared without case, spaces and signs.
COMMON_PASSPHRASES = frozenset(
    """
    password passphrase passwort motdepasse contrasena mypassword mypassphrase thepassword secretpassword
    secret topsecret mysecret letmein pleaseletmein openthedoor opensesame changeme changemenow welcome welcomehome
    qwerty qwertyuiop qwertyuiopasdfghjkl asdfghjkl zxcvbnm qwertz qwertzuiop azerty azertyuiop abcdefghijkl
    abcdefghijklmnopqrstuvwxyz administrator superuser iloveyou iloveyouforever iloveyousomuch loveyouforever
    sunshine princess football baseball basketball dragon monkey master shadow superman batman starwars trustno
    correcthorsebatterystaple tobeornottobe thequickbrownfox thequickbrownfoxjumpsoverthelazydog maytheforcebewithyou
    helloworld onceuponatime testtesttest thisismypassword thisisasecret faceanonymization faceanonymisation kfaar
    """.split()  # noqa: SIM905 - a paragraph reads better than sixty quoted lines
)


def weak_passphrase(text: str) -> str | None:
    """A sentence for the user when a guesser would soon find this passphrase, otherwise None. Never quotes it."""
    from zxcvbn import zxcvbn  # here, because it reads its lists of words when it is imported

    plain = unicodedata.normalize("NFKC", text)
    letters = "".join(character for character in plain.casefold() if character.isalnum())
    forms = [form[:ZXCVBN_LONGEST] for form in (plain, letters) if form]
    guesses = min((float(zxcvbn(form, user_inputs=sorted(COMMON_PASSPHRASES))["guesses"]) for form in forms), default=0)
    if guesses < FIRST_TRIED:
        return "This passphrase is among the first that anybody tries; choose a few words that do not belong together."
    if guesses < SOON_TRIED:
        return "This passphrase would be guessed soon; choose four or five words that do not belong together."
    return None


def _check_bits(bits: int) -> None:
    if bits % 8 or not MIN_BITS <= bits <= MAX_BITS:
        raise BadKey(got="the key is empty" if bits == 0 else f"a key of {bits} bits", mend=_LENGTHS)


def shake(domain: bytes, purpose: str, secret: bytes, size: int) -> bytes:
    """SHAKE-256 (FIPS 202) of domain, purpose and secret, each behind its length so that no two inputs run together."""
    parts = (domain, purpose.encode(), secret)
    return hashlib.shake_256(b"".join(len(part).to_bytes(4) + part for part in parts)).digest(size)


def _normalised(text: str) -> bytes:
    plain = unicodedata.normalize("NFKC", text)
    if any(unicodedata.category(character) == "Cs" for character in plain):  # half of a surrogate pair: no UTF-8 form
        raise BadKey(got="the passphrase holds a broken character", mend="type it anew instead of pasting it")
    return plain.encode()


def _first_line(stdin: TextIO | None) -> str:
    """Of standard input, by its bytes: how the terminal encodes text says nothing about a file that is piped in."""
    if stdin is None:  # closed
        return ""
    if not hasattr(stdin, "buffer"):
        return stdin.readline(_LONGEST_TEXT)
    line = stdin.buffer.readline(_LONGEST_TEXT)
    return _decoded(line + (stdin.buffer.read(1) if line.startswith(codecs.BOM_UTF16_LE) else b""))


def _asked(ask: Callable[[str], str]) -> str:
    """What was typed, or piped in: without the end of line of another system and without a byte order mark."""
    try:
        return ask("Passphrase: ").rstrip("\r\n").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except (EOFError, AttributeError):  # AttributeError: getpass, when standard input is closed
        return ""
    except UnicodeDecodeError:  # holds what was read, so it must not travel on
        return "\ud800"
