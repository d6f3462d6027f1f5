"""Networks as OpenVINO graphs with their gradients: on a CPU with bfloat16 several times faster than torch's autograd.

OpenVINO does not differentiate. A `Chain` records, with every layer that it adds to a graph, how a gradient passes
back through it, and from this builds a second graph. That one computes the forward pass again: with fused layers it
costs less than to keep and to convert the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import openvino
from openvino import opset13 as ops

from kfaar_core.nets import sface
from kfaar_core.nets.dlib_resnet import WIDTHS
from kfaar_core.nets.mobile_stylegan import BLOCK_CHANNELS, OUT_CHANNELS, SLOPE, STYLES

Node: TypeAlias = openvino.Node
State: TypeAlias = Mapping[str, np.ndarray]  # names as in the state dict of the torch network, float32
HUGE = 1e30  # turns a positive number into more than 1, for `step`


def constant(values: np.ndarray | float) -> Node:
    """A float32 constant."""
    return ops.constant(np.ascontiguousarray(values, dtype=np.float32))


def step(x: Node) -> Node:
    """1 where x is positive, else 0, as arithmetic that OpenVINO fuses with what follows."""
    return ops.clamp(ops.multiply(x, constant(HUGE)), 0.0, 1.0)


def factors(scale: Node) -> Node:
    """(N, C) -> (N, C, 1, 1), to scale channels by."""
    return ops.reshape(scale, ops.constant(np.array([0, -1, 1, 1])), True)


def dense(x: Node, weight: np.ndarray, pad: int = 0, stride: int = 1) -> Node:
    """A convolution without bias; weight (C, C', k, k)."""
    return ops.convolution(x, constant(weight), [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])


def depthwise(x: Node, weight: np.ndarray, stride: int = 1) -> Node:
    """A 3x3 convolution of every channel by itself, without bias; weight (C, 1, 3, 3)."""
    return ops.group_convolution(x, constant(weight[:, None]), [stride] * 2, [1, 1], [1, 1], [1, 1])


def haar(x: Node) -> Node:
    """Sums and differences of four bands (N, 4C, H, W). The matrix is symmetric, so the gradient is the same mixing."""
    quarter = int(x.get_output_shape(0)[1]) // 4
    split = ops.variadic_split(x, ops.constant(np.int64(1)), ops.constant(np.array([quarter] * 4)))
    first, second, third, fourth = split.outputs()
    a, b = ops.add(first, second), ops.subtract(first, second)
    c, d = ops.add(third, fourth), ops.subtract(third, fourth)
    return ops.concat([ops.add(a, c), ops.subtract(a, c), ops.add(b, d), ops.subtract(b, d)], 1)


def spread(x: Node) -> Node:
    """(N, C, H, W) with zeros after each row and column: (N, C, 2H, 2W). With a convolution of stride 1 it makes the
    gradient of one of stride 2; OpenVINO's own transposed convolution is five times slower."""
    zeros = ops.multiply(x, constant(0.0))
    return ops.depth_to_space(ops.concat([x, zeros, zeros, zeros], 1), "blocks_first", 2)


def padded(x: Node, before: int, after: int) -> Node:
    """Zeros before and after the rows and columns."""
    begins, ends = (ops.constant(np.array([0, 0, width, width])) for width in (before, after))
    return ops.pad(x, begins, ends, "constant")


def filled(x: Node, shape: Sequence[int]) -> Node:
    """x, filled with zeros at the end of each axis up to a shape."""
    missing = np.array(shape) - np.array([int(length) for length in x.get_output_shape(0)])
    if not missing.any():
        return x
    return ops.pad(x, ops.constant(np.zeros(4, dtype=np.int64)), ops.constant(missing), "constant")


def cut(x: Node, shape: Sequence[int]) -> Node:
    """The first entries of each axis, as many as a shape has."""
    if tuple(map(int, x.get_output_shape(0))) == tuple(shape):
        return x
    zeros, ones = np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.int64)
    return ops.slice(x, ops.constant(zeros), ops.constant(np.array(shape)), ops.constant(ones))


