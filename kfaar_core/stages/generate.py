"""M and G: z -> w -> z+ -> x'. Fourth and fifth box of HPVFG (Alg. 1, steps 6 and 7).

Two runtimes stand behind one interface: torch (differentiable, CPU or CUDA) and OpenVINO (fast on a CPU). Both run the
tensors of nets.mobile_stylegan.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping as StateDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.nets.mobile_stylegan import Mapping, Synthesis
from kfaar_core.records import Posture
from kfaar_core.runtime import has_bfloat16
from kfaar_core.stages.geometry import GeometryReader

# Styles 0-6 act at 4-16 px (head pose and shape), 7-12 at 32-64 px (features), 13-22 above (colour and texture).
GROUPS = (7, 6, 10)


def w_plus(w: Tensor) -> Tensor:
    """(N, 3, 512), one w for each layer group -> (N, 23, 512)."""
    return torch.repeat_interleave(w, torch.tensor(GROUPS, device=w.device), dim=1)


class Generator(Protocol):
    """What the pipeline needs from M and G."""

    w_mean: Tensor  # (512,) the mean of w over random z: the average face

    def map(self, z: Tensor) -> Tensor:
        """M: z (N, 512) -> w (N, 512)."""

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        """G: w+ (N, 23, 512) -> RGB (N, 3, side, side) float32 in about [-1, 1]; side 512 or 1024 px."""


@dataclass(frozen=True)
class GeneratedFace:
    """A rendered face and the latent that it was rendered from."""

    picture: Tensor  # (3, S, S) in [-1, 1], portrait frame
    latent: Tensor  # (3, 512) w of the coarse, middle and fine layers
    posture: Posture  # measured on the picture


def render_face(generator: Generator, geometry: GeometryReader, latent: Tensor, side: int) -> GeneratedFace:
    """Render a latent (3, 512) at `side` px and measure its posture."""
    picture = generator.render(w_plus(latent[None]), side)
    return GeneratedFace(picture[0], latent, geometry.postures(picture)[0])


class TorchGenerator:
    """M and G in torch; gradients flow where the caller asks for them."""

    def __init__(self, state: StateDict[str, Tensor], device: torch.device) -> None:
        self.mapping, self.synthesis = mapping_of(state, device), synthesis_of(state, device)
        self.w_mean = mean_style(self.mapping, device)

    def map(self, z: Tensor) -> Tensor:
        return self.mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        return self.synthesis(w_plus, side)


class OpenVinoGenerator:
    """M in torch, G compiled by OpenVINO for this CPU; faces are rendered one by one."""

    def __init__(self, state: StateDict[str, Tensor], precision: str = "f32", threads: int = 0) -> None:
        self.mapping = mapping_of(state, torch.device("cpu"))
        self.w_mean = mean_style(self.mapping, torch.device("cpu"))
        self._state = {name: tensor.float().numpy() for name, tensor in part(state, "synthesis.").items()}
        self._precision, self._threads = precision, threads
        self._compiling, self._compiled = threading.Lock(), dict[int, Any]()
        self._requests = threading.local()  # a request answers one caller at a time, so each thread has its own

    def _request(self, side: int) -> Any:
        """What infers one face of that side in this thread; the graph is compiled once for all threads."""
        with self._compiling:
            if side not in self._compiled:
                self._compiled[side] = self._compile(side)
        own = vars(self._requests).setdefault("by_side", dict[int, Any]())
        if side not in own:
            own[side] = self._compiled[side].create_infer_request()
        return own[side]

    def _compile(self, side: int) -> Any:
        import openvino

        from kfaar_core.nets.mobile_stylegan_openvino import synthesis_graph

        core = openvino.Core()
        halves = has_bfloat16(torch.device("cpu"))
        precision = self._precision if halves or self._precision != "bf16" else "f32"
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": self._threads,
            "ENABLE_CPU_PINNING": False,  # every process would pin itself to the same first cores
        }
        return core.compile_model(synthesis_graph(self._state, side), "CPU", options)

    def map(self, z: Tensor) -> Tensor:
        return self.mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        request, strength = self._request(side), np.ones(1, dtype=np.float32)
        # The next call writes over what a request answered.
        pictures = [request.infer([styles[None].numpy(), strength])[0].copy() for styles in w_plus.float()]
        return torch.from_numpy(np.concatenate(pictures))


def mapping_of(state: StateDict[str, Tensor], device: torch.device) -> Mapping:
    """M of the generator's state, frozen."""
    net = Mapping()
    net.load_state_dict(part(state, "mapping."))
    return net.to(device).eval().requires_grad_(False)


def synthesis_of(state: StateDict[str, Tensor], device: torch.device, dtype: torch.dtype = torch.float32) -> Synthesis:
    """G of the generator's state, frozen; channels lie innermost, where convolutions are quickest."""
    net = Synthesis()
    net.load_state_dict(part(state, "synthesis."))
    net.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return net.eval().requires_grad_(False)


def part(state: StateDict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The float32 tensors under a prefix, without it."""
    return {name.removeprefix(prefix): t.float() for name, t in state.items() if name.startswith(prefix)}


@torch.no_grad()
def mean_style(mapping: Mapping, device: torch.device, count: int = 4096) -> Tensor:
    """The mean w (512,) over `count` fixed random z: the centre that truncation pulls towards."""
    z = torch.randn(count, 512, generator=torch.Generator().manual_seed(0))
    return mapping(z.to(device)).mean(dim=0).clone()
