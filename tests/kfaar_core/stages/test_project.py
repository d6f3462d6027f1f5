from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from kfaar_core.errors import BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.stages.project import PROJECTORS, FloorProjector, IdentityMap, check_projector, rotation_of

KEY = UserKey.parse("00" * 31 + "01")


def test_a_key_is_an_orthogonal_matrix_always_the_same():
    turn = rotation_of(KEY, 32)
    np.testing.assert_allclose(turn @ turn.T, np.eye(32), atol=1e-12)
    np.testing.assert_array_equal(turn, rotation_of(UserKey.parse(KEY.hex()), 32))


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_one_bit_turns_everything(bit):
    """Two independent rotations of 32 dimensions agree by tr(A^T B) of about N(0, 1), where the same one gives 32."""
    agreement = np.trace(rotation_of(KEY, 32).T @ rotation_of(KEY.flip([bit]), 32))
    assert abs(agreement) < 4


def test_keys_of_two_lengths_turn_differently():
    assert abs(np.trace(rotation_of(UserKey.parse("00"), 16).T @ rotation_of(UserKey.parse("0000"), 16))) < 4


def test_rotations_are_haar_distributed():
    """The trace of a Haar matrix is nearly N(0, 1), half of the matrices mirror, every entry is symmetric about 0."""
    turns = np.stack([rotation_of(UserKey(number.to_bytes(2)), 12) for number in range(800)])
    assert stats.kstest(np.trace(turns, axis1=1, axis2=2), "norm").pvalue > 1e-3
    assert abs((np.linalg.det(turns) > 0).mean() - 0.5) < 4 * 0.5 / 800**0.5
    # QR alone, without the signs, gives a first entry that never is positive.
    assert abs(turns[:, 0, 0].mean()) < 4 / (12 * 800) ** 0.5
    assert abs(turns[:, 11, 11].mean()) < 4 / (12 * 800) ** 0.5


def test_identities_are_centred_mapped_and_of_unit_length(rng):
    mean, rows = rng.standard_normal(6), rng.standard_normal((3, 6))
    identity = IdentityMap({"identity.mean": torch.from_numpy(mean), "identity.map": torch.from_numpy(rows)})
    features = rng.standard_normal((5, 6))
    found = identity(features)
    assert identity.dimension == 3
    np.testing.assert_allclose((found**2).sum(axis=1), 1)
    np.testing.assert_allclose(identity(mean + 7 * (features - mean)), found)  # only the direction from the mean counts
    np.testing.assert_allclose(identity(features[2]), found[2])


@pytest.fixture
def projector(rng) -> FloorProjector:
    """Payload in the first 4 latent entries, the look in the next 8; E's feature is the identity itself."""
    identity = IdentityMap({"identity.mean": torch.zeros(4), "identity.map": torch.eye(4)})
    state = {"latent.mean": np.full(1536, 0.5), "payload": np.eye(1536)[:, :4], "nuisance": np.eye(1536)[:, 4:12]}
    return FloorProjector({name: torch.from_numpy(values) for name, values in state.items()}, identity)


def test_the_latent_carries_the_turned_identity_and_a_look_of_the_key(projector):
    u = np.array([0.6, 0.0, -0.8, 0.0])
    found = projector(u, KEY)
    assert found.latent.shape == (3, 512) and found.latent.dtype == torch.float32 and found.space == "w"
    flat = found.latent.flatten().numpy() - 0.5
    assert np.linalg.norm(flat[:4]) == pytest.approx(2.0, rel=1e-5)  # sqrt(d): one sd a dimension
    np.testing.assert_allclose(rotation_of(KEY, 4).T @ flat[:4] / 2, u, atol=1e-6)
    assert np.abs(flat[4:12]).min() > 0 and not flat[12:].any()


def test_the_look_depends_on_the_key_alone(projector):
    a, b = np.eye(4)[:2]
    first, second = (projector(u, KEY).latent.flatten() for u in (a, b))
    assert torch.equal(first[4:], second[4:]) and not torch.equal(first[:4], second[:4])
    assert not torch.equal(projector(a, KEY.flip([9])).latent.flatten()[4:12], first[4:12])
    assert torch.equal(projector(a, KEY).latent.flatten(), first)


def test_projectors_by_name():
    assert [check_projector(name) for name in ("floor", "hashed", "bits")] == list(PROJECTORS)
    with pytest.raises(BadSetting, match="floor, hashed, bits"):
        check_projector("mlp")
