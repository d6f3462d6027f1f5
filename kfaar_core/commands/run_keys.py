"""Which key each face of a run of anonymise gets, and the key file that remembers it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kfaar_core.commands.options import new_passphrase_ring, ring_of
from kfaar_core.commands.outputs import KEY_FILE, OutputPath, key_file, label
from kfaar_core.errors import BadOutput, BadSetting
from kfaar_core.files import NewFile
from kfaar_core.keyring import (
    KeyRing,
    Person,
    RecordedFace,
    check_master,
    checked_label,
    derived_key,
    faces_in,
    holds_ring,
    new_nonce,
)
from kfaar_core.keys import UserKey

if TYPE_CHECKING:
    from kfaar_core.records import VirtualFace

COST = (
    "one key for all faces of this run: whoever knows a few dozen of the photos with their virtual faces can find out "
    "who the others are; docs/security.md has the numbers"
)


@dataclass(frozen=True)
class KeyWishes:
    """What the options say about keys."""

    spec: str | None  # None: a key is made
    person: str | None  # everybody is this one
    one_key: bool
    fresh: bool
    every_face: bool  # --face all
    alone: bool  # one photo, not a folder's
    stateless: bool = False  # no person is enrolled

    def check(self) -> None:
        """Raises BadSetting where one wish leaves nothing of another."""
        wishes = {"--person": self.person is not None, "--one-key": self.one_key, "--fresh": self.fresh}
        named = [name for name, wished in wishes.items() if wished]
        if len(named) > 1:
            raise BadSetting(got=f"{named[0]} and {named[1]} exclude each other", mend="leave one of them out")
        if self.person is not None and self.every_face:
            raise BadSetting(got="--person names one person and --face all means several", mend="leave one of them out")
        if self.person is not None:
            checked_label(self.person)

    @property
    def derived(self) -> bool:
        """Whether faces get keys that are derived from the run's; else it is used itself."""
        many = not self.alone or self.every_face
        return not self.one_key and (many or self.fresh or self.person is not None)

    def home(self, output: Path) -> Path | None:
        """The key file of the run, which need not be there yet; a plain key that was given is written nowhere.

        Raises:
            BadSetting: --fresh, and no key file to keep its nonces in.
        """
        named = self.named
        beside = key_file(output) if self.alone else output / KEY_FILE
        if named is not None and self.derived and named.is_file() and holds_ring(named):  # a pipe is read only once
            return named
        if self.alone:
            home = beside if self.derived and self.spec is None else None
        else:
            wanted = self.spec is None or (self.spec == "pass:" and self.derived)
            home = beside if wanted or beside.is_file() else None
        if home is None and self.fresh:
            raise BadSetting(
                got="--fresh needs a key file, to keep what tells its keys apart",
                mend="leave out --key, or give it a key file such as keygen -o FILE.json makes",
            )
        return home

    def goes_on(self, home: Path | None) -> bool:
        """Whether the key file of the run is there already and stays in force."""
        return home is not None and home.is_file() and (not self.alone or home == self.named)

    @property
    def named(self) -> Path | None:
        """The file that --key names."""
        if self.spec is None or not self.spec.startswith("@") or self.spec in ("@", "@-"):
            return None
        return Path(self.spec[1:]).expanduser()


@dataclass
class RunKeys:
    """The keys of a run. What is learned of people stays in `ring`, which the key file repeats."""

    wishes: KeyWishes
    ring: KeyRing
    home: Path | None  # the key file; None: a key that was made goes beside its picture, a given one nowhere
    goes_on: bool  # the key file is there

    @classmethod
    def open(cls, wishes: KeyWishes, home: Path | None) -> RunKeys:
        """Read or make the master key, after everything that can be refused was refused.

        Raises:
            BadKey: see keyring.read_ring. BadOutput: the key file of the output has another master key than --key.
        """
        goes_on = wishes.goes_on(home)
        ring = _ring(wishes, home, goes_on)
        if wishes.derived:
            check_master(ring.master)
        return cls(wishes, ring, home, goes_on)

    @property
    def made(self) -> bool:
        """Whether this program made the key, so that it may be passed over for another one."""
        return self.wishes.spec is None

    def path_of(self, picture: Path) -> str:
        """Of a picture, from the key file's folder."""
        return path_from(self.home or picture, picture)


def path_from(key_file: Path, picture: Path) -> str:
    """The path of a picture from a key file's folder, with slashes."""
    return label(Path(os.path.relpath(picture.resolve(), key_file.resolve().parent)))


def recorded(home: Path | None) -> frozenset[str]:
    """The pictures that a key file knows.

    Raises:
        BadKey: it is none.
    """
    return frozenset() if home is None or not home.is_file() else frozenset(face.picture for face in faces_in(home))


