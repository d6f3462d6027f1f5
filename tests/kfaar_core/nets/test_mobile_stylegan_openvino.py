from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kfaar_core import weights
from kfaar_core.nets.mobile_stylegan import STYLES, Synthesis
from kfaar_core.nets.mobile_stylegan_openvino import synthesis_graph
from kfaar_core.runtime import openvino_core
from kfaar_core.stages.generate import OpenVinoGenerator, TorchGenerator, w_plus


def psnr(a: torch.Tensor, b: torch.Tensor, span: float) -> float:
    return 10 * math.log10(span**2 / float((a - b).square().mean()))


@pytest.fixture(scope="module")
def synthesis() -> Synthesis:
    """Random weights, noise and biases: an order of channels or styles that differs would show."""
    torch.manual_seed(0)
    net = Synthesis()
    for name, parameter in net.named_parameters():
        if name.endswith(("noise", "start", "pointwise.bias")):
            torch.nn.init.normal_(parameter, std=0.3)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("side", [512, 1024])
def test_the_graph_is_the_torch_network(synthesis, side):
    w = torch.randn(1, STYLES, 512, generator=torch.Generator().manual_seed(1))
    state = {name: tensor.numpy() for name, tensor in synthesis.state_dict().items()}
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino_core().compile_model(synthesis_graph(state, side), "CPU", options)
    found, expected = torch.from_numpy(compiled([w.numpy(), np.ones(1, dtype=np.float32)])[0]), synthesis(w, side)
    assert found.shape == (1, 3, side, side)
    span = float(expected.max() - expected.min())
    assert expected.std() > 0.02 * span  # a picture, not one colour
    assert psnr(found, expected, span) > 60


def test_nothing_is_stored_as_large_as_what_flows_between_layers(synthesis):
    """Noise and bias joined to one constant would take nine times the memory of all weights."""
    state = {name: tensor.numpy() for name, tensor in synthesis.state_dict().items()}
    graph = synthesis_graph(state, 512)
    given = sum(math.prod(node.get_output_shape(0)) for node in graph.get_ops() if node.get_type_name() == "Constant")
    compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": 1}).get_runtime_model()
    kept = sum(
        math.prod(node.get_output_shape(0))
        for node in compiled.get_ops()
        if "layerType" in node.get_rt_info() and node.get_rt_info()["layerType"].astype(str) == "Const"
    )
    assert 0.5 * given < kept < 1.1 * given


@pytest.fixture(scope="module")
def fast() -> OpenVinoGenerator:
    """The committed generator, compiled once for each side."""
    return OpenVinoGenerator(weights.load("mobile_stylegan"), "f32", 1)


@pytest.mark.lab
def test_both_runtimes_draw_the_same_face_at_1024_px(fast):
    slow = TorchGenerator(weights.load("mobile_stylegan"), torch.device("cpu"))
    torch.testing.assert_close(slow.w_mean, fast.w_mean)
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(3))
    styles = w_plus(slow.map(z)[:, None].expand(1, 3, 512))
    expected, found = slow.render(styles, 1024), fast.render(styles, 1024)
    assert expected.std() > 0.2 and expected.abs().max() < 2  # about [-1, 1]
    assert psnr(found.clamp(-1, 1), expected.clamp(-1, 1), span=2.0) >= 40


@pytest.mark.lab
def test_three_threads_render_at_once_what_each_renders_alone(fast):
    z = torch.randn(3, 512, generator=torch.Generator().manual_seed(4))
    styles = w_plus(fast.map(z)[:, None].expand(3, 3, 512)).split(1)
    alone = [fast.render(each) for each in styles]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(fast.render, styles))
    for expected, found in zip(alone, together, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
