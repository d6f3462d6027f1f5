from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.dlib_resnet import MEAN_RGB, Affine, DlibResnet, Residual


@pytest.fixture(scope="module")
def net() -> DlibResnet:
    torch.manual_seed(0)
    return DlibResnet().eval().requires_grad_(False)


def silent(block: Residual) -> Residual:
    """A block whose convolutions answer nothing, so that its shortcut alone is seen."""
    for conv in (block.conv1, block.conv2):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    return block.requires_grad_(False)


def test_affine_by_hand():
    affine = Affine(2).requires_grad_(False)
    affine.gamma.copy_(torch.tensor([2.0, -1.0]))
    affine.beta.copy_(torch.tensor([0.5, 3.0]))
    assert affine(torch.ones(1, 2, 1, 1)).flatten().tolist() == [2.5, 2.0]


def test_the_shortcut_is_averaged_and_padded_with_zeros():
    block = silent(Residual(1, 3, down=True))
    x = torch.tensor([[1.0, 3, 8], [5, 7, 8], [8, 8, 8]]).reshape(1, 1, 3, 3)
    found = block(x)  # 3 px: one block of four averaged, the rest left out; the 3x3 convolution gives 1 px
    assert found.shape == (1, 3, 1, 1)
    assert found.flatten().tolist() == [4.0, 0.0, 0.0]


def test_a_smaller_residual_is_padded_to_the_shortcut():
    block = silent(Residual(2, 2, down=True))
    torch.nn.init.constant_(block.affine2.beta, 1.0)
    found = block(torch.zeros(1, 2, 8, 8))  # shortcut 4 px, residual 3 px of ones
    assert found[0, 0].tolist() == [[1.0, 1, 1, 0]] * 3 + [[0.0, 0, 0, 0]]


def test_a_plain_block_adds_its_input():
    x = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(silent(Residual(2, 2, down=False))(x), x.relu())


def test_the_network_sees_dlibs_own_scale(net):
    """A picture of dlib's mean colour is zero at the door: only the stem's bias is left."""
    mean = torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1) / 127.5 - 1
    seen: list[torch.Tensor] = []
    hook = net.stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(mean.expand(1, 3, 150, 150))
    net(torch.ones(1, 3, 150, 150))  # white, 255
    hook.remove()
    assert seen[0].abs().max() < 1e-6
    assert seen[1][0, :, 0, 0].tolist() == pytest.approx([(255 - mean) / 256 for mean in MEAN_RGB], rel=1e-5)


def test_shape_layers_and_batch_independence(net):
    x = torch.rand(2, 3, 150, 150, generator=torch.Generator().manual_seed(0)) * 2 - 1
    both = net(x)
    assert both.shape == (2, 128)
    torch.testing.assert_close(both[1:], net(x[1:]), rtol=1e-4, atol=1e-5)
    convolutions = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 29  # as dlib says of its network


def test_the_stream_order_names_every_parameter_once(net):
    listed = [id(parameter) for _, module in net.named_parameters_in_stream_order() for parameter in module.values()]
    assert len(listed) == len(set(listed)) and set(listed) == {id(parameter) for parameter in net.parameters()}
