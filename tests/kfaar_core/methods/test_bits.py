"""`bits`: the key's bits beside the identity, one pair of networks for each length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core import methods, pipeline
from kfaar_core.errors import BadKey, BadSetting
from kfaar_core.keys import UserKey
from kfaar_core.methods.bits import BitsIdentifier, BitsProjector, ReleasedMixing, bits_net, checked_bits
from kfaar_core.nets.keyed_net import KeyedNet
from kfaar_core.nets.projector_net import BitsNet
from kfaar_core.pipeline import AnonymiseRequest, anonymise
from kfaar_core.presets import TINY
from kfaar_core.stages.identify import IdentityMap
from kfaar_core.stages.linear import unit

KEY = UserKey.parse("00" * 31 + "01")


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


def projector(**changes: float) -> BitsProjector:
    return BitsProjector(bits_states(**changes), Mirror())


@pytest.mark.parametrize("bits", [8, 128, 256])
def test_the_bits_of_the_key_go_through_a_network_of_its_length_then_m(rng, bits):
    feature, key = rng.standard_normal(6), UserKey(rng.bytes(bits // 8))
    found = projector()(feature, key)
    assert found.latent.shape == (3, 512) and found.latent.dtype == torch.float32
    assert torch.equal(found.latent[0], found.latent[1]) and torch.equal(found.latent[0], found.latent[2])
    assert torch.equal(projector()(feature, key).latent, found.latent)
    for changed in (projector()(feature, key.flip([bits - 1])), projector()(feature + 1, key)):
        assert not torch.equal(changed.latent, found.latent)


def test_truncation_leads_to_the_mean_face(rng):
    feature = rng.standard_normal(6)
    none, half, all_of_it = (projector(truncation=share)(feature, KEY).latent for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, torch.ones(3, 512))
    torch.testing.assert_close(half, (none + all_of_it) / 2)
    z = BitsNet(6, 256, hidden=16)
    z.load_state_dict({name.removeprefix("net."): t for name, t in bits_states()[256].items() if "net." in name})
    expected = -z(torch.from_numpy(feature).float()[None], torch.tensor(KEY.signs())[None])[0]
    torch.testing.assert_close(all_of_it[0], expected.detach())


def test_features_are_taken_as_they_stand_among_training_people(rng):
    feature = rng.standard_normal(6)
    moved = projector(mean=3.0, scale=0.5)(3 + 0.5 * feature, KEY).latent
    torch.testing.assert_close(moved, projector()(feature, KEY).latent, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bits", [16, 64, 512])
def test_p_refuses_other_lengths_in_a_sentence_without_the_key(rng, bits):
    key = UserKey(rng.bytes(bits // 8))
    with pytest.raises(BadKey) as caught:
        projector()(np.zeros(6), key)
    sentence = str(caught.value)
    assert f"{bits} bits" in sentence and "8, 128, 256" in sentence and "hashed" in sentence
    assert key.hex() not in sentence


def test_bits_are_signs_the_first_bit_first():
    assert checked_bits(UserKey.parse("81"), (8,)).tolist() == [1, -1, -1, -1, -1, -1, -1, 1]


@pytest.mark.parametrize("hidden", [8, 16])
def test_a_trained_network_is_built_from_its_state_alone(hidden):
    """Its sizes are those of its tensors; as weights are kept, in half precision too."""
    torch.manual_seed(0)
    trained = BitsNet(5, 8, hidden)
    found = bits_net({f"net.{name}": tensor.half() for name, tensor in trained.state_dict().items()}, 8)
    inputs = torch.randn(2, 5), torch.ones(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(found(*inputs), trained(*inputs), atol=1e-2, rtol=1e-2)
    assert not found.training and not any(tensor.requires_grad for tensor in found.parameters())


# ---- KVFA: a network takes the features and the key

LENGTHS, FEATURES, SMALL = (8, 128, 256), 9, 4


def keyed_states(mean: float = 0.0, scale: float = 1.0) -> dict[int, dict[str, torch.Tensor]]:
    states = {}
    for bits in LENGTHS:
        torch.manual_seed(bits)
        state = dict(KeyedNet(FEATURES, bits, SMALL, hidden=16).state_dict())
        states[bits] = state | {"mean": torch.full((FEATURES,), mean), "scale": torch.full((FEATURES,), scale)}
    return states


def identifier(**changes: float) -> BitsIdentifier:
    identity = IdentityMap({"identity.mean": torch.zeros(6), "identity.map": torch.eye(6)[:SMALL]})
    return BitsIdentifier(identity, keyed_states(**changes))


@pytest.mark.parametrize("bits", LENGTHS)
def test_a_key_of_each_length_reads_with_a_network_of_its_own(rng, bits):
    key, seen = UserKey(rng.bytes(bits // 8)), rng.standard_normal((3, FEATURES)).astype(np.float32)
    form = identifier()
    found = form.virtual(seen, key)
    assert form.dimension == SMALL and found.shape == (3, SMALL)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(form.virtual(seen[1], key), found[1], atol=1e-6)
    assert np.abs(form.virtual(seen, key.flip([0])) - found).max() > 1e-4
    moved = identifier(mean=2.0, scale=3.0).virtual(2 + 3 * seen, key)
    np.testing.assert_allclose(moved, found, atol=1e-4)


@pytest.mark.parametrize("bits", [16, 64, 512])
def test_i_refuses_other_lengths_in_a_sentence_without_the_key(rng, bits):
    key = UserKey(rng.bytes(bits // 8))
    with pytest.raises(BadKey) as caught:
        identifier().virtual(np.zeros(FEATURES), key)
    sentence = str(caught.value)
    assert f"{bits} bits" in sentence and "8, 128, 256" in sentence and key.hex() not in sentence


def test_without_a_key_bits_tries_each_network_with_none(rng):
    seen = rng.standard_normal(FEATURES).astype(np.float32)
    form = identifier()
    found = form.keyless(seen)
    assert found.shape == (1 + len(LENGTHS), SMALL)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_array_equal(found[0], form.original(seen))
    assert found[0] == pytest.approx(unit(seen[:SMALL].astype(np.float64)))
    keys = [UserKey(bytes(bits // 8)) for bits in LENGTHS]
    for row, key in zip(found[1:], keys, strict=True):  # a key of zero bits is -1 everywhere, and no key is 0
        assert np.abs(form.virtual(seen, key) - row).max() > 1e-4


# ---- the released code's mixing


def test_the_released_mixing_by_hand():
    """The coarse layers are the photo's alone; of the others, 4 parts in 10 are."""
    mixed = ReleasedMixing(lambda *_: torch.full((3, 512), 10.0))(torch.full((3, 512), 20.0), None, None)
    assert mixed[:, 0].tolist() == [10.0, 16.0, 16.0]


def test_the_released_code_is_a_variant_that_warns(photo, caplog):
    loaded = pipeline.load(methods.with_method(TINY, "bits:released-code"), "cpu")
    assert "carries the original person" in caplog.text
    assert loaded.method.name == "bits-released-code" and not loaded.method.readable
    plain = pipeline.load(methods.with_method(TINY, "bits"), "cpu")
    mixed, unmixed = (anonymise(stages, AnonymiseRequest(photo=photo, key=KEY)) for stages in (loaded, plain))
    assert not np.array_equal(mixed.latent, unmixed.latent)


def test_bits_knows_no_other_variant():
    with pytest.raises(BadSetting, match="bits:released-code"):
        methods.get("bits:leaky")
