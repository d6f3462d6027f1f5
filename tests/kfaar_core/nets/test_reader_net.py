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
    net = ReaderNet(5, textures=40, shapes=20, hidden=16)
    net.mean_shape.copy_(80 + 20 * random(LANDMARKS, 2, seed=2))
    net.mean_texture.fill_(0.1)
    return net.eval().requires_grad_(False)


def test_a_face_does_not_depend_on_its_batch(net):
    texture, shape = random(3, 3, *TEXTURE, seed=1), net.mean_shape + random(3, LANDMARKS, 2, seed=3)
    found = net(texture, shape)
    assert found.shape == (3, 5)
    torch.testing.assert_close(net(texture[1:2], shape[1:2]), found[1:2], atol=1e-5, rtol=1e-4)


def test_every_place_of_the_texture_is_seen(net):
    """A patch says something else where it is moved to."""
    plain, shape = torch.zeros(1, 3, *TEXTURE), net.mean_shape[None]
    answers = [net(plain, shape)]
    for row in (8, 44, 80):
        for column in (8, 64):
            x = plain.clone()
            x[:, :, row : row + 8, column : column + 8] = 1
            answers.append(net(x, shape))
    for i, one in enumerate(answers):
        assert all((one - other).abs().max() > 1e-3 for other in answers[:i])


def test_every_landmark_is_seen_away_from_the_mean_face(net):
    texture = random(1, 3, *TEXTURE, seed=1)
    mean = net(texture, net.mean_shape[None])
    for landmark in (0, 200, 477):
        for axis in (0, 1):
            shape = net.mean_shape[None].clone()
            shape[:, landmark, axis] += 2.0  # px
            assert (net(texture, shape) - mean).abs().max() > 1e-3


def test_only_the_way_from_the_mean_face_counts(net):
    """Were every face and the mean face elsewhere in the frame, or brighter, F would read the same."""
    texture, shape = random(2, 3, *TEXTURE, seed=1), net.mean_shape + random(2, LANDMARKS, 2, seed=3)
    shifted = ReaderNet(5, 40, 20, 16).eval()
    state = net.state_dict()
    means = {"mean_shape": state["mean_shape"] + 7, "mean_texture": state["mean_texture"] + 0.3}
    shifted.load_state_dict(state | means)
    torch.testing.assert_close(shifted(texture + 0.3, shape + 7), net(texture, shape), atol=1e-4, rtol=1e-4)


def test_the_mean_face_lies_at_the_origin_of_the_appearance(net):
    texture = torch.full((1, 3, *TEXTURE), 0.1)
    torch.testing.assert_close(net.appearance(texture, net.mean_shape[None]), torch.zeros(1, 60), atol=1e-5, rtol=0)
    louder = net.appearance(random(2, 3, *TEXTURE, seed=1), net.mean_shape + random(2, LANDMARKS, 2, seed=3))
    assert (louder.abs() > 1e-3).float().mean() > 0.9


def test_only_the_layers_behind_the_appearance_learn(net):
    assert {name.split(".")[0] for name, _ in ReaderNet(5, 4, 2, 8).named_parameters()} == {
        "hidden",
        "last",
        "straight",
    }


def test_other_sizes_are_refused(net):
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, 112, 96), net.mean_shape[None])
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, *TEXTURE), net.mean_shape[None, :68])
