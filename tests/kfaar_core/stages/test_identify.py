from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.metrics.random_direction import law_test
from kfaar_core.stages import tiny as tiny_stages
from kfaar_core.stages.identify import FaceReader, IdentityMap, RotationIdentifier, compare, reader_net
from kfaar_core.stages.linear import LinearReader, unit

WIDE, D = 48, 32
RIGHT, WRONG = UserKey.parse("0f" * 32), UserKey.parse("f0" * 32)


def test_a_key_is_an_orthogonal_matrix_always_the_same():
    turn = rotation(RIGHT, 32)
    np.testing.assert_allclose(turn @ turn.T, np.eye(32), atol=1e-12)
    np.testing.assert_array_equal(turn, rotation(UserKey.parse(RIGHT.hex()), 32))


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_one_bit_turns_everything(bit):
    """Two independent rotations of 32 dimensions agree by tr(A^T B) of about N(0, 1), where the same one gives 32."""
    agreement = np.trace(rotation(RIGHT, 32).T @ rotation(RIGHT.flip([bit]), 32))
    assert abs(agreement) < 4


def test_keys_of_two_lengths_turn_differently():
    assert abs(np.trace(rotation(UserKey.parse("00"), 16).T @ rotation(UserKey.parse("0000"), 16))) < 4


def test_rotations_are_haar_distributed():
    """The trace of a Haar matrix is nearly N(0, 1), half of the matrices mirror, every entry is symmetric about 0."""
    turns = np.stack([rotation(UserKey(number.to_bytes(2)), 12) for number in range(800)])
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
def identifier(rng) -> RotationIdentifier:
    def random(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape))

    identity = IdentityMap({"identity.mean": random(WIDE), "identity.map": random(D, WIDE)})
    return RotationIdentifier(
        identity, LinearReader({"reader.mean": random(WIDE), "reader.map": random(D, WIDE)}, "reader")
    )


@pytest.fixture
def exact() -> RotationIdentifier:
    """Reader and identity map pass their feature through: the feature of x_v is what the projector wrote."""
    eye, zero = torch.eye(D), torch.zeros(D)
    return RotationIdentifier(
        IdentityMap({"identity.mean": zero, "identity.map": eye}),
        LinearReader({"reader.mean": zero, "reader.map": eye}, "reader"),
    )


def test_the_right_key_turns_the_payload_back(exact, rng):
    u = unit(rng.standard_normal(D))
    written = rotation(RIGHT, D) @ u
    np.testing.assert_allclose(exact.virtual(written, RIGHT), exact.original(u))
    assert abs(exact.virtual(written, WRONG) @ u) < 0.7
    np.testing.assert_allclose(exact.virtual(np.stack([written, u]), RIGHT)[0], u, atol=1e-12)  # rows of a batch


def test_all_read_outs_have_unit_length(identifier, rng):
    features = rng.standard_normal((4, WIDE))
    for found in (identifier.original(features), identifier.virtual(features, RIGHT), identifier.keyless(features[0])):
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1)
    assert identifier.dimension == D and identifier.keyless(features[0]).shape == (2, D)


def test_wrong_keys_follow_the_law_of_a_random_direction(identifier, rng):
    """2,000 keys that differ from the right one in one to three bits, each with its own pair of features."""
    reference = identifier.original(rng.standard_normal((2000, WIDE)))
    keys = [RIGHT.flip_random(1 + number % 3, rng) for number in range(2000)]
    read = np.stack(
        [identifier.virtual(f, key) for f, key in zip(rng.standard_normal((2000, WIDE)), keys, strict=True)]
    )
    found = law_test((read * reference).sum(axis=1), D)
    assert found.p_value > 0.01 and abs(found.mean) < 0.02 and found.sd == pytest.approx(found.expected_sd, rel=0.06)


def test_one_pair_of_faces_under_many_keys_follows_it_too(identifier, rng):
    """What an adversary sees who tries keys on one virtual face."""
    virtual, original = rng.standard_normal((2, WIDE))
    reference = identifier.original(original)
    keys = (UserKey(number.to_bytes(2)) for number in range(2000))
    found = law_test(np.array([identifier.virtual(virtual, key) @ reference for key in keys]), D)
    assert found.p_value > 0.01


def test_condition_2_compares_under_the_key(exact, rng):
    u = unit(rng.standard_normal(D))
    written = rotation(RIGHT, D) @ u
    right, wrong = (compare(exact, written, u, key, threshold=0.7) for key in (RIGHT, WRONG))
    assert right.cosine == pytest.approx(1) and right.same_person and right.key_used
    assert not wrong.same_person and wrong.dimension == D and wrong.threshold == 0.7
    assert "k)" in right.compared


