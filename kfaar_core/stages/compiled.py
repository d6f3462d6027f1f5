"""Networks compiled by OpenVINO for a CPU, also with gradients (nets.openvino_gradients), called as torch's are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.runtime import has_bfloat16, openvino_core

if TYPE_CHECKING:
    import openvino

Graphs = Callable[[int], "tuple[openvino.Model, openvino.Model]"]  # number of inputs -> a net and its gradient


class Compiler:
    """Compiles graphs for a CPU."""

    def __init__(self, precision: str = "f32", threads: int = 0) -> None:
        """
        Args:
            precision: bf16, where the CPU has it, or f32.
            threads: 0 lets OpenVINO choose.
        """
        halves = has_bfloat16(torch.device("cpu"))
        self._options = {
            "INFERENCE_PRECISION_HINT": precision if halves or precision != "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # every process would pin itself to the same first cores
        }

    def __call__(self, graph: openvino.Model) -> Any:
        """A compiled model."""
        return openvino_core().compile_model(graph, "CPU", self._options)


class Requests:
    """Inference requests by key. They are not thread-safe: each thread has its own, of models that all share."""

    def __init__(self, compiled: Callable[[Any], Any]) -> None:
        """
        Args:
            compiled: key -> the compiled model; called once for each key.
        """
        self._compile, self._lock = compiled, threading.Lock()
        self._compiled = dict[Hashable, Any]()
        self._own = threading.local()

    def __call__(self, key: Hashable) -> Any:
        """This thread's request for a key."""
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = self._compile(key)
        own = vars(self._own).setdefault("by_key", dict[Hashable, Any]())
        if key not in own:
            own[key] = self._compiled[key].create_infer_request()
        return own[key]


class CompiledNet(nn.Module):
    """A network and its gradient as compiled graphs; it has no parameters of its own."""

    def __init__(self, graphs: Graphs, compiler: Compiler, *constants: np.ndarray) -> None:
        """
        Args:
            graphs: number of inputs -> the two graphs, as nets.openvino_gradients makes them.
            constants: further inputs, always the same.
        """
        super().__init__()
        self._graphs, self._constants = graphs, constants
        self._requests = Requests(lambda key: compiler(graphs(key[0])[key[1]]))

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> (N, ...) float32, differentiable."""
        answer: Tensor = _Call.apply(x, self)  # type: ignore[no-untyped-call]
        return answer

    def infer(self, x: Tensor, upstream: Tensor | None = None) -> Tensor:
        """The output for x, or the gradient of x from that of the output."""
        given = [x.detach().float().contiguous().numpy(), *self._constants]
        if upstream is not None:
            given.append(upstream.float().contiguous().numpy())
        answer = self._requests((len(x), 0 if upstream is None else 1)).infer(given)[0]
        return torch.from_numpy(answer.copy())  # the next call overwrites the output buffer


class _Call(torch.autograd.Function):
    """One call of a CompiledNet in torch's autograd."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, net: CompiledNet) -> Tensor:
        ctx.save_for_backward(x)
        ctx.net = net  # type: ignore[attr-defined]
        return net.infer(x)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return ctx.net.infer(x, upstream), None


def compiled_sface(sface: Mapping[str, Tensor], compiler: Compiler) -> CompiledNet:
    """E with its penultimate activations.

    Args:
        sface: state of SFace.
    """
    from kfaar_core.nets.openvino_gradients import sface_graphs

    state = arrays(sface)
    return CompiledNet(lambda count: sface_graphs(state, count), compiler)


class CompiledDlib(nn.Module):
    """The auxiliary encoder, compiled behind its first pooling."""

    def __init__(self, net: DlibResnet, compiler: Compiler) -> None:
        from kfaar_core.nets.openvino_gradients import dlib_graphs

        super().__init__()
        state = arrays(net.state_dict())
        self._net, self._rest = net, CompiledNet(lambda count: dlib_graphs(state, count), compiler)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 150, 150) in [-1, 1] -> (N, 128), not normalised."""
        answer: Tensor = self._rest(self._net.pooled(x))
        return answer


def compiled_low_band(synthesis: Mapping[str, Tensor], compiler: Compiler) -> Callable[[Tensor, int], Tensor]:
    """G for small pictures: (w+, side) -> pictures, differentiable.

    Args:
        synthesis: state of Synthesis.
    """
    from kfaar_core.nets.openvino_gradients import low_band_graphs

    state, strength = arrays(synthesis), np.ones(1, dtype=np.float32)
    net = cache(lambda side: CompiledNet(lambda count: low_band_graphs(state, count, side), compiler, strength))
    return lambda w_plus, side: net(side)(w_plus)


def arrays(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """A state dict as float32 arrays."""
    return {name: tensor.float().cpu().numpy() for name, tensor in state.items()}
