from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.reader_net import INPUT, ReaderNet


@pytest.fixture(scope="module")
def net() -> ReaderNet:
    torch.manual_seed(0)
    net = ReaderNet(5)
    with torch.no_grad():
        net(torch.randn(4, 3, *INPUT))  # in training mode, so that the running statistics are not the initial ones
    return net.eval().requires_grad_(False)


def test_a_face_does_not_depend_on_its_batch(net):
    x = torch.randn(3, 3, *INPUT, generator=torch.Generator().manual_seed(1))
    found = net(x)
    assert found.shape == (3, 5)
    torch.testing.assert_close(net(x[1:2]), found[1:2], atol=1e-5, rtol=1e-4)


def test_every_place_of_the_face_is_seen(net):
    """The last layer keeps places apart: a patch says something else where it is moved to."""
    plain = torch.zeros(1, 3, *INPUT)
    answers = [net(plain)]
    for row in (8, 60, 112):
        for column in (8, 96):
            x = plain.clone()
            x[:, :, row : row + 8, column : column + 8] = 1
            answers.append(net(x))
    for i, one in enumerate(answers):
        assert all((one - other).abs().max() > 1e-4 for other in answers[:i])


def test_other_sizes_are_refused(net):
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 3, 112, 96))
