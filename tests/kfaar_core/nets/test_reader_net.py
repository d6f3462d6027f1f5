from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kfaar_core.nets.reader_net import LANDMARKS, TEXTURE, ReaderNet


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net() -> ReaderNet:
    torch.manual_seed(0)
    net = ReaderNet(5)
    net.mean_shape.copy_(80 + 20 * random(LANDMARKS, 2, seed=2))
    with torch.no_grad():  # in training mode, so that the running statistics are not the initial ones
        net(torch.randn(4, 3, *TEXTURE), net.mean_shape.expand(4, -1, -1))
    return net.eval().requires_grad_(False)


def test_a_face_does_not_depend_on_its_batch(net):
    texture, shape = random(3, 3, *TEXTURE, seed=1), net.mean_shape + random(3, LANDMARKS, 2, seed=3)
    found = net(texture, shape)
    assert found.shape == (3, 5)
    torch.testing.assert_close(net(texture[1:2], shape[1:2]), found[1:2], atol=1e-5, rtol=1e-4)


def test_every_place_of_the_texture_is_seen(net):
    """The last layer keeps places apart: a patch says something else where it is moved to."""
    plain, shape = torch.zeros(1, 3, *TEXTURE), net.mean_shape[None]
    answers = [net(plain, shape)]
    for row in (8, 44, 80):
        for column in (8, 64):
            x = plain.clone()
            x[:, :, row : row + 8, column : column + 8] = 1
            answers.append(net(x, shape))
    for i, one in enumerate(answers):
        assert all((one - other).abs().max() > 2e-5 for other in answers[:i])


def test_every_landmark_is_seen_away_from_the_mean_face(net):
    texture = random(1, 3, *TEXTURE, seed=1)
    mean = net(texture, net.mean_shape[None])
    for landmark in (0, 200, 477):
        for axis in (0, 1):
            shape = net.mean_shape[None].clone()
            shape[:, landmark, axis] += 2.0  # px
            assert (net(texture, shape) - mean).abs().max() > 1e-5


def test_only_the_way_from_the_mean_face_counts(net):
    """Were every face and the mean face elsewhere in the frame, F would read the same."""
    texture, shape = random(2, 3, *TEXTURE, seed=1), net.mean_shape + random(2, LANDMARKS, 2, seed=3)
    shifted = ReaderNet(5).eval()
    shifted.load_state_dict(net.state_dict() | {"mean_shape": net.mean_shape + 7})
    torch.testing.assert_close(shifted(texture, shape + 7), net(texture, shape), atol=1e-5, rtol=1e-4)


def test_other_sizes_are_refused(net):
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, 112, 96), net.mean_shape[None])
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, *TEXTURE), net.mean_shape[None, :68])
