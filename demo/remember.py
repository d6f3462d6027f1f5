"""The person whom a key remembers (kfaar_core.enrolment), as text: sealed, in the visitor's browser and their key file.

The server keeps nothing of it. The browser sends what its page holds with every photo, one sealed person a line.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from dataclasses import dataclass, field

from kfaar_core import enrolment
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey
from kfaar_core.records import EnrolledPerson, VirtualFace


@dataclass(frozen=True)
class Remembered:
    """A person and their seal."""

    person: EnrolledPerson
    sealed: str = field(repr=False)


def known(held: str, key: UserKey, networks: bytes) -> Remembered | None:
    """The person among those held who is of this key and these networks; None if nobody is.

    Args:
        held: base64, one person a line; what is none, is damaged or has another key is passed over.
        networks: see demo.core.Core.fingerprint.
    """
    for line in held.split():
        with suppress(BadKey, binascii.Error):
            return Remembered(enrolment.opened(base64.b64decode(line, validate=True), key, networks), line)
    return None


def sealed(face: VirtualFace, networks: bytes) -> str:
    """The person whom a face shows, as base64; empty if its method draws none."""
    if face.person is None:
        return ""
    return base64.b64encode(enrolment.sealed(face.person, face.key, networks)).decode("ascii")
