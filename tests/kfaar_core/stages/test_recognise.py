from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.keys import UserKey
from kfaar_core.metrics.random_direction import law_test
from kfaar_core.stages.project import IdentityMap, rotation_of
from kfaar_core.stages.recognise import FloorReader, KeyedRecogniser, unit, verdict

WIDE, D = 48, 32
RIGHT, WRONG = UserKey.parse("0f" * 32), UserKey.parse("f0" * 32)


@pytest.fixture
def recogniser(rng) -> KeyedRecogniser:
    def random(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape))

    identity = IdentityMap({"identity.mean": random(WIDE), "identity.map": random(D, WIDE)})
    return KeyedRecogniser(identity, FloorReader({"reader.mean": random(WIDE), "reader.map": random(D, WIDE)}))


@pytest.fixture
def exact() -> KeyedRecogniser:
    """Reader and identity map pass their feature through: the feature of x_v is what the projector wrote."""
    eye, zero = torch.eye(D), torch.zeros(D)
    return KeyedRecogniser(
        IdentityMap({"identity.mean": zero, "identity.map": eye}), FloorReader({"reader.mean": zero, "reader.map": eye})
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
    right, wrong = (verdict(exact, written, u, key, threshold=0.7) for key in (RIGHT, WRONG))
    assert right.cosine == pytest.approx(1) and right.same_person and right.key_used
    assert not wrong.same_person and wrong.dimension == D and wrong.threshold == 0.7
    assert "k)" in right.compared


def test_condition_1_takes_the_most_similar_read_out(recogniser, rng):
    virtual, original = rng.standard_normal((2, WIDE))
    found = verdict(recogniser, virtual, original, None, threshold=0.7)
    each = [float(read @ recogniser.original(original)) for read in recogniser.keyless(virtual)]
    assert found.cosine == pytest.approx(max(each)) and min(each) < max(each)
    assert not found.key_used and "no key" in found.compared
    itself = verdict(recogniser, original, original, None, threshold=0.7)
    assert itself.cosine == pytest.approx(1) and itself.same_person  # a face that was never anonymised


def test_a_cosine_at_the_threshold_is_accepted(exact):
    feature = np.eye(D)[0]
    assert verdict(exact, feature, feature, None, threshold=1.0).same_person
    assert not verdict(exact, feature, feature, None, threshold=np.nextafter(1.0, 2)).same_person
