"""`hashed`: trained networks behind a rotation that the key seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.hashed import HashedProjector, hashed_net
from kfaar_core.methods.rotated import TwoViewReader
from kfaar_core.metrics.random_direction import law_test
from kfaar_core.nets.projector_net import LEADING, HashedNet
from kfaar_core.stages.identify import IdentityMap, RotationIdentifier
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.stages.linear import LinearReader, unit

KEY = UserKey.parse("00" * 31 + "01")
D, LOOK = 16, 8
CODE, LOOKS = slice(1, D + 1), slice(D + 1, D + LOOK + 1)  # natural coordinates, behind the first, which is the key's
NATURAL = {"natural.mean": torch.zeros(512), "natural.basis": torch.eye(512)}
SPACE = NaturalSpace(NATURAL)


def hashed(dimension: int = D, size: float = 0.3) -> HashedProjector:
    """The code goes into the first natural coordinates of the coarse layers and the look into the next ones."""
    net = HashedNet(dimension, LOOK, hidden=5)
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        net.straight.weight[1 : 1 + dimension + LOOK] = torch.eye(dimension + LOOK)
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    identity = IdentityMap({"identity.mean": torch.zeros(dimension), "identity.map": torch.eye(dimension)})
    return HashedProjector({**state, **NATURAL, "look.size": torch.tensor(size)}, identity)


def drawn(projector: HashedProjector, u: np.ndarray, key: UserKey) -> np.ndarray:
    """(3, 512) natural coordinates of the face."""
    return SPACE.of_w(projector(u, key).latent).numpy()


def test_the_hashed_face_carries_the_turned_identity_and_a_look_of_the_key(rng):
    u = unit(rng.standard_normal(D))
    found = hashed()(u, KEY)
    np.testing.assert_allclose(found.payload.code, rotation(KEY, D) @ u)
    np.testing.assert_allclose(found.payload.identity, u)
    assert found.latent.shape == (3, 512) and found.latent.dtype == torch.float32
    v = drawn(hashed(), u, KEY)
    np.testing.assert_allclose(rotation(KEY, D).T @ v[0, CODE], 4 * u, atol=1e-5)  # sqrt(d): one sd a dimension
    assert np.abs(v[0, LOOKS]).min() > 0 and not v[0, LOOKS.stop : LEADING].any() and not v[1:, 1:LEADING].any()
    assert 0.25 < v[:, LEADING:].std() < 0.35  # what the network leaves open
    assert not drawn(hashed(size=0.0), u, KEY)[:, LEADING:].any()


def test_the_hashed_look_depends_on_the_key_alone(rng):
    a, b = (drawn(hashed(), unit(rng.standard_normal(D)), KEY) for _ in range(2))
    np.testing.assert_allclose(np.delete(a, CODE, axis=1), np.delete(b, CODE, axis=1), atol=1e-6)
    assert np.abs(a[0, CODE] - b[0, CODE]).max() > 0.1
    other = drawn(hashed(), rng.standard_normal(D), KEY.flip([9]))
    assert np.abs(other[0, LOOKS] - a[0, LOOKS]).max() > 0.1
    assert abs(np.corrcoef(other[:, LEADING:].ravel(), a[:, LEADING:].ravel())[0, 1]) < 0.15  # 5 standard errors


def test_the_same_photo_and_key_give_the_same_latent(rng):
    feature, projector = rng.standard_normal(D), hashed()
    first = projector(feature, KEY).latent
    assert torch.equal(projector(feature, UserKey.parse(KEY.hex())).latent, first)
    assert torch.equal(hashed()(feature, KEY).latent, first)
    torch.testing.assert_close(projector(7 * feature, KEY).latent, first)  # only the direction counts


@pytest.mark.parametrize("bits", [8, 16, 128, 264, 512])
def test_hashed_takes_a_key_of_any_length(rng, bits):
    key = UserKey(rng.bytes(bits // 8))
    v = drawn(hashed(), unit(rng.standard_normal(D)), key)
    assert np.isfinite(v).all() and np.linalg.norm(v[0, CODE]) == pytest.approx(4, rel=1e-4)


def test_a_key_keeps_distances_between_people(rng):
    """So that L_syn and L_dif depend on u alone, and no key is weaker than another."""
    people, projector = unit(rng.standard_normal((5, D))), hashed()
    for key in (KEY, KEY.flip([3])):
        codes = np.stack([drawn(projector, u, key)[0, CODE] for u in people]) / 4
        np.testing.assert_allclose(codes @ codes.T, people @ people.T, atol=1e-5)


def test_the_network_sees_no_key(rng):
    """Two people under two keys that turn them to one code get one payload: nothing else of the key goes in."""
    u, other = unit(rng.standard_normal(D)), KEY.flip([77])
    twin = rotation(other, D).T @ rotation(KEY, D) @ u
    projector = hashed()
    np.testing.assert_allclose(drawn(projector, twin, other)[0, CODE], drawn(projector, u, KEY)[0, CODE], atol=1e-5)


def test_one_wrong_bit_gives_an_unrelated_code(rng):
    projector, cosines = hashed(), []
    for number in range(256):
        key, u = UserKey(rng.bytes(32)), rng.standard_normal(D)
        near = key.flip([number])
        right, wrong = (unit(drawn(projector, u, k)[0, CODE]) for k in (key, near))
        cosines.append(right @ wrong)
    found = law_test(np.array(cosines), D)
    assert found.p_value > 0.01 and found.sd == pytest.approx(0.25, rel=0.15)


@pytest.mark.parametrize("hidden", [8, 16])
def test_a_trained_network_is_built_from_its_state_alone(hidden):
    """Its sizes are those of its tensors; as weights are kept, in half precision too."""
    torch.manual_seed(0)
    trained = HashedNet(4, 6, hidden)
    found = hashed_net({f"net.{name}": tensor.half() for name, tensor in trained.state_dict().items()}, 4)
    assert (found.code, found.noise) == (4, 6)
    inputs = torch.randn(2, 4), torch.randn(2, 6)
    with torch.no_grad():
        torch.testing.assert_close(found(*inputs), trained(*inputs), atol=1e-2, rtol=1e-2)
    assert not found.training and not any(tensor.requires_grad for tensor in found.parameters())


# ---- KVFA: F's reading stands behind E's embedding

WIDE, READ, STYLES = 48, 64, 10


def features(feature: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(..., WIDE) of E and (..., READ) -> what KVFA sees, with styles between that say nothing."""
    return np.concatenate([feature, np.full((*code.shape[:-1], STYLES), 5.0), code], axis=-1)


