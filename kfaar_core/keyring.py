"""A master key, the keys derived from it, and the key file that keeps both: docs/key-schedule.md, docs/security.md.

One key for many people can be found from known pairs of photo and virtual face. So each person gets a key of their
own, which the master key and the person's label give. Nobody gets from a derived key to the master or to another's.
"""

from __future__ import annotations

import base64
import getpass
import json
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from kfaar_core.errors import BadKey
from kfaar_core.files import NewFile, write_together
from kfaar_core.keys import UserKey, asked, read_key, read_text

FORMAT = 2  # of key files; 1 are the lines that keys.UserKey.save writes
SERVICE = "kfaar"
MIN_MASTER_BITS = 128  # a shorter master could be guessed by whoever is handed one of its derived keys  [design]
DERIVED_BITS = 256
NONCE_BYTES = SALT_BYTES = 16
LONGEST_FILE = 1 << 26  # bytes of a key file that are read; a face takes about 100
LONGEST_LABEL = 1000  # characters

_DOMAIN = "person key, version 1"
_LARGE = 1e9  # no pixel comes near


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF of RFC 5869 with SHA-256: `size` bytes, at most 8160; an empty salt is one of zeros."""
    from cryptography.hazmat.primitives.hashes import SHA256  # here: most commands derive nothing
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=size, salt=salt or None, info=info).derive(secret)


def derived_key(master: UserKey, label: str, nonce: bytes | None = None) -> UserKey:
    """The key of 256 bits that a master gives a person, of the master's version.

    Args:
        label: who; NFC-normalised, so that it does not matter which system wrote a folder's name.
        nonce: another key for the same label.
    Raises:
        BadKey: a master of fewer than 128 bits, a label that cannot be one, an empty nonce.
    """
    check_master(master)
    if nonce is not None and not nonce:
        raise BadKey(got="the nonce is empty", mend="give one with bytes, or none")
    parts = (SERVICE.encode(), _DOMAIN.encode(), checked_label(label).encode(), nonce or b"")
    info = b"".join(len(part).to_bytes(4) + part for part in parts)
    return UserKey(hkdf_sha256(master.data, b"", info, DERIVED_BITS // 8), master.version)


def check_master(key: UserKey) -> None:
    """Raises BadKey for a key that is too short for a master."""
    if key.bits < MIN_MASTER_BITS:
        raise BadKey(
            got=f"no keys are derived from a key of {key.bits} bits: whoever is handed one could guess the master",
            mend=f"use a master key of {MIN_MASTER_BITS} bits or more, or --one-key",
        )


def checked_label(label: str) -> str:
    """The label in its normal form.

    Raises:
        BadKey: empty, too long, or with a control character or one that is no valid Unicode.
    """
    plain = unicodedata.normalize("NFC", label)
    if not plain.strip() or len(plain) > LONGEST_LABEL or any(map(unwritable, plain)):
        raise BadKey(
            got="a person's label is empty, too long, or holds a character that cannot be shown",
            mend=f"use a name of 1 to {LONGEST_LABEL} letters, digits and signs",
        )
    return plain


def unwritable(character: str) -> bool:
    """Whether a label may not have it: a control character, or half of a surrogate pair."""
    return unicodedata.category(character) in ("Cc", "Cs")


@dataclass(frozen=True)
class Person:
    """One entry of a key file."""

    label: str | None  # None: the owner, whose key is the master itself
    nonce: bytes | None = field(default=None, repr=False)
    look: int | None = field(default=None, repr=False)  # seed of a look that was chosen
    enrolled: bytes | None = field(default=None, repr=False)  # the person of the first photo, see kfaar_core.enrolment


@dataclass(frozen=True)
class RecordedFace:
    """Whose key a face of a picture has."""

    picture: str  # path of the virtual picture from the key file's folder, with slashes
    box: tuple[int, int, int, int]  # left, top, right, bottom in pixels of the photo
    label: str | None


@dataclass(frozen=True)
class KeyRing:
    """What a key file holds. A plain key is a ring without people."""

    master: UserKey = field(repr=False)
    salt: str | None = field(default=None, repr=False)  # 32 hex digits: master is a passphrase's, and stays unwritten
    people: tuple[Person, ...] = ()
    faces: tuple[RecordedFace, ...] = ()

    def person(self, label: str | None) -> Person:
        """The entry of this label, or what an entry with nothing but the label would be."""
        return next((person for person in self.people if person.label == label), Person(label))

    def key(self, label: str | None) -> UserKey:
        """The key of a person; None is the owner.

        Raises:
            BadKey: see derived_key.
        """
        return self.master if label is None else derived_key(self.master, label, self.person(label).nonce)

    def with_person(self, person: Person) -> KeyRing:
        """The ring with this entry, in the place of an older one of the same label."""
        if person.label is not None:
            person = replace(person, label=checked_label(person.label))
        kept = tuple(other for other in self.people if other.label != person.label)
        return replace(self, people=(*kept, person))

    def with_picture(self, picture: str, faces: Iterable[RecordedFace]) -> KeyRing:
        """The ring with these as all faces of the picture."""
        kept = tuple(face for face in self.faces if face.picture != picture)
        return replace(self, faces=(*kept, *faces))

    def labels_of(self, picture: str) -> tuple[str | None, ...]:
        """Whose keys a picture may have: those of its path, else of its name, else nobody's."""
        for matches in (
            [face.label for face in self.faces if face.picture == picture],
            [face.label for face in self.faces if _name(face.picture) == _name(picture)],
        ):
            if matches:
                return tuple(dict.fromkeys(matches))
        return ()

    def labels(self) -> tuple[str | None, ...]:
        """Everybody, the owner first."""
        return tuple(dict.fromkeys((None, *(person.label for person in self.people))))

    def content(self) -> bytes:
        """The key file."""
        master = None if self.salt is not None else self.master.text()
        people = [
            {
                "label": person.label,
                "nonce": None if person.nonce is None else person.nonce.hex(),
                "look": person.look,
                "enrolled": None if person.enrolled is None else base64.b64encode(person.enrolled).decode("ascii"),
            }
            for person in self.people
        ]
        faces = [{"picture": face.picture, "box": list(face.box), "label": face.label} for face in self.faces]
        fields = {"kfaar": FORMAT, "master": master, "salt": self.salt, "people": people, "faces": faces}
        written = ",\n ".join(f'"{name}": {_lines(value)}' for name, value in fields.items())
        return f"{{{written}}}\n".encode("ascii")

    def save(self, path: Path, force: bool = False) -> None:
        """Write the key file in one step, for its owner alone (mode 0600).

        Raises:
            BadOutput: the file exists and not `force`, or it cannot be written.
        """
        write_together([NewFile(Path(path), self.content(), private=True)], force=force)

    @classmethod
    def load(cls, path: Path, ask: Callable[[str], str] = getpass.getpass) -> KeyRing:
        """The ring in a key file, or the plain key. A file with a salt alone asks for its passphrase.

        Raises:
            BadKey: no such file, not readable, or not a key. Nothing that it holds is quoted, nor its name.
        """
        return cls.parse(_text(path), ask)

    @classmethod
    def parse(cls, text: str, ask: Callable[[str], str] = getpass.getpass) -> KeyRing:
        """The ring that the text of a key file spells; see load."""
        if not _is_ring(text):
            return cls(UserKey.parse(text))
        written = _written(text)
        master = written.master or UserKey.from_passphrase(asked(ask), salt=written.salt or "")
        return cls(master, written.salt, written.people, written.faces)

    def again(self, path: Path) -> KeyRing:
        """What the ring's file holds now, which another run may have changed.

        Raises:
            BadKey: see load; or the file is another ring's by now.
        """
        written = _written(_text(path))
        if written.salt != self.salt or written.master not in (None, self.master):
            raise BadKey(got="the key file has another master key by now", mend="give each run an output of its own")
        return replace(self, people=written.people, faces=written.faces)

    @classmethod
    def of_passphrase(cls, text: str) -> KeyRing:
        """A new ring whose master is a passphrase's, with a fresh salt.

        Raises:
            BadKey: see keys.UserKey.from_passphrase.
        """
        salt = secrets.token_hex(SALT_BYTES)
        return cls(UserKey.from_passphrase(text, salt=salt), salt)


