from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.judge_net import INPUT, JudgeNet
from kfaar_core.nets.residual import Residual, ResidualTrunk


def test_a_silent_block_is_its_shortcut():
    block = Residual(2, 2, stride=1).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("size", [(16, 16), (15, 13), (7, 6)])
def test_the_last_layer_fits_odd_sizes(size):
    torch.manual_seed(0)
    net = ResidualTrunk((4, 6, 8), depth=2, size=size, features=5).eval()
    assert net(torch.zeros(2, 3, *size)).shape == (2, 5)


def test_in_eval_mode_a_face_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    net = ResidualTrunk((4, 6, 8), depth=1, size=(16, 16), features=5)
    net(torch.randn(8, 3, 16, 16))  # in training mode, so that the running statistics are not the initial ones
    net.eval()
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(net(x), torch.cat([net(one[None]) for one in x]))
    torch.testing.assert_close(net(x.flip(0)).flip(0), net(x))


def test_the_judge_takes_its_own_crop():
    with torch.inference_mode():
        assert JudgeNet().eval()(torch.zeros(1, 3, *INPUT)).shape == (1, 128)
    assert INPUT == (112, 96)