@pytest.fixture
def identifier(rng) -> RotationIdentifier:
    """h takes the code as F has read it, and nothing of E's feature, which says who a photo shows."""
    rows = np.concatenate([np.zeros((READ, STYLES)), np.eye(READ)], axis=1)
    state = {"code.mean": torch.zeros(rows.shape[1]), "code.map": torch.from_numpy(rows)}
    random = [torch.from_numpy(rng.standard_normal(shape)) for shape in ((WIDE,), (READ, WIDE))]
    return RotationIdentifier(
        IdentityMap({"identity.mean": random[0], "identity.map": random[1]}), LinearReader(state, "code", first=WIDE)
    )


def test_what_e_sees_of_the_whole_picture_counts_by_its_share(identifier, rng):
    """E's view and h's are two readings of one code with errors that have nothing to do with each other."""
    eye = LinearReader({"whole.mean": torch.zeros(READ), "whole.map": torch.eye(READ)}, "whole")
    rows = np.concatenate([np.zeros((READ, STYLES)), np.eye(READ)], axis=1)
    h = {"code.mean": torch.zeros(rows.shape[1]), "code.map": torch.from_numpy(rows)}
    identity = IdentityMap({"identity.mean": torch.zeros(READ), "identity.map": torch.eye(READ)})
    u = unit(rng.standard_normal((50, READ)))
    code = u @ rotation(KEY, READ).T
    views = [unit(code + 0.1 * rng.standard_normal(code.shape)) for _ in range(2)]
    seen, cosines = features(*views), {}
    for share in (0.0, 0.5, 1.0, 100.0):
        reader = TwoViewReader(LinearReader(h, "code", first=READ), eye, share)
        found = RotationIdentifier(identity, reader).virtual(seen, KEY)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
        cosines[share] = float(np.mean(np.sum(found * u, axis=1)))
    alone = [float(np.mean(np.sum(view * code, axis=1))) for view in views]
    assert cosines[0.0] == pytest.approx(alone[1]) and cosines[100.0] == pytest.approx(alone[0], abs=0.01)
    assert cosines[1.0] > cosines[0.5] > max(alone) + 0.02


def test_a_code_that_is_read_exactly_gives_the_identity_back_exactly(identifier, rng):
    photo = features(rng.standard_normal((3, WIDE)), rng.standard_normal((3, READ)))
    u = identifier.original(photo)
    virtual = features(rng.standard_normal((3, WIDE)), 0.2 * u @ rotation(KEY, READ).T)  # of any length
    np.testing.assert_allclose(identifier.virtual(virtual, KEY), u, atol=1e-12)
    np.testing.assert_allclose(identifier.virtual(virtual[1], KEY), u[1], atol=1e-12)


def test_the_right_key_loses_what_the_reading_lost_and_no_more(identifier, rng):
    u = identifier.original(rng.standard_normal((50, WIDE + STYLES + READ)))
    code = u @ rotation(KEY, READ).T
    read = unit(code + 0.1 * rng.standard_normal(code.shape))
    found = identifier.virtual(features(rng.standard_normal((50, WIDE)), read), KEY)
    np.testing.assert_allclose((found * u).sum(axis=1), (read * code).sum(axis=1))


def test_one_wrong_bit_leaves_a_random_direction_of_all_64_dimensions(identifier, rng):
    """The strictest case for the law: the code is read without error, and one bit of its own key is over."""
    cosines = []
    for number in range(1500):
        key = UserKey(rng.bytes(32))
        u = unit(rng.standard_normal(READ))
        virtual = features(np.zeros(WIDE), rotation(key, READ) @ u)
        cosines.append(identifier.virtual(virtual, key.flip([number % 256])) @ u)
    found = law_test(np.array(cosines), READ)
    assert found.p_value > 0.01 and abs(found.mean) < 0.015 and found.sd == pytest.approx(1 / 8, rel=0.08)


def test_all_neighbours_of_one_key_on_one_face_follow_it_too(identifier, rng):
    """What an adversary learns who knows the key but for one bit: nothing."""
    u = unit(rng.standard_normal(READ))
    virtual = features(np.zeros(WIDE), rotation(KEY, READ) @ u)
    found = law_test(np.array([identifier.virtual(virtual, KEY.flip([bit])) @ u for bit in range(256)]), READ)
    assert found.p_value > 0.01 and abs(found.mean) < 4 / 8 / 256**0.5


def test_without_a_key_the_face_is_read_as_a_photo_and_as_its_code(identifier, rng):
    seen = rng.standard_normal(WIDE + STYLES + READ)
    as_photo, as_code = identifier.keyless(seen)
    np.testing.assert_array_equal(as_photo, identifier.original(seen))
    np.testing.assert_allclose(as_code, unit(seen[-READ:]))
    whoever = seen.copy()
    whoever[WIDE:] = rng.standard_normal(STYLES + READ)  # F says nothing about a photo
    np.testing.assert_array_equal(identifier.original(whoever), as_photo)
