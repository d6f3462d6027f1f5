"""`floor`: linear maps, with a rotation that the key seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kfaar_core.key_schedule import rotation
from kfaar_core.keys import UserKey
from kfaar_core.methods.floor import FloorProjector
from kfaar_core.stages.identify import IdentityMap

KEY = UserKey.parse("00" * 31 + "01")


@pytest.fixture
def projector(rng) -> FloorProjector:
    """Payload in the first 4 latent entries, the look in the next 8; E's feature is the identity itself."""
    identity = IdentityMap({"identity.mean": torch.zeros(4), "identity.map": torch.eye(4)})
    state = {"latent.mean": np.full(1536, 0.5), "payload": np.eye(1536)[:, :4], "nuisance": np.eye(1536)[:, 4:12]}
    return FloorProjector({name: torch.from_numpy(values) for name, values in state.items()}, identity)


def test_the_latent_carries_the_turned_identity_and_a_look_of_the_key(projector):
    u = np.array([0.6, 0.0, -0.8, 0.0])
    found = projector(u, KEY)
    assert found.latent.shape == (3, 512) and found.latent.dtype == torch.float32
    flat = found.latent.flatten().numpy() - 0.5
    assert np.linalg.norm(flat[:4]) == pytest.approx(2.0, rel=1e-5)  # sqrt(d): one sd a dimension
    np.testing.assert_allclose(rotation(KEY, 4).T @ flat[:4] / 2, u, atol=1e-6)
    assert np.abs(flat[4:12]).min() > 0 and not flat[12:].any()


def test_the_look_depends_on_the_key_alone(projector):
    a, b = np.eye(4)[:2]
    first, second = (projector(u, KEY).latent.flatten() for u in (a, b))
    assert torch.equal(first[4:], second[4:]) and not torch.equal(first[:4], second[:4])
    assert not torch.equal(projector(a, KEY.flip([9])).latent.flatten()[4:12], first[4:12])
    assert torch.equal(projector(a, KEY).latent.flatten(), first)
