"""An enrolled person as some three kilobytes for a key file or a session, sealed under the person's key.

Sealed are the latent of the first virtual face, which later photos take up, and u of the first photo, by which later
photos are recognised (docs/key-schedule.md has the bytes). Whoever has the key opens it, and u is the person's
identity: docs/security.md says what that adds.
"""

from __future__ import annotations

import secrets

import numpy as np

from kfaar_core.errors import BadKey
from kfaar_core.keyring import hkdf_sha256
from kfaar_core.keys import UserKey
from kfaar_core.records import EnrolledPerson

WIDTH = 512  # of a latent: one w for each layer group, or for each layer; u is shorter
TAG_BYTES, NONCE_BYTES, SEAL_BYTES = 8, 12, 16  # of the networks' fingerprint, and of AES-GCM
_DOMAIN = b"kfaar enrolled person, version 1"
_NUMBER = np.dtype("<f2")


def sealed(person: EnrolledPerson, key: UserKey, networks: bytes) -> bytes:
    """Seal a person under the key that draws them.

    Args:
        networks: fingerprint of the networks, which alone can use the latent; the first TAG_BYTES are kept.
    """
    tag, nonce = networks[:TAG_BYTES], secrets.token_bytes(NONCE_BYTES)
    numbers = np.concatenate([np.ravel(person.latent), np.ravel(person.identity)]).astype(_NUMBER)
    return tag + nonce + _cipher(key).encrypt(nonce, numbers.tobytes(), tag)


def opened(data: bytes, key: UserKey, networks: bytes) -> EnrolledPerson:
    """The person that `sealed` sealed.

    Raises:
        BadKey: another key, damaged bytes, or other networks.
    """
    from cryptography.exceptions import InvalidTag

    tag, nonce, rest = data[:TAG_BYTES], data[TAG_BYTES : TAG_BYTES + NONCE_BYTES], data[TAG_BYTES + NONCE_BYTES :]
    if tag != networks[:TAG_BYTES]:
        raise BadKey(
            got="the person of this key was enrolled with other networks or another method",
            mend="use the program and the method that enrolled them, or --stateless, or another label",
        )
    try:
        numbers = np.frombuffer(_cipher(key).decrypt(nonce, rest, tag), dtype=_NUMBER).astype(np.float32)
    except (InvalidTag, ValueError):
        raise BadKey(
            got="the enrolled person does not open with this key, or the bytes are damaged",
            mend="use a copy of the key file as it was saved",
        ) from None
    size = len(numbers) // WIDTH * WIDTH
    latent, identity = numbers[:size].reshape(-1, WIDTH).copy(), numbers[size:].astype(np.float64)
    return EnrolledPerson(latent=latent, identity=identity)


def _cipher(key: UserKey):  # type: ignore[no-untyped-def]  # the package is imported late: most commands seal nothing
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hkdf_sha256(key.data, b"", _DOMAIN, 32))