class Chain:
    """A chain of layers, and the way back of a gradient through them."""

    def __init__(self, x: Node) -> None:
        self.x = x
        self._back: list[Callable[[Node], Node]] = []

    def gradient(self, upstream: Node) -> Node:
        """The gradient of the chain's input, from that of its output."""
        for back in reversed(self._back):
            upstream = back(upstream)
        return upstream

    def add(self, x: Node, back: Callable[[Node], Node] | None = None) -> None:
        """A layer's output, and how a gradient passes back through it; None: unchanged."""
        self.x = x
        if back:
            self._back.append(back)

    def dense(self, weight: np.ndarray, pad: int = 0, stride: int = 1) -> None:
        """A convolution; with stride 2 of 3x3 px without padding."""
        turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        side = int(self.x.get_output_shape(0)[-1])

        def back(g: Node) -> Node:
            if stride == 1:
                return dense(g, turned, pad)
            return dense(padded(spread(g), 2, side - 2 * int(g.get_output_shape(0)[-1])), turned)

        self.add(dense(self.x, weight, pad, stride), back)

    def residual(self, inner: Chain, down: bool) -> None:
        """`inner`, a chain that starts at this one's end, plus its input; with `down` averaged over 2x2 px, and both
        filled with zeros to one size, as dlib does: channels, then the last row and column."""
        x = self.x
        short, long = (ops.avg_pool(x, [2, 2], [0, 0], [0, 0], [2, 2], True) if down else x), inner.x
        shapes = [tuple(map(int, each.get_output_shape(0))) for each in (x, short, long)]
        of_x, of_short, of_long = shapes
        both = tuple(map(max, of_short, of_long))

        def back(g: Node) -> Node:
            through = inner.gradient(cut(g, of_long))
            direct = cut(g, of_short)
            if down:
                quarters = ops.concat([ops.multiply(direct, constant(0.25))] * 4, 1)
                direct = ops.depth_to_space(quarters, "blocks_first", 2)
                direct = filled(direct, of_x)
            return ops.add(through, direct)

        self.add(ops.add(filled(short, both), filled(long, both)), back)

    def depthwise(self, weight: np.ndarray, stride: int = 1) -> None:
        """A 3x3 convolution of every channel by itself."""

        def back(g: Node) -> Node:
            return depthwise(spread(g) if stride == 2 else g, weight[:, :, ::-1, ::-1])

        self.add(depthwise(self.x, weight, stride), back)

    def bias(self, bias: np.ndarray) -> None:
        """A number added to each channel, (C,)."""
        self.add(ops.add(self.x, constant(bias[None, :, None, None])))

    def prelu(self, slopes: np.ndarray) -> None:
        """A leaky ReLU, slopes (1,) or (C,)."""
        x, spread = self.x, slopes[None, :, None, None]
        y = ops.prelu(x, constant(slopes))
        # With positive slopes the output has the sign of the input, which then need not be kept beside it.
        shown = y if slopes.min() > 0 else x
        self.add(
            y, lambda g: ops.multiply(g, ops.add(ops.multiply(step(shown), constant(1 - spread)), constant(spread)))
        )

    def scale(self, by: Node, heard: Callable[[Node], None]) -> None:
        """Channels times (N, C, 1, 1). `heard` is told the gradient of these factors, (N, C)."""
        x = self.x

        def back(g: Node) -> Node:
            heard(ops.reduce_sum(ops.multiply(g, x), ops.constant(np.array([2, 3])), False))
            return ops.multiply(g, by)

        self.add(ops.multiply(x, by), back)

    def inverse_haar(self) -> None:
        """Bands (N, 4C, H, W) -> (N, C, 2H, 2W), without the factor 1/2."""
        self.add(
            ops.depth_to_space(haar(self.x), "blocks_first", 2),
            lambda g: haar(ops.space_to_depth(g, "blocks_first", 2)),
        )


def graphs(
    name: str, inputs: list[Node], chain: Chain, upstream: Node, gradient: Callable[[], Node]
) -> tuple[openvino.Model, openvino.Model]:
    """The graph of a chain, and that of its gradient, which has one more input: the gradient of its output."""
    return (
        openvino.Model([chain.x], inputs, name),
        openvino.Model([gradient()], [*inputs, upstream], f"{name}_gradient"),
    )


