"""The compiled networks against torch's, and their gradients against autograd; random weights, float32."""

from __future__ import annotations

import pytest
import torch

from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.nets.mobile_stylegan import STYLES, Synthesis
from kfaar_core.nets.sface import SFace, WideSFace
from kfaar_core.stages.compiled import CompiledDlib, Compiler, compiled_low_band, compiled_sface


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler("f32", threads=1)


def drawn(net: torch.nn.Module) -> torch.nn.Module:
    """With random noise, biases and slopes, negative ones among them: an order that differs would show."""
    torch.manual_seed(0)
    for name, values in (*net.named_parameters(), *net.named_buffers()):
        if name.endswith(("noise", "start", "bias", "beta", "bend.weight")):
            torch.nn.init.normal_(values, std=0.3)
    return net.eval().requires_grad_(False)


def same(found, expected, x: torch.Tensor) -> None:
    """Both give the same output, and the same gradient of x from a random one of the output."""
    upstream, answers = None, []
    for net in (expected, found):
        given = x.clone().requires_grad_(True)
        output = net(given)
        upstream = (
            torch.randn(output.shape, generator=torch.Generator().manual_seed(3)) if upstream is None else upstream
        )
        output.backward(upstream)
        answers.append((output.detach(), given.grad))
    for one, other in zip(*answers, strict=True):
        assert other.std() > 0
        assert (one - other).norm() < 1e-4 * one.norm()


def test_the_encoder(compiler):
    net = drawn(SFace())
    x = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    same(compiled_sface(net.state_dict(), compiler), WideSFace(net), x)


def test_the_auxiliary_encoder_on_sides_that_do_not_halve(compiler):
    net = drawn(DlibResnet())
    x = torch.randn(1, 3, 150, 150, generator=torch.Generator().manual_seed(1))
    same(CompiledDlib(net, compiler), net, x)


def test_the_generator_at_a_small_side(compiler):
    net = drawn(Synthesis())
    render = compiled_low_band(net.state_dict(), compiler)
    w_plus = torch.randn(2, STYLES, 512, generator=torch.Generator().manual_seed(1))
    same(lambda w: render(w, 64), lambda w: net(w, 64), w_plus)
