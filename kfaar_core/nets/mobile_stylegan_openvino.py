"""Generator G as an OpenVINO graph with the weights of nets.mobile_stylegan; five times faster than torch on a CPU.

The graph is built from the state dict, without an exporter. The inverse Haar transform is written as sums and a
depth-to-space, which OpenVINO fuses to one pass over memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import openvino
from openvino import opset13 as ops

from kfaar_core.nets.mobile_stylegan import BLOCK_CHANNELS, SLOPE, STYLES
from kfaar_core.nets.openvino_gradients import Node, constant, dense, depthwise, haar


def synthesis_graph(state: Mapping[str, np.ndarray], side: int) -> openvino.Model:
    """Build the graph: w+ (1, 23, 512) and noise strength (1,), float32 -> RGB (1, 3, side, side) float32.

    The strength is always 1. It is an input because OpenVINO would otherwise fold noise and bias to constants as large
    as the activations: 480 MB in all, and slower.

    Args:
        state: names as in Synthesis.state_dict(), float32 arrays.
        side: 512 or 1024 px.
    """
    w_plus = ops.parameter([1, STYLES, 512], np.float32, name="w_plus")
    strength = ops.parameter([1], np.float32, name="strength")
    styles = iter(range(STYLES))

    def modulate(x: Node, name: str) -> Node:
        w = ops.gather(w_plus, ops.constant(np.int64(next(styles))), ops.constant(np.int64(1)))  # (1, 512)
        scale = ops.matmul(w, constant(state[f"{name}.affine.weight"]), False, True)  # (1, C)
        scale = ops.add(scale, constant(state[f"{name}.affine.bias"][None]))
        return ops.multiply(x, ops.reshape(scale, ops.constant(np.array([1, -1, 1, 1])), False))

    def activate(x: Node, bias: np.ndarray, noise: np.ndarray) -> Node:
        x = ops.add(ops.add(x, constant(bias[None, :, None, None])), ops.multiply(constant(noise), strength))
        return ops.prelu(x, constant(np.array([SLOPE])))

    def inverse_haar(x: Node) -> Node:
        return ops.depth_to_space(haar(x), "blocks_first", 2)

    def separable(x: Node, name: str) -> Node:
        x = modulate(x, f"{name}.style")
        x = depthwise(x, state[f"{name}.depthwise.weight"])
        x = dense(x, state[f"{name}.pointwise.weight"])
        return activate(x, state[f"{name}.pointwise.bias"], state[f"{name}.noise"])

    x = modulate(constant(state["start"]), "start_style")
    x = dense(x, state["start_conv.weight"], pad=1)
    x = activate(x, state["start_conv.bias"], state["start_noise"])
    for i in range(len(BLOCK_CHANNELS)):
        # The Haar factor 1/2 is folded into the style to save a multiplication over the largest arrays.
        halved = {f"up.affine.{part}": 0.5 * state[f"blocks.{i}.up.affine.{part}"] for part in ("weight", "bias")}
        state = {**state, **{f"blocks.{i}.{name}": values for name, values in halved.items()}}
        x = inverse_haar(modulate(x, f"blocks.{i}.up"))
        x = separable(separable(x, f"blocks.{i}.conv1"), f"blocks.{i}.conv2")
    x = modulate(x, "to_rgb_style")
    bands = 3 if side == 512 else 12
    x = dense(x, 0.5 * state["to_rgb.weight"][:bands])
    x = ops.add(x, constant(0.5 * state["to_rgb.bias"][None, :bands, None, None]))
    return openvino.Model([x if side == 512 else inverse_haar(x)], [w_plus, strength], f"synthesis_{side}")
