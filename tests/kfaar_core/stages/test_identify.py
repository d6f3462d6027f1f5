from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey
from kfaar_core.methods.bits import BitsIdentifier
from kfaar_core.methods.hashed import TwoViewReader
from kfaar_core.metrics.random_direction import law_test
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.stages import tiny as tiny_stages
from kfaar_core.stages.identify import FaceReader, IdentityMap, RotationIdentifier, compare, reader_net, rotation_of
from kfaar_core.stages.linear import LinearReader, unit

WIDE, D = 48, 32
RIGHT, WRONG = UserKey.parse("0f" * 32), UserKey.parse("f0" * 32)


@pytest.fixture
def recogniser(rng) -> RotationIdentifier:
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
    written = rotation_of(RIGHT, D) @ u
    np.testing.assert_allclose(exact.virtual(written, RIGHT), exact.original(u))
    assert abs(exact.virtual(written, WRONG) @ u) < 0.7
    np.testing.assert_allclose(exact.virtual(np.stack([written, u]), RIGHT)[0], u, atol=1e-12)  # rows of a batch


def test_all_read_outs_have_unit_length(recogniser, rng):
    features = rng.standard_normal((4, WIDE))
    for found in (recogniser.original(features), recogniser.virtual(features, RIGHT), recogniser.keyless(features[0])):
        np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1)
    assert recogniser.dimension == D and recogniser.keyless(features[0]).shape == (2, D)


def test_wrong_keys_follow_the_law_of_a_random_direction(recogniser, rng):
    """2,000 keys that differ from the right one in one to three bits, each with its own pair of features."""
    reference = recogniser.original(rng.standard_normal((2000, WIDE)))
    keys = [RIGHT.flip_random(1 + number % 3, rng) for number in range(2000)]
    read = np.stack(
        [recogniser.virtual(f, key) for f, key in zip(rng.standard_normal((2000, WIDE)), keys, strict=True)]
    )
    found = law_test((read * reference).sum(axis=1), D)
    assert found.p_value > 0.01 and abs(found.mean) < 0.02 and found.sd == pytest.approx(found.expected_sd, rel=0.06)


def test_one_pair_of_faces_under_many_keys_follows_it_too(recogniser, rng):
    """What an adversary sees who tries keys on one virtual face."""
    virtual, original = rng.standard_normal((2, WIDE))
    reference = recogniser.original(original)
    keys = (UserKey(number.to_bytes(2)) for number in range(2000))
    found = law_test(np.array([recogniser.virtual(virtual, key) @ reference for key in keys]), D)
    assert found.p_value > 0.01


def test_condition_2_compares_under_the_key(exact, rng):
    u = unit(rng.standard_normal(D))
    written = rotation_of(RIGHT, D) @ u
    right, wrong = (compare(exact, written, u, key, threshold=0.7) for key in (RIGHT, WRONG))
    assert right.cosine == pytest.approx(1) and right.same_person and right.key_used
    assert not wrong.same_person and wrong.dimension == D and wrong.threshold == 0.7
    assert "k)" in right.compared


def test_condition_1_takes_the_most_similar_read_out(recogniser, rng):
    virtual, original = rng.standard_normal((2, WIDE))
    found = compare(recogniser, virtual, original, None, threshold=0.7)
    each = [float(read @ recogniser.original(original)) for read in recogniser.keyless(virtual)]
    assert found.cosine == pytest.approx(max(each)) and min(each) < max(each)
    assert not found.key_used and "no key" in found.compared
    itself = compare(recogniser, original, original, None, threshold=0.7)
    assert itself.cosine == pytest.approx(1) and itself.same_person  # a face that was never anonymised


def test_a_cosine_at_the_threshold_is_accepted(exact):
    feature = np.eye(D)[0]
    assert compare(exact, feature, feature, None, threshold=1.0).same_person
    assert not compare(exact, feature, feature, None, threshold=np.nextafter(1.0, 2)).same_person


# ---- hashed: F's reading stands behind E's feature

CODE, STYLES = 64, 10