def test_condition_1_takes_the_most_similar_read_out(identifier, rng):
    virtual, original = rng.standard_normal((2, WIDE))
    found = compare(identifier, virtual, original, None, threshold=0.7)
    each = [float(read @ identifier.original(original)) for read in identifier.keyless(virtual)]
    assert found.cosine == pytest.approx(max(each)) and min(each) < max(each)
    assert not found.key_used and "no key" in found.compared
    itself = compare(identifier, original, original, None, threshold=0.7)
    assert itself.cosine == pytest.approx(1) and itself.same_person  # a face that was never anonymised


def test_a_cosine_at_the_threshold_is_accepted(exact):
    feature = np.eye(D)[0]
    assert compare(exact, feature, feature, None, threshold=1.0).same_person
    assert not compare(exact, feature, feature, None, threshold=np.nextafter(1.0, 2)).same_person


def test_h_weighs_whole_sights_around_their_mean(rng):
    mean, rows = rng.standard_normal(6), rng.standard_normal((3, 6))
    read = LinearReader({"code.mean": torch.from_numpy(mean), "code.map": torch.from_numpy(rows)}, "code")
    sight = rng.standard_normal((4, 6))
    found = read(sight)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(read(mean + 7 * (sight - mean)), found)
    np.testing.assert_allclose(read(sight[2]), found[2])
    np.testing.assert_allclose(np.cross(found[0], rows @ (sight[0] - mean)), 0, atol=1e-9)


def test_h_of_a_tensor_is_h_before_it_is_made_unit(rng):
    mean, rows = rng.standard_normal(WIDE), rng.standard_normal((D, WIDE))
    read = LinearReader({"code.mean": torch.from_numpy(mean), "code.map": torch.from_numpy(rows)}, "code")
    sights = torch.from_numpy(rng.standard_normal((3, WIDE)).astype(np.float32)).requires_grad_()
    found = read.tensor(sights)
    np.testing.assert_allclose(unit(found.detach().numpy()), read(sights.detach().numpy()), atol=1e-5)
    found[:, 0].sum().backward()
    np.testing.assert_allclose(sights.grad[1], rows[0], rtol=1e-5)


# ---- F


@pytest.mark.parametrize("with_e", [False, True], ids=["F", "E and F"])
def test_a_face_is_read_and_nothing_beside_it(photo, tiny, with_e):
    reader = FaceReader(tiny_stages.reader_state(), torch.device("cpu"), tiny.encoder if with_e else None)
    pixels = np.pad(np.kron(photo.pixels, np.ones((4, 4, 1), np.uint8)), ((80, 80), (80, 80), (0, 0)), mode="edge")
    landmarks = 4 * tiny.locator.locate(photo).landmarks + 80
    found = reader(pixels, landmarks)
    width = with_e * tiny_stages.FEATURES + tiny_stages.STYLES_READ + tiny_stages.DIMENSION
    assert found.dtype == np.float32 and found.shape == (width,)
    np.testing.assert_array_equal(reader(pixels, landmarks), found)
    beside, face = pixels.copy(), pixels.copy()
    reach = 48 if with_e else 24  # px: the pixels of the tiny E's crop are large
    low, high = landmarks[:, :2].min(axis=0) - reach, landmarks[:, :2].max(axis=0) + reach
    y, x = np.mgrid[: beside.shape[0], : beside.shape[1]]
    outside = (x < low[0]) | (x > high[0]) | (y < low[1]) | (y > high[1])
    beside[outside] = 255 - beside[outside]
    face[~outside] = 255 - face[~outside]
    assert outside.mean() > 0.2
    np.testing.assert_allclose(reader(beside, landmarks), found, rtol=0, atol=2e-3 * with_e)
    assert np.abs(reader(face, landmarks) - found).max() > (0.1 if with_e else 1e-3)


def test_f_reads_the_texture_and_the_shape(photo, tiny):
    """A net that is deaf to one of the two shows that the other arrives."""
    landmarks, plain = (
        tiny.locator.locate(photo).landmarks,
        np.full_like(photo.pixels, 180),
    )  # whose texture no shape changes
    bent = landmarks.copy()
    bent[5] += 3  # px: one point of the rim
    for deaf in ("texture", "shape"):
        state = tiny_stages.reader_state()
        state[f"net.{deaf}_axes"].zero_()
        reader = FaceReader(state, torch.device("cpu"))
        by_texture = np.abs(reader(photo.pixels, landmarks) - reader(plain, landmarks)).max()
        by_shape = np.abs(reader(plain, bent) - reader(plain, landmarks)).max()
        assert (by_texture > 1e-3, by_shape > 1e-4) == (deaf == "shape", deaf == "texture")


def test_f_is_loaded_from_half_precision_too():
    state = {name.removeprefix("net."): t for name, t in tiny_stages.reader_state().items() if name.startswith("net.")}
    net, half = reader_net(state), reader_net({name: tensor.half() for name, tensor in state.items()})
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    x = torch.randn(2, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    shape = net.mean_shape + torch.randn(2, 478, 2, generator=torch.Generator().manual_seed(1))
    assert half.mean_shape.dtype == torch.float32
    torch.testing.assert_close(half(x, shape), net(x, shape), atol=0.05, rtol=0.05)
