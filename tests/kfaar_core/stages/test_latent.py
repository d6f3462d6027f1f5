from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.mobile_stylegan import Mapping
from kfaar_core.stages.latent import NaturalSpace, natural_state


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    torch.manual_seed(0)
    return Mapping(depth=2).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def state(mapping) -> dict[str, torch.Tensor]:
    return natural_state(mapping, count=3000)


@pytest.fixture(scope="module")
def space(state) -> NaturalSpace:
    return NaturalSpace(state)


def styles(mapping: Mapping, count: int, seed: int) -> torch.Tensor:
    return mapping(torch.randn(count, 512, generator=torch.Generator().manual_seed(seed)))


def test_there_and_back(mapping, space):
    w = styles(mapping, 12, seed=1)
    torch.testing.assert_close(space.to_w(space.of_w(w)), w, atol=1e-4, rtol=1e-3)
    v = torch.randn(4, 3, 512, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(space.of_w(space.to_w(v)), v, atol=2e-2, rtol=0)  # some axes are hardly wider than 0


def test_random_faces_have_about_unit_variance_along_every_coordinate(mapping, space):
    """Faces that the axes were not fitted on; with 3,000 for 512 axes the last ones come out too narrow."""
    v = space.of_w(styles(mapping, 3000, seed=3))
    assert v.mean(dim=0).abs().max() < 0.15
    assert v[:, :128].var(dim=0).mean() == pytest.approx(1, abs=0.1)
    covariance = torch.cov(v[:, :64].T)
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 0.15  # they say different things


def test_the_first_coordinates_move_styles_most(space):
    moves = (space.to_w(torch.eye(512)) - space.to_w(-torch.eye(512))).norm(dim=1)
    assert moves[0] > 0.8 * moves.max()
    assert moves[:50].mean() > 1.5 * moves[200:250].mean() > 1.5 * moves[450:500].mean()


def test_a_layer_group_is_as_good_as_a_batch(space):
    v = torch.randn(2, 3, 512, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(space.to_w(v)[1, 2], space.to_w(v[1, 2]))
    torch.testing.assert_close(space.of_w(v)[1, 2], space.of_w(v[1, 2]), atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_coordinates(space):
    v = torch.zeros(1, 512, requires_grad=True)
    space.to_w(v)[0, 0].backward()
    assert v.grad is not None and v.grad.isfinite().all() and (v.grad != 0).any()


def test_the_same_network_gives_the_same_axes(mapping, state):
    again = natural_state(mapping, count=3000)
    assert again.keys() == state.keys() and all(torch.equal(again[name], state[name]) for name in state)
    assert all(tensor.dtype == torch.float32 for tensor in state.values())


def test_weights_in_half_precision_are_read(state, space):
    """Large tensors are committed as float16."""
    halves = NaturalSpace({name: tensor.half() for name, tensor in state.items()})
    v = torch.randn(3, 512, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(halves.to_w(v), space.to_w(v), atol=0.01, rtol=0.01)