def _ring(wishes: KeyWishes, home: Path | None, goes_on: bool) -> KeyRing:
    spec = wishes.spec
    if home is not None and goes_on:
        ring = ring_of(f"@{home}")
        same = spec is None or home == wishes.named or (spec == "pass:" and ring.salt is not None)
        if not same and ring_of(spec or "").master != ring.master:
            raise BadOutput(
                got=f"the key file {home.name!r} of this output has another master key than --key",
                mend="choose another output, or leave --key out to go on with the key file's",
            )
        return ring
    if spec == "pass:" and home is not None:
        return new_passphrase_ring()
    return KeyRing(UserKey.generate()) if spec is None else ring_of(spec)


@dataclass
class PhotoKeys:
    """The keys of the faces of one photo, as pipeline and servers ask for them."""

    run: RunKeys
    target: OutputPath
    people: dict[int, Person] = field(default_factory=dict)  # number of the face -> whose key it got
    ring: KeyRing | None = None  # with this photo, once it is recorded

    def label(self, number: int) -> str | None:
        """Whose key the face gets; None is the key itself."""
        wishes = self.run.wishes
        if not wishes.derived:
            return None
        if wishes.person is not None:
            return wishes.person
        if wishes.fresh:
            one = self.run.path_of(self.target.output)
        else:
            one = self.target.name if wishes.every_face else self.target.person
        return f"{one} face {number + 1}" if wishes.every_face else one

    def enrols(self) -> bool:
        """Whether the photo's label is a person's, who looks the same in all their photos.

        A photo that counts as a person of its own has no later photos, and faces are numbered by size, not by person.
        """
        wishes, run = self.run.wishes, self.run
        named = wishes.person is not None or self.target.person != self.target.name
        return (
            named
            and wishes.derived
            and run.home is not None
            and not (wishes.stateless or wishes.fresh or wishes.every_face)
        )

    def enrolled(self) -> bytes | None:
        """The person of an earlier photo under this photo's label, sealed; None without an earlier photo."""
        label = checked_label(self.label(0) or "") if self.enrols() else None
        return self.run.ring.person(label).enrolled if label in self.elsewhere() else None

    def enrol(self, number: int, sealed: bytes) -> None:
        """Keep the person of a face for later photos."""
        self.people[number] = replace(self.people[number], enrolled=sealed)

    def elsewhere(self) -> set[str | None]:
        """The labels of all other pictures of the key file."""
        run = self.run
        return {face.label for face in run.ring.faces if face.picture != run.path_of(self.target.output)}

    def tries(self, most: int) -> int:
        """How often a rejected face may get another key: never one that was given, or that other pictures have."""
        run = self.run
        if run.wishes.fresh or (run.made and run.home is None):
            return most
        if not run.made or not run.wishes.derived:
            return 0
        return 0 if not run.wishes.every_face and self.label(0) in self.elsewhere() else most

    def key_of(self, number: int, rejected: int) -> UserKey:
        """The key of a face; see servers.KeyOf. Another key is a new nonce in the person's entry."""
        name, ring = self.label(number), self.run.ring
        if name is None:
            return ring.master
        person = ring.person(checked_label(name))
        if rejected or self.run.wishes.fresh:
            person = replace(person, nonce=new_nonce(), enrolled=None)  # an enrolment belongs to the key that drew it
        self.people[number] = person
        return derived_key(ring.master, name, person.nonce)

    def file(self, output: Path) -> Path | None:
        """Where the key of a picture is kept."""
        if self.run.home is not None:
            return self.run.home
        return key_file(output) if self.run.made else None

    def record(self, faces: Sequence[tuple[Path, VirtualFace]]) -> NewFile | None:
        """The key file with these pictures and their people, for files.write_together; None where none is kept."""
        run = self.run
        if run.home is None:
            return None
        there = run.goes_on and run.home.is_file()
        ring = run.ring.again(run.home) if there else run.ring
        for person in self.people.values():
            ring = ring.with_person(person)
        labelled = [
            RecordedFace(run.path_of(output), box_of(face), self.people[number].label if self.people else None)
            for number, (output, face) in enumerate(faces)
        ]
        for picture in dict.fromkeys(face.picture for face in labelled):
            ring = ring.with_picture(picture, [face for face in labelled if face.picture == picture])
        self.ring = ring
        return NewFile(run.home, ring.content(), private=True, replace=there)

    def written(self) -> None:
        """What record answered was written."""
        if self.ring is not None:
            self.run.ring, self.run.goes_on = self.ring, True


def box_of(face: VirtualFace) -> tuple[int, int, int, int]:
    """Where the face was found in the photo."""
    left, top, right, bottom = (round(float(edge)) for edge in face.crop.face.box)
    return left, top, right, bottom