def sights(feature: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(..., WIDE) of E and (..., CODE) -> what KVFA sees, with styles between that say nothing."""
    return np.concatenate([feature, np.full((*code.shape[:-1], STYLES), 5.0), code], axis=-1)


@pytest.fixture
def hashed(rng) -> RotationIdentifier:
    """h takes the code as F has read it, and nothing of E's feature, which says who a photo shows."""
    rows = np.concatenate([np.zeros((CODE, STYLES)), np.eye(CODE)], axis=1)
    state = {"code.mean": torch.zeros(rows.shape[1]), "code.map": torch.from_numpy(rows)}
    random = [torch.from_numpy(rng.standard_normal(shape)) for shape in ((WIDE,), (CODE, WIDE))]
    return RotationIdentifier(
        IdentityMap({"identity.mean": random[0], "identity.map": random[1]}), LinearReader(state, "code", first=WIDE)
    )


def test_what_e_sees_of_the_whole_picture_counts_by_its_share(hashed, rng):
    """E's view and h's are two readings of one code with errors that have nothing to do with each other."""
    eye = LinearReader({"whole.mean": torch.zeros(CODE), "whole.map": torch.eye(CODE)}, "whole")
    rows = np.concatenate([np.zeros((CODE, STYLES)), np.eye(CODE)], axis=1)
    h = {"code.mean": torch.zeros(rows.shape[1]), "code.map": torch.from_numpy(rows)}
    identity = IdentityMap({"identity.mean": torch.zeros(CODE), "identity.map": torch.eye(CODE)})
    u = unit(rng.standard_normal((50, CODE)))
    code = u @ rotation_of(RIGHT, CODE).T
    views = [unit(code + 0.1 * rng.standard_normal(code.shape)) for _ in range(2)]
    seen, cosines = sights(*views), {}
    for share in (0.0, 0.5, 1.0, 100.0):
        reader = TwoViewReader(LinearReader(h, "code", first=CODE), eye, share)
        found = RotationIdentifier(identity, reader).virtual(seen, RIGHT)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
        cosines[share] = float(np.mean(np.sum(found * u, axis=1)))
    alone = [float(np.mean(np.sum(view * code, axis=1))) for view in views]
    assert cosines[0.0] == pytest.approx(alone[1]) and cosines[100.0] == pytest.approx(alone[0], abs=0.01)
    assert cosines[1.0] > cosines[0.5] > max(alone) + 0.02


def test_a_code_that_is_read_exactly_gives_the_identity_back_exactly(hashed, rng):
    photo = sights(rng.standard_normal((3, WIDE)), rng.standard_normal((3, CODE)))
    u = hashed.original(photo)
    virtual = sights(rng.standard_normal((3, WIDE)), 0.2 * u @ rotation_of(RIGHT, CODE).T)  # of any length
    np.testing.assert_allclose(hashed.virtual(virtual, RIGHT), u, atol=1e-12)
    np.testing.assert_allclose(hashed.virtual(virtual[1], RIGHT), u[1], atol=1e-12)


def test_the_right_key_loses_what_the_reading_lost_and_no_more(hashed, rng):
    u = hashed.original(rng.standard_normal((50, WIDE + STYLES + CODE)))
    code = u @ rotation_of(RIGHT, CODE).T
    read = unit(code + 0.1 * rng.standard_normal(code.shape))
    found = hashed.virtual(sights(rng.standard_normal((50, WIDE)), read), RIGHT)
    np.testing.assert_allclose((found * u).sum(axis=1), (read * code).sum(axis=1))


def test_one_wrong_bit_leaves_a_random_direction_of_all_64_dimensions(hashed, rng):
    """The strictest case for the law: the code is read without error, and one bit of its own key is over."""
    cosines = []
    for number in range(1500):
        key = UserKey(rng.bytes(32))
        u = unit(rng.standard_normal(CODE))
        virtual = sights(np.zeros(WIDE), rotation_of(key, CODE) @ u)
        cosines.append(hashed.virtual(virtual, key.flip([number % 256])) @ u)
    found = law_test(np.array(cosines), CODE)
    assert found.p_value > 0.01 and abs(found.mean) < 0.015 and found.sd == pytest.approx(1 / 8, rel=0.08)


def test_all_neighbours_of_one_key_on_one_face_follow_it_too(hashed, rng):
    """What an adversary learns who knows the key but for one bit: nothing."""
    u = unit(rng.standard_normal(CODE))
    virtual = sights(np.zeros(WIDE), rotation_of(RIGHT, CODE) @ u)
    found = law_test(np.array([hashed.virtual(virtual, RIGHT.flip([bit])) @ u for bit in range(256)]), CODE)
    assert found.p_value > 0.01 and abs(found.mean) < 4 / 8 / 256**0.5


def test_without_a_key_the_face_is_read_as_a_photo_and_as_its_code(hashed, rng):
    sight = rng.standard_normal(WIDE + STYLES + CODE)
    as_photo, as_code = hashed.keyless(sight)
    np.testing.assert_array_equal(as_photo, hashed.original(sight))
    np.testing.assert_allclose(as_code, unit(sight[-CODE:]))
    whoever = sight.copy()
    whoever[WIDE:] = rng.standard_normal(STYLES + CODE)  # F says nothing about a photo
    np.testing.assert_array_equal(hashed.original(whoever), as_photo)


def test_h_weighs_whole_sights_around_their_mean(rng):
    mean, rows = rng.standard_normal(6), rng.standard_normal((3, 6))
    read = LinearReader({"code.mean": torch.from_numpy(mean), "code.map": torch.from_numpy(rows)}, "code")
    sight = rng.standard_normal((4, 6))
    found = read(sight)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(read(mean + 7 * (sight - mean)), found)
    np.testing.assert_allclose(read(sight[2]), found[2])
    np.testing.assert_allclose(np.cross(found[0], rows @ (sight[0] - mean)), 0, atol=1e-9)


# ---- bits: a network takes the sight and the key

LENGTHS, SIGHT, SMALL = (8, 128, 256), 9, 4


def keyed_states(mean: float = 0.0, scale: float = 1.0) -> dict[int, dict[str, torch.Tensor]]:
    states = {}
    for bits in LENGTHS:
        torch.manual_seed(bits)
        state = dict(KeyedNet(SIGHT, bits, SMALL, hidden=16).state_dict())
        states[bits] = state | {"mean": torch.full((SIGHT,), mean), "scale": torch.full((SIGHT,), scale)}
    return states


def bits_form(**changes: float) -> BitsIdentifier:
    identity = IdentityMap({"identity.mean": torch.zeros(6), "identity.map": torch.eye(6)[:SMALL]})
    return BitsIdentifier(identity, keyed_states(**changes))


def test_h_of_a_tensor_is_h_before_it_is_made_unit(rng):
    mean, rows = rng.standard_normal(WIDE), rng.standard_normal((D, WIDE))
    read = LinearReader({"code.mean": torch.from_numpy(mean), "code.map": torch.from_numpy(rows)}, "code")
    sights = torch.from_numpy(rng.standard_normal((3, WIDE)).astype(np.float32)).requires_grad_()
    found = read.tensor(sights)
    np.testing.assert_allclose(unit(found.detach().numpy()), read(sights.detach().numpy()), atol=1e-5)
    found[:, 0].sum().backward()
    np.testing.assert_allclose(sights.grad[1], rows[0], rtol=1e-5)


@pytest.mark.parametrize("bits", LENGTHS)
def test_a_key_of_each_length_reads_with_a_network_of_its_own(rng, bits):
    key, seen = UserKey(rng.bytes(bits // 8)), rng.standard_normal((3, SIGHT)).astype(np.float32)
    form = bits_form()
    found = form.virtual(seen, key)
    assert form.dimension == SMALL and found.shape == (3, SMALL)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(form.virtual(seen[1], key), found[1], atol=1e-6)
    assert np.abs(form.virtual(seen, key.flip([0])) - found).max() > 1e-4
    moved = bits_form(mean=2.0, scale=3.0).virtual(2 + 3 * seen, key)
    np.testing.assert_allclose(moved, found, atol=1e-4)


@pytest.mark.parametrize("bits", [16, 64, 512])
def test_bits_refuses_other_lengths_in_a_sentence_without_the_key(rng, bits):
    key = UserKey(rng.bytes(bits // 8))
    with pytest.raises(BadKey) as caught:
        bits_form().virtual(np.zeros(SIGHT), key)
    sentence = str(caught.value)
    assert f"{bits} bits" in sentence and "8, 128, 256" in sentence and key.hex() not in sentence


def test_without_a_key_bits_tries_each_network_with_none(rng):
    seen = rng.standard_normal(SIGHT).astype(np.float32)
    form = bits_form()
    found = form.keyless(seen)
    assert found.shape == (1 + len(LENGTHS), SMALL)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_array_equal(found[0], form.original(seen))
    assert found[0] == pytest.approx(unit(seen[:SMALL].astype(np.float64)))
    keys = [UserKey(bytes(bits // 8)) for bits in LENGTHS]
    for row, key in zip(found[1:], keys, strict=True):  # a key of zero bits is -1 everywhere, and no key is 0
        assert np.abs(form.virtual(seen, key) - row).max() > 1e-4


# ---- F


@pytest.mark.parametrize("with_e", [False, True], ids=["F", "E and F"])
def test_a_face_is_read_and_nothing_beside_it(photo, tiny, with_e):
    reader = FaceReader(tiny_stages.weights("kvfa"), torch.device("cpu"), tiny.encoder if with_e else None)
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
        state = tiny_stages.weights("kvfa")
        state[f"net.{deaf}_axes"].zero_()
        reader = FaceReader(state, torch.device("cpu"))
        by_texture = np.abs(reader(photo.pixels, landmarks) - reader(plain, landmarks)).max()
        by_shape = np.abs(reader(plain, bent) - reader(plain, landmarks)).max()
        assert (by_texture > 1e-3, by_shape > 1e-4) == (deaf == "shape", deaf == "texture")


def test_f_is_loaded_from_half_precision_too():
    state = {name.removeprefix("net."): t for name, t in tiny_stages.weights("kvfa").items() if name.startswith("net.")}
    net, half = reader_net(state), reader_net({name: tensor.half() for name, tensor in state.items()})
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    x = torch.randn(2, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    shape = net.mean_shape + torch.randn(2, 478, 2, generator=torch.Generator().manual_seed(1))
    assert half.mean_shape.dtype == torch.float32
    torch.testing.assert_close(half(x, shape), net(x, shape), atol=0.05, rtol=0.05)
