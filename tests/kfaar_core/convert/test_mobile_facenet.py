from __future__ import annotations

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from kfaar_core.convert import mobile_facenet
from kfaar_core.convert.mobile_facenet import convert, layers
from kfaar_core.errors import BadWeights

SLOPES = np.array([0.25, -0.5], dtype=np.float32)


def graph(rng: np.random.Generator) -> tuple[openvino.Model, list[np.ndarray]]:
    """A convolution with a PReLU as TensorFlow Lite writes it, and a depthwise one without."""
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 1, 1), (2,), (2, 1, 1, 3, 3), (2,))]
    x = ops.parameter([1, 3, 8, 8], np.float32)
    y = ops.convolution(x, ops.constant(arrays[0]), [1, 1], [0, 0], [0, 0], [1, 1])
    y = ops.add(y, ops.constant(arrays[1].reshape(1, 2, 1, 1)))
    half = ops.constant(SLOPES.reshape(1, 2, 1, 1) / 2)
    y = ops.add(ops.relu(y), ops.multiply(half, ops.subtract(y, ops.abs(y))))
    y = ops.group_convolution(y, ops.constant(arrays[2]), [1, 1], [1, 1], [1, 1], [1, 1])
    y = ops.add(y, ops.constant(arrays[3].reshape(1, 2, 1, 1)))
    return openvino.Model([y], [x]), arrays


def test_weights_biases_and_slopes_in_order():
    model, (weight, bias, depthwise, bias_2) = graph(np.random.default_rng(0))
    first, second = layers(model)
    for found, expected in zip((*first, *second[:2]), (weight, bias, SLOPES, depthwise, bias_2), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert second[2] is None


def test_another_network_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "other.tflite"
    path.write_bytes(b"any")
    monkeypatch.setattr(mobile_facenet, "opened", lambda data: graph(np.random.default_rng(0))[0])
    with pytest.raises(BadWeights, match="another network"):
        convert(path)
