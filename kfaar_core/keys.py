"""User keys k: KeyGen (Section III), and reading and writing keys.

A key is a bit string of 8 to 512 bits with the version of its key schedule. Its text form is hex, most significant bit
first. Digits alone are a key of version 1. The prefix `kfaar-key-2:` states version 2. A key file always has a prefix.
No error, repr, log or pickle contains a key or a passphrase.
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

# Argon2id with the second recommended option of RFC 9106, section 4, for machines without the 2 GiB of memory of the
# first option. 64 MiB and three passes take about a tenth of a second, for the user and for each guess of an attacker.
ARGON2_PASSES = 3
ARGON2_MEMORY_KIB = 64 * 1024
ARGON2_LANES = 4
ARGON2_BYTES = 32
ARGON2_MIN_SALT = 8  # bytes; RFC 9106 asks for this much at least

# Public and the same for everybody: a passphrase gives the same key on every machine. An operator with another salt
# makes tables that were precomputed for this one useless.
PASSPHRASE_SALT = "kfaar passphrase salt, version 1"

# Versions of the key schedule, the derivation of O_k and noise from a key. Committed weights and tables use version 1.
VERSIONS = (1, 2)
IN_FORCE = 1  # of new keys

_DOMAIN = b"kfaar key, version 1"
_VERSIONED = re.compile(r"kfaar-key-([1-9][0-9]{0,8}):")
_LONGEST_TEXT = 16_384  # bytes of a key file that are read; a key has at most 128 digits
_LENGTHS = f"a key has {MIN_BITS} to {MAX_BITS} bits in steps of 8, that is an even number of 2 to 128 hex digits"
_HEX = frozenset(string.hexdigits)


class UserKey:
    """An immutable key. It is compared in constant time, its repr shows only the length, and it cannot be pickled."""

    __slots__ = ("_data", "_version")
    _data: bytes
    _version: int

    def __init__(self, data: bytes, version: int = IN_FORCE) -> None:
        """
        Args:
            data: 1 to 64 bytes.
            version: of the key schedule, one of VERSIONS.

        Raises:
            BadKey: another number of bytes or another version.
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
        """KeyGen: a new key of `bits` bits from the operating system's random source.

        Raises:
            BadKey: `bits` is not a multiple of 8 from 8 to 512.
        """
        _check_bits(bits)
        return cls(secrets.token_bytes(bits // 8))

    @classmethod
    def parse(cls, text: str) -> UserKey:
        """Parse the text form of a key. White space around it and the case of the digits are ignored.

        Raises:
            BadKey: no digits, a character that is not a hex digit, an odd number of digits, an invalid length, an
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
        """Derive a key from a passphrase: Argon2id, then SHAKE-256 to `bits` bits.

        The text is NFKC-normalised: accents give the same key however a keyboard encodes them. Keys of different
        lengths from one passphrase are independent.

        Raises:
            BadKey: an empty passphrase, invalid Unicode, a salt under 8 bytes, or an invalid length.
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
        """Read a key file, as `save` writes it or with hex digits alone.

        Raises:
            BadKey: no such file, not readable, or not a key. The error does not quote the path, because users may paste
                a key in its place.
        """
        return cls.parse(read_text(path, "the key file"))

    def save(self, path: Path, force: bool = False) -> None:
        """Write version and hex digits to a file that only its owner can read (mode 0600).

        Args:
            force: replace an existing file.

        Raises:
            BadOutput: the path exists (also as a symbolic link) and `force` is false, or it cannot be written.
        """
        write_whole(Path(path), self.content(), force=force, private=True)

    def content(self) -> bytes:
        """The content of a key file: version, hex digits, newline."""
        return f"{stated(self._version)}{self.hex()}\n".encode("ascii")

    @property
    def bits(self) -> int:
        """Length in bits."""
        return 8 * len(self._data)

    @property
    def version(self) -> int:
        """Version of the key schedule."""
        return self._version

    @property
    def data(self) -> bytes:
        """The key as bits // 8 bytes. Secret."""
        return self._data

    def hex(self) -> str:
        """The key as bits // 4 lower-case hex digits. Secret."""
        return self._data.hex()

    def text(self) -> str:
        """The text form that `parse` reads: hex digits, with a version prefix unless the version is 1. Secret."""
        return before_digits(self._version) + self.hex()

    def flip(self, positions: Sequence[int]) -> UserKey:
        """A copy of the key with these bits flipped; position 0 is the most significant bit, as in `signs`.

        Raises:
            BadSetting: a position outside the key, or the same position twice.
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
        """A copy of the key with `count` different random bits flipped.

        Raises:
            BadSetting: `count` is negative or larger than the number of bits.
        """
        if not 0 <= count <= self.bits:
            raise BadSetting(
                got=f"{count} bits to flip in a key of {self.bits} bits", mend=f"flip between 0 and {self.bits} bits"
            )
        return self.flip([int(position) for position in rng.choice(self.bits, size=count, replace=False)])

    def next(self) -> UserKey:
        """The next key: a different key of the same length, derived from this one (VI-C-2: for rejected faces)."""
        for step in count():  # one round, except for about one 8-bit key in 256 that would be its own successor
            follower = UserKey(self.expand(f"next key, round {step}", len(self._data)), self._version)
            if follower != self:
                return follower
        raise AssertionError("unreachable")

    def signs(self) -> np.ndarray:
        """The bits as input of P: (bits,) float32, +1.0 for a one, -1.0 for a zero, most significant bit first."""
        bits = np.unpackbits(np.frombuffer(self._data, dtype=np.uint8))  # (K,)
        return bits.astype(np.float32) * 2 - 1

    def expand(self, purpose: str, size: int) -> bytes:
        """Derive `size` pseudorandom bytes with SHAKE-256. Different purposes give independent bytes."""
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
    """The prefix of the digits in a key file."""
    return f"kfaar-key-{version}:"


def before_digits(version: int) -> str:
    """The prefix of the digits in a key's text form; empty for version 1."""
    return "" if version == 1 else stated(version)


def read_key(spec: str, ask: Callable[[str], str] = getpass, stdin: TextIO | None = None) -> UserKey:
    """Read the key of a command line option.

    Args:
        spec: hex digits, `@FILE`, `@-` (first line of standard input) or `pass:` (asks for a passphrase).
        ask: prompts for a passphrase without echo, like getpass.
        stdin: None takes the standard input of the process.

    Raises:
        BadKey: as `parse`, `load` and `from_passphrase`; also for a passphrase on the command line, after `pass:`.
    """
    if spec == "@-":
        return UserKey.parse(_first_line(sys.stdin if stdin is None else stdin))
    if spec == "@":
        raise BadKey(got="there is no file name behind @", mend="write @FILE, or @- for standard input")
    if spec.startswith("@"):
        return UserKey.load(Path(spec[1:]).expanduser())
    if spec == "pass:":
        return UserKey.from_passphrase(asked(ask))
    if spec.startswith("pass:"):
        raise BadKey(
            got="a passphrase stands on the command line, where other programs can read it",
            mend="write only pass: and type it when asked",
        )
    try:
        return UserKey.parse(spec)
    except BadKey as error:
        raise BadKey(got=error.got, mend=f"{error.mend}; a key file is given as @FILE") from None


def read_text(path: Path, called: str, longest: int = _LONGEST_TEXT) -> str:
    """Read the first `longest` bytes of a text file in UTF-8, or in UTF-16 with a byte order mark.

    Args:
        path: of the file.
        called: how errors name the file, for example "the key file".
        longest: bytes that are read; the default is 16 KiB.

    Raises:
        BadKey: no such file, or not readable.
    """
    try:
        with open(path, "rb") as stream:
            return _decoded(stream.read(longest))
    except FileNotFoundError:
        raise BadKey(got=f"{called} does not exist", mend="check its name and folder") from None
    except IsADirectoryError:
        raise BadKey(got=f"{called} is a folder", mend="give the name of the file inside it") from None
    except (OSError, ValueError):
        raise BadKey(got=f"{called} cannot be read", mend="check its name and that you may read it") from None


def _decoded(content: bytes) -> str:
    """Decode text by its byte order mark, UTF-8 without one; the mark is removed."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


ZXCVBN_LONGEST = 32  # characters that are rated; zxcvbn takes seconds for 72 characters with many symbols
FIRST_TRIED, SOON_TRIED = 1e4, 1e10  # guesses; at 0.1 s each (Argon2id), 17 minutes and 32 years of one core

# Our own list of passphrases that attackers try first. Compared without case, spaces and symbols.
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
    """A warning for the user if the passphrase is easy to guess, otherwise None. It never quotes the passphrase."""
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
    """`size` bytes of SHAKE-256 (FIPS 202) of domain, purpose and secret, each prefixed by its length."""
    parts = (domain, purpose.encode(), secret)
    return hashlib.shake_256(b"".join(len(part).to_bytes(4) + part for part in parts)).digest(size)


def _normalised(text: str) -> bytes:
    plain = unicodedata.normalize("NFKC", text)
    if any(unicodedata.category(character) == "Cs" for character in plain):  # half of a surrogate pair: no UTF-8 form
        raise BadKey(got="the passphrase holds a broken character", mend="type it anew instead of pasting it")
    return plain.encode()


def _first_line(stdin: TextIO | None) -> str:
    """The first line of standard input, decoded from bytes: a piped file need not have the terminal's encoding."""
    if stdin is None:  # closed
        return ""
    if not hasattr(stdin, "buffer"):
        return stdin.readline(_LONGEST_TEXT)
    line = stdin.buffer.readline(_LONGEST_TEXT)
    return _decoded(line + (stdin.buffer.read(1) if line.startswith(codecs.BOM_UTF16_LE) else b""))


def asked(ask: Callable[[str], str], prompt: str = "Passphrase: ") -> str:
    """The passphrase that was typed or piped in, without line end and byte order mark."""
    try:
        return ask(prompt).rstrip("\r\n").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    except (EOFError, AttributeError):  # AttributeError: getpass, when standard input is closed
        return ""
    except UnicodeDecodeError:  # contains the input, so it must not be raised further
        return "\ud800"