def read_ring(spec: str, ask: Callable[[str], str] = getpass.getpass, stdin: TextIO | None = None) -> KeyRing:
    """The ring that a command line names: a key file as `@FILE`, or any plain key that keys.read_key knows.

    Raises:
        BadKey: see keys.read_key and KeyRing.parse.
    """
    if spec.startswith("@") and spec not in ("@", "@-"):
        return KeyRing.load(Path(spec[1:]).expanduser(), ask)
    return KeyRing(read_key(spec, ask, stdin))


def holds_ring(path: Path) -> bool:
    """Whether a key file has the format of this module, rather than a plain key.

    Raises:
        BadKey: no such file, or not readable.
    """
    return _is_ring(_text(path))


def faces_in(path: Path) -> tuple[RecordedFace, ...]:
    """The faces of a key file, which no passphrase hides.

    Raises:
        BadKey: see KeyRing.load.
    """
    return _written(_text(path)).faces


def new_nonce() -> bytes:
    """Of the system's random source."""
    return secrets.token_bytes(NONCE_BYTES)


# ---- what a key file may hold; no sentence quotes it


@dataclass(frozen=True)
class _Written:
    """A key file, its passphrase not yet asked for."""

    master: UserKey | None = field(repr=False)
    salt: str | None = field(repr=False)
    people: tuple[Person, ...]
    faces: tuple[RecordedFace, ...]


def _text(path: Path) -> str:
    return read_text(path, "the key file", LONGEST_FILE)


def _is_ring(text: str) -> bool:
    return text.lstrip().startswith("{")


