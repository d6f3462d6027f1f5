from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from kfaar_core.errors import BadKey, BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.methods import names
from kfaar_core.methods.bits import BitsProjector, bits_net, checked_bits
from kfaar_core.methods.floor import FloorProjector
from kfaar_core.methods.hashed import HashedProjector, hashed_net
from kfaar_core.metrics.random_direction import law_test
from kfaar_core.nets.projector_net import LEADING, BitsNet, HashedNet
from kfaar_core.presets import check_projector
from kfaar_core.stages.identify import IdentityMap, rotation_of
from kfaar_core.stages.latent import NaturalSpace

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


# ---- hashed

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


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_hashed_face_carries_the_turned_identity_and_a_look_of_the_key(rng):
    u = unit(rng.standard_normal(D))
    found = hashed()(u, KEY)
    np.testing.assert_allclose(found.payload.code, rotation_of(KEY, D) @ u)
    np.testing.assert_allclose(found.payload.identity, u)
    assert found.latent.shape == (3, 512) and found.latent.dtype == torch.float32 and found.space == "w"
    v = drawn(hashed(), u, KEY)
    np.testing.assert_allclose(rotation_of(KEY, D).T @ v[0, CODE], 4 * u, atol=1e-5)  # sqrt(d): one sd a dimension
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
    twin = rotation_of(other, D).T @ rotation_of(KEY, D) @ u
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


# ---- bits


class Mirror:
    """M that turns z over; its mean style is 1 everywhere."""

    w_mean = torch.ones(512)

    def map(self, z: torch.Tensor) -> torch.Tensor:
        return -z

    def render(self, w_plus: torch.Tensor, side: int = 512) -> torch.Tensor:
        raise AssertionError("P renders nothing")


def bits_states(truncation: float = 0.7, mean: float = 0.0, scale: float = 1.0) -> dict[int, dict[str, torch.Tensor]]:
    states = {}
    for bits in (8, 128, 256):
        torch.manual_seed(bits)
        state = {f"net.{name}": tensor for name, tensor in BitsNet(6, bits, hidden=16).state_dict().items()}
        scaling = {"feature.mean": torch.full((6,), mean), "feature.scale": torch.tensor(scale)}
        states[bits] = {**state, **scaling, "truncation": torch.tensor(truncation)}
    return states


def bits_form(**changes: float) -> BitsProjector:
    return BitsProjector(bits_states(**changes), Mirror())


@pytest.mark.parametrize("bits", [8, 128, 256])
def test_the_bits_of_the_key_go_through_a_network_of_its_length_then_m(rng, bits):
    feature, key = rng.standard_normal(6), UserKey(rng.bytes(bits // 8))
    found = bits_form()(feature, key)
    assert found.latent.shape == (3, 512) and found.latent.dtype == torch.float32 and found.space == "w"
    assert torch.equal(found.latent[0], found.latent[1]) and torch.equal(found.latent[0], found.latent[2])
    assert torch.equal(bits_form()(feature, key).latent, found.latent)
    for changed in (bits_form()(feature, key.flip([bits - 1])), bits_form()(feature + 1, key)):
        assert not torch.equal(changed.latent, found.latent)


def test_truncation_leads_to_the_mean_face(rng):
    feature = rng.standard_normal(6)
    none, half, all_of_it = (bits_form(truncation=share)(feature, KEY).latent for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, torch.ones(3, 512))
    torch.testing.assert_close(half, (none + all_of_it) / 2)
    z = BitsNet(6, 256, hidden=16)
    z.load_state_dict({name.removeprefix("net."): t for name, t in bits_states()[256].items() if "net." in name})
    expected = -z(torch.from_numpy(feature).float()[None], torch.tensor(KEY.signs())[None])[0]
    torch.testing.assert_close(all_of_it[0], expected.detach())


def test_features_are_taken_as_they_stand_among_training_people(rng):
    feature = rng.standard_normal(6)
    moved = bits_form(mean=3.0, scale=0.5)(3 + 0.5 * feature, KEY).latent
    torch.testing.assert_close(moved, bits_form()(feature, KEY).latent, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bits", [16, 64, 512])
def test_bits_refuses_other_lengths_in_a_sentence_without_the_key(rng, bits):
    key = UserKey(rng.bytes(bits // 8))
    with pytest.raises(BadKey) as caught:
        bits_form()(np.zeros(6), key)
    sentence = str(caught.value)
    assert f"{bits} bits" in sentence and "8, 128, 256" in sentence and "hashed" in sentence
    assert key.hex() not in sentence


def test_bits_are_signs_the_first_bit_first():
    assert checked_bits(UserKey.parse("81"), (8,)).tolist() == [1, -1, -1, -1, -1, -1, -1, 1]


def test_projectors_by_name():
    assert [check_projector(name) for name in ("floor", "hashed", "bits")] == list(names)
    with pytest.raises(BadSetting, match="floor, hashed, bits"):
        check_projector("mlp")


@pytest.mark.parametrize("hidden", [8, 16])
def test_a_trained_network_is_built_from_its_state_alone(rng, hidden):
    """Its sizes are those of its tensors; as weights are kept, in half precision too."""
    torch.manual_seed(0)
    trained = {"hashed": HashedNet(4, 6, hidden), "bits": BitsNet(5, 8, hidden)}
    state = {
        name: {f"net.{key}": tensor.half() for key, tensor in net.state_dict().items()} for name, net in trained.items()
    }
    found = {"hashed": hashed_net(state["hashed"], 4), "bits": bits_net(state["bits"], 8)}
    assert (found["hashed"].code, found["hashed"].look) == (4, 6)
    for name, inputs in (
        ("hashed", (torch.randn(2, 4), torch.randn(2, 6))),
        ("bits", (torch.randn(2, 5), torch.ones(2, 8))),
    ):
        with torch.no_grad():
            torch.testing.assert_close(found[name](*inputs), trained[name](*inputs), atol=1e-2, rtol=1e-2)
        assert not found[name].training and not any(tensor.requires_grad for tensor in found[name].parameters())
