from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kfaar_core.enrolment import opened, sealed
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey
from kfaar_core.records import EnrolledPerson

KEY = UserKey(bytes(range(32)))
NETWORKS = b"fingerprint of the networks"
RNG = np.random.default_rng(0)
PERSON = EnrolledPerson(RNG.standard_normal((3, 512)).astype(np.float32), RNG.standard_normal(64) / 8)


def test_a_person_comes_back_in_half_precision():
    data = sealed(PERSON, KEY, NETWORKS)
    found = opened(data, KEY, NETWORKS)
    np.testing.assert_allclose(found.latent, PERSON.latent, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.identity, PERSON.identity, rtol=1e-3, atol=1e-6)
    assert found.latent.shape == (3, 512) and found.latent.dtype == np.float32
    assert len(data) == 8 + 12 + 2 * (3 * 512 + 64) + 16


def test_a_person_with_a_w_for_every_layer_comes_back_too():
    person = EnrolledPerson(RNG.standard_normal((23, 512)).astype(np.float32), PERSON.identity)
    found = opened(sealed(person, KEY, NETWORKS), KEY, NETWORKS)
    np.testing.assert_allclose(found.latent, person.latent, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.identity, person.identity, rtol=1e-3, atol=1e-6)


def test_the_bytes_are_those_of_the_documentation():
    """docs/key-schedule.md: opened with the package's own primitives."""
    data = sealed(PERSON, KEY, NETWORKS)
    derived = HKDF(hashes.SHA256(), 32, bytes(32), b"kfaar enrolled person, version 1").derive(KEY.data)
    plain = AESGCM(derived).decrypt(data[8:20], data[20:], data[:8])
    numbers = np.concatenate([PERSON.latent.ravel(), PERSON.identity]).astype("<f2")
    assert data[:8] == NETWORKS[:8] and plain == numbers.tobytes()


def test_two_seals_share_nothing_but_the_networks():
    one, two = (sealed(PERSON, KEY, NETWORKS) for _ in range(2))
    assert one[:8] == two[:8] and one[8:20] != two[8:20] and one[20:] != two[20:]


@pytest.mark.parametrize("change", ["key", "byte", "cut", "networks", "empty"])
def test_what_does_not_open_says_why_and_nothing_else(change):
    data = sealed(PERSON, KEY, NETWORKS)
    key, networks, said = KEY, NETWORKS, "does not open with this key"
    if change == "key":
        key = KEY.flip([0])
    elif change == "byte":
        data = data[:100] + bytes([data[100] ^ 1]) + data[101:]
    elif change == "cut":
        data = data[:25]
    elif change == "networks":
        networks, said = b"others", "other networks"
    else:
        data, said = b"", "other networks"
    with pytest.raises(BadKey, match=said) as error:
        opened(data, key, networks)
    assert KEY.hex() not in str(error.value)