def sface_graphs(state: State, count: int) -> tuple[openvino.Model, openvino.Model]:
    """WideSFace: crops (N, 3, 112, 112) -> (N, 1152), and (crops, gradient of the output) -> that of the crops.

    Args:
        state: of SFace.
        count: N.
    """
    crops = ops.parameter([count, 3, 112, 112], np.float32, name="crops")
    upstream = ops.parameter([count, sface.WIDE], np.float32, name="upstream")
    chain = Chain(crops)

    def unit(number: int, stride: int = 1) -> None:
        weight = state[f"units.{number}.conv.weight"]
        if weight.shape[1] == 1:
            chain.depthwise(weight, stride)
        else:
            chain.dense(weight, pad=weight.shape[-1] // 2)
        chain.bias(state[f"units.{number}.conv.bias"])
        chain.prelu(state[f"units.{number}.bend.weight"])

    unit(0)
    for i in range(len(sface.WIDTHS)):
        unit(1 + 2 * i, 2 if i in sface.DOWN else 1)
        unit(2 + 2 * i)
    scale, last = constant(state["scale"][None]), state["last.weight"]
    side = int(chain.x.get_output_shape(0)[-1])
    area = constant(1 / side**2)

    def back(g: Node) -> Node:
        parts = ops.variadic_split(
            g, ops.constant(np.int64(1)), ops.constant(np.array([sface.FEATURE, len(state["scale"])]))
        )
        narrow, wide = parts.outputs()
        shape = ops.constant(np.array([count, -1, side, side]))
        body = ops.reshape(ops.matmul(narrow, constant(last), False, False), shape, False)
        return ops.multiply(ops.add(body, factors(ops.multiply(wide, area))), scale)

    body = ops.multiply(chain.x, scale)
    flat = ops.reshape(body, ops.constant(np.array([count, -1])), False)
    narrow = ops.add(ops.matmul(flat, constant(last), False, True), constant(state["last.bias"][None]))
    wide = ops.reduce_mean(body, ops.constant(np.array([2, 3])), False)
    chain.add(ops.concat([narrow, wide], 1), back)
    return graphs("sface", [crops], chain, upstream, lambda: chain.gradient(upstream))


def dlib_graphs(state: State, count: int) -> tuple[openvino.Model, openvino.Model]:
    """DlibResnet behind its first pooling: (N, 32, 35, 35) -> (N, 128), and with its gradient -> that of the input.

    Args:
        state: of DlibResnet.
        count: N.
    """
    x = ops.parameter([count, WIDTHS[0][0], 35, 35], np.float32, name="pooled")
    upstream = ops.parameter([count, len(state["fc.weight"])], np.float32, name="upstream")
    chain, relu = Chain(x), np.zeros(1, dtype=np.float32)

    def conv(inner: Chain, name: str, number: int, pad: int, stride: int) -> None:
        """A convolution and the frozen normalisation behind it."""
        gamma, beta = (state[f"{name}.affine{number}.{part}"] for part in ("gamma", "beta"))
        inner.dense(state[f"{name}.conv{number}.weight"] * gamma[:, None, None, None], pad, stride)
        inner.bias(state[f"{name}.conv{number}.bias"] * gamma + beta)

    downs = [down and i == 0 for _, plain, down in WIDTHS for i in range(plain + down)]
    for i, down in enumerate(downs):
        inner = Chain(chain.x)
        conv(inner, f"blocks.{i}", 1, 0 if down else 1, 2 if down else 1)
        inner.prelu(relu)
        conv(inner, f"blocks.{i}", 2, 1, 1)
        chain.residual(inner, down)
        chain.prelu(relu)
    side, fc = int(chain.x.get_output_shape(0)[-1]), constant(state["fc.weight"])

    def back(g: Node) -> Node:
        of_mean = factors(ops.multiply(ops.matmul(g, fc, False, False), constant(1 / side**2)))
        return ops.broadcast(of_mean, ops.constant(np.array([count, WIDTHS[-1][0], side, side])))

    mean = ops.reduce_mean(chain.x, ops.constant(np.array([2, 3])), False)
    chain.add(ops.matmul(mean, fc, False, True), back)
    return graphs("dlib", [x], chain, upstream, lambda: chain.gradient(upstream))


def low_band_graphs(state: State, count: int, side: int) -> tuple[openvino.Model, openvino.Model]:
    """G for small pictures: (w+ (N, 23, 512), 1) -> (N, 3, side, side), and with its gradient -> that of w+.

    The second input is always 1, see mobile_stylegan_openvino.

    Args:
        state: of Synthesis.
        count: N.
        side: 64, 128 or 256 px.
    """
    w_plus = ops.parameter([count, STYLES, 512], np.float32, name="w_plus")
    strength = ops.parameter([1], np.float32, name="strength")
    upstream = ops.parameter([count, 3, side, side], np.float32, name="upstream")
    of_w: dict[int, Node] = {}  # gradient of the w of each layer
    styles = iter(range(STYLES))
    start = ops.broadcast(constant(state["start"]), ops.constant(np.array([count, *state["start"].shape[1:]])))
    chain = Chain(start)

    def modulate(name: str, times: np.ndarray | float = 1.0) -> None:
        """Scale channels by a style; `times` (C,) or a number multiplies the scale."""
        layer = next(styles)
        channels = int(chain.x.get_output_shape(0)[1])
        weight, bias = (np.asarray(state[f"{name}.affine.{part}"])[:channels] for part in ("weight", "bias"))
        weight, bias = (weight.T * times).T, bias * times
        w = ops.gather(w_plus, ops.constant(np.int64(layer)), ops.constant(np.int64(1)))  # (N, 512)
        scale = ops.add(ops.matmul(w, constant(weight), False, True), constant(bias[None]))

        def heard(g: Node) -> None:
            of_w[layer] = ops.matmul(g, constant(weight), False, False)  # (N, 512)

        chain.scale(factors(scale), heard)

    def activate(bias: np.ndarray, noise: np.ndarray) -> None:
        size = int(chain.x.get_output_shape(0)[-1])
        if noise.shape[-1] > size:  # the low band of the noise
            noise = noise.reshape(1, 1, size, noise.shape[-1] // size, size, -1).mean(axis=(3, 5))
        chain.bias(bias)
        chain.add(ops.add(chain.x, ops.multiply(constant(noise), strength)))
        chain.prelu(np.array([SLOPE], dtype=np.float32))

    def separable(name: str, low: bool, channels: int | None = None) -> None:
        kernels = state[f"{name}.depthwise.weight"]
        modulate(f"{name}.style", kernels.sum(axis=(1, 2, 3)) if low else 1.0)
        if not low:
            chain.depthwise(kernels)
        chain.dense(state[f"{name}.pointwise.weight"][:channels])
        activate(state[f"{name}.pointwise.bias"][:channels], state[f"{name}.noise"])

    modulate("start_style")
    chain.dense(state["start_conv.weight"], pad=1)
    activate(state["start_conv.bias"], state["start_noise"])
    low = [*(8 << i > side for i in range(len(BLOCK_CHANNELS))), False]
    for i in range(len(BLOCK_CHANNELS)):
        modulate(f"blocks.{i}.up", 0.5)
        if not low[i]:
            chain.inverse_haar()
        separable(f"blocks.{i}.conv1", low[i])
        separable(f"blocks.{i}.conv2", low[i], OUT_CHANNELS[i] // 4 if low[i + 1] else None)
    modulate("to_rgb_style")
    chain.dense(0.5 * state["to_rgb.weight"][:3])
    chain.bias(0.5 * state["to_rgb.bias"][:3])

    def gradient() -> Node:
        chain.gradient(upstream)
        return ops.concat([ops.unsqueeze(of_w[layer], ops.constant(np.int64(1))) for layer in range(STYLES)], 1)

    return graphs("low_band", [w_plus, strength], chain, upstream, gradient)
