from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.sface import DOWN, FEATURE, WIDTHS, ConvPReLU, FrozenPReLU, SFace, WideSFace, quickened


@pytest.fixture(scope="module")
def net() -> SFace:
    torch.manual_seed(0)
    return SFace().eval().requires_grad_(False)


def test_a_unit_bends_what_is_below_zero():
    unit = ConvPReLU(1, 1, 1).requires_grad_(False)
    unit.conv.weight.fill_(2.0)
    unit.conv.bias.fill_(1.0)
    unit.bend.weight.fill_(0.25)
    assert unit(torch.tensor([[[[1.0, -2.5]]]])).flatten().tolist() == [3.0, -1.0]


def test_shape_layers_and_batch_independence(net):
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    both = net(x)
    assert both.shape == (2, 128) and net.units(x).shape == (2, WIDTHS[-1], 112 >> len(DOWN), 7)
    torch.testing.assert_close(both[1:], net(x[1:]), rtol=1e-4, atol=1e-5)
    assert len([layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]) == 27


def test_the_scale_acts_on_channels_before_the_last_layer(net):
    x = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1)) * 2 - 1
    whole = net(x)
    net.scale.mul_(2)
    doubled = net(x)
    net.scale.mul_(0.5)
    torch.testing.assert_close(doubled - net.last.bias, 2 * (whole - net.last.bias), rtol=1e-4, atol=1e-5)


def test_the_wide_one_shows_what_the_last_layer_is_fed_behind_the_same_feature(net):
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(3)) * 2 - 1
    seen = WideSFace(net)(x)
    torch.testing.assert_close(seen[:, :FEATURE], net(x))
    fed: list[torch.Tensor] = []
    with net.last.register_forward_pre_hook(lambda layer, given: fed.append(given[0])):
        net(x)
    torch.testing.assert_close(seen[:, FEATURE:], fed[0].reshape(2, WIDTHS[-1], -1).mean(dim=2))


def test_a_bend_is_a_prelu_with_its_gradient():
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    slopes = torch.tensor([0.1, 0.5, 1.5])
    bend = FrozenPReLU(3)
    bend.weight.copy_(slopes)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    found, expected = bend(ours), torch.nn.functional.prelu(theirs, slopes)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(bend(x), expected.detach())  # where no gradient is asked for
    for answer in (found, expected):
        (answer * x).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_quickened_copy_answers_nearly_the_same_with_nearly_the_same_gradient(net):
    quick, before = quickened(net), {name: tensor.clone() for name, tensor in net.state_dict().items()}
    halves = {name for name, tensor in quick.named_parameters() if tensor.dtype == torch.bfloat16}
    assert halves == {f"units.{i}.conv.{part}" for i in range(2, 27, 2) for part in ("weight", "bias")}
    x = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(4)) * 2 - 1
    answers, slopes = [], []
    for each in (net, quick):
        moving = x.clone().requires_grad_()
        answers.append(each(moving))
        answers[-1].square().sum().backward()
        slopes.append(moving.grad.flatten() / moving.grad.norm())
    assert answers[1].dtype == torch.float32 and not torch.equal(*answers)
    assert torch.nn.functional.cosine_similarity(*answers) > 0.99
    assert slopes[0] @ slopes[1] > 0.99
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