def _written(text: str) -> _Written:
    try:
        record = _Fields(json.loads(text, object_pairs_hook=_once), "the key file", _FILE)
    except (ValueError, RecursionError):  # of json, whose messages quote the text
        raise _unknown("is no JSON, or was cut short", "use a copy of the file as it was saved") from None
    if record["kfaar"] != FORMAT or isinstance(record["kfaar"], bool):
        raise _unknown("states a version that this program does not know", "use a newer program")
    people = tuple(_person(entry) for entry in _list(record["people"], "people"))
    faces = tuple(_face(entry) for entry in _list(record["faces"], "faces"))
    _check_labels(people, faces)
    return _Written(*_secret(record["master"], record["salt"]), people, faces)


_FILE = ("kfaar", "master", "salt", "people", "faces")
_PERSON = ("label", "nonce", "look", "enrolled")
_UNUSED = "code"  # a field of older files, in which it was always null
_FACE = ("picture", "box", "label")


class _Fields:
    """A JSON object with the fields that it must have, and no other."""

    def __init__(self, value: Any, called: str, names: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise _unknown(f"holds something else where {called} should be", f"{called} has {', '.join(names)}")
        if set(value) - set(names):
            raise _unknown(
                f"has a field in {called} that this program does not know",
                f"use the program that wrote it; known are {', '.join(names)}",
            )
        if missing := [name for name in names if name not in value]:
            raise _unknown(f"lacks {missing[0]!r} in {called}", "use a copy of the file as it was saved")
        self._values: dict[str, Any] = value

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    """JSON lets a field stand twice; then programs differ about which one counts."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise _unknown("states a field twice", "use a copy of the file as it was saved")
    return dict(pairs)


def _unknown(what: str, mend: str) -> BadKey:
    return BadKey(got=f"the key file {what}", mend=mend)


def _wrong(what: str, should: str) -> BadKey:
    return _unknown(f"has {what} that is none", f"use a copy of the file as it was saved; {should}")


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(f"a list {name!r}", "it stands in square brackets")
    return value


def _secret(master: Any, salt: Any) -> tuple[UserKey | None, str | None]:
    if salt is not None and _hex(salt) is None:
        raise _wrong("a salt", "it is hex or null")
    if (master is None) == (salt is None):
        raise _unknown(
            "must have either a master key or the salt of a passphrase", "use a copy of the file as it was saved"
        )
    if master is None:
        return None, salt
    if not isinstance(master, str):
        raise _wrong("a master key", "it is a key in hex or null")
    return UserKey.parse(master), None


def _person(value: Any) -> Person:
    if isinstance(value, dict) and value.get(_UNUSED, value) is None:
        value = {name: field for name, field in value.items() if name != _UNUSED}
        value.setdefault("enrolled", None)
    entry = _Fields(value, "an entry of 'people'", _PERSON)
    nonce, look = entry["nonce"], entry["look"]
    if nonce is not None and not (nonce := _hex(nonce)):
        raise _wrong("a nonce", "it is hex or null")
    if look is not None and (not isinstance(look, int) or isinstance(look, bool) or not 0 <= look < 2**64):
        raise _wrong("a look", "it is a whole number from 0 or null")
    label = _label(entry["label"])
    if label is None and nonce is not None:
        raise _unknown("gives a nonce to the owner, whose key is the master itself", "give that entry a label")
    return Person(label, nonce, look, _enrolled(entry["enrolled"]))


def _enrolled(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise _wrong("an enrolled person", "it is base64 or null") from None


def _face(value: Any) -> RecordedFace:
    entry = _Fields(value, "an entry of 'faces'", _FACE)
    picture, box = entry["picture"], entry["box"]
    if not isinstance(picture, str) or not picture:
        raise _wrong("a picture's name", "it is text")
    if not isinstance(box, list) or len(box) != 4 or not all(_finite(number) for number in box):
        raise _wrong("a box", "it is left, top, right, bottom in pixels")
    left, top, right, bottom = (round(number) for number in box)
    return RecordedFace(picture, (left, top, right, bottom), _label(entry["label"]))


def _check_labels(people: Iterable[Person], faces: Iterable[RecordedFace]) -> None:
    labels = [person.label for person in people]
    if len(set(labels)) < len(labels):
        raise _unknown("lists a person twice", "use a copy of the file as it was saved")
    if {face.label for face in faces} - {None, *labels}:
        raise _unknown("has a face of a person whom it does not list", "use a copy of the file as it was saved")


def _label(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _wrong("a label", "it is text or null")
    return None if value is None else checked_label(value)


def _hex(value: Any) -> bytes | None:
    """At least 8 bytes, which keys.UserKey.from_passphrase asks of a salt, and at most 64."""
    if not isinstance(value, str) or not value.isascii() or not 16 <= len(value) <= 128 or not value.isalnum():
        return None
    try:
        return bytes.fromhex(value)
    except ValueError:
        return None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGE < value < _LARGE


def _lines(value: Any) -> str:
    """JSON, in ASCII, each entry of a list on a line of its own."""
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"


def _name(picture: str) -> str:
    return picture.rpartition("/")[2]
