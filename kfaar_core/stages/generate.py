"""Mapping network M and generator G: z -> w -> z+ -> x'. Fourth and fifth box of HPVFG (Alg. 1, steps 6 and 7).

MobileStyleGAN (preset `lab`) has two runtimes: torch (differentiable, CPU or CUDA) and OpenVINO (faster on a CPU).
StyleGAN2 (preset `paper`) has torch alone.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as StateDict
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.nets.cast.stylegan2 import StyleGan2
from kfaar_core.nets.mobile_stylegan import Mapping, Synthesis
from kfaar_core.records import Posture
from kfaar_core.stages.compiled import Compiler, Requests
from kfaar_core.stages.geometry import GeometryReader

# Styles 0-6 act at 4-16 px (head pose and shape), 7-12 at 32-64 px (features), 13-22 above (colour and texture).
GROUPS = (7, 6, 10)
FINEST = 4  # styles of StyleGAN2 in the coarse group, 4-8 px, and in the middle one, 16-32 px


def w_plus(w: Tensor, groups: tuple[int, int, int] = GROUPS) -> Tensor:
    """w+ of the L layers, (N, L, 512), from one w for each of the three layer groups, (N, 3, 512).

    Args:
        groups: layers in each group, of the generator; L is their sum. Of latents that have a w for each of these
            layers already, w+ is what they are.
    """
    if w.shape[1] == sum(groups):
        return w
    return torch.repeat_interleave(w, torch.tensor(groups, device=w.device), dim=1)


Synthesize = Callable[[Tensor, int], Tensor]  # (w+, side) -> pictures (N, 3, side, side)


class Generator(Protocol):
    """Interface of M and G for the pipeline."""

    w_mean: Tensor  # (512,) mean of w over random z
    groups: tuple[int, int, int]  # layers in each of the three layer groups, L in all

    def map(self, z: Tensor) -> Tensor:
        """Mapping network M: z (N, 512) -> w (N, 512)."""

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        """Generator G: w+ (N, L, 512) -> RGB (N, 3, side, side) float32 in about [-1, 1]."""


@dataclass(frozen=True)
class GeneratedFace:
    """A rendered face, its latent and its posture."""

    picture: Tensor  # (3, S, S) in [-1, 1], portrait frame
    latent: Tensor  # (3, 512) w of the coarse, middle and fine layers, or (23, 512) of every layer
    posture: Posture  # measured on the picture
    animated: bool = False  # by a network (stages.animate): the picture is no render of the latent any more


def render_face(generator: Generator, geometry: GeometryReader, latent: Tensor, side: int) -> GeneratedFace:
    """Render a latent (3, 512) or (L, 512) at `side` px and measure its posture."""
    picture = generator.render(w_plus(latent[None], generator.groups), side)
    return GeneratedFace(picture[0], latent, geometry.postures(picture)[0])


@torch.inference_mode()
def truncated(generator: Generator, z: Tensor, share: float) -> Tensor:
    """w of random z (N, 512), drawn towards the mean style: (N, 512) on the CPU; `share` 1 keeps all of it, 0 none."""
    mean = generator.w_mean
    return (mean + share * (generator.map(z.to(mean.device)) - mean)).cpu()


class TorchGenerator:
    """Mapping network M and generator G in torch, differentiable with respect to z and w+. The weights are frozen."""

    groups = GROUPS

    def __init__(self, state: StateDict[str, Tensor], device: torch.device) -> None:
        self.mapping, self.synthesis = mapping_of(state, device), synthesis_of(state, device)
        self.w_mean = mean_style(self.mapping, device)

    def map(self, z: Tensor) -> Tensor:
        return self.mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        return self.synthesis(w_plus, side)


class OpenVinoGenerator:
    """Mapping network M in torch, generator G by OpenVINO. Faces are rendered one at a time; threads may share it."""

    groups = GROUPS

    def __init__(self, state: StateDict[str, Tensor], precision: str = "f32", threads: int = 0) -> None:
        self.mapping = mapping_of(state, torch.device("cpu"))
        self.w_mean = mean_style(self.mapping, torch.device("cpu"))
        self._state = {name: tensor.float().numpy() for name, tensor in part(state, "synthesis.").items()}
        self._requests = Requests(lambda side: Compiler(precision, threads)(self._graph(side)))

    def _graph(self, side: int) -> Any:
        from kfaar_core.nets.mobile_stylegan_openvino import synthesis_graph

        return synthesis_graph(self._state, side)

    def map(self, z: Tensor) -> Tensor:
        return self.mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        request, strength = self._requests(side), np.ones(1, dtype=np.float32)
        # The next call overwrites the output buffer of a request.
        pictures = [request.infer([styles[None].numpy(), strength])[0].copy() for styles in w_plus.float()]
        return torch.from_numpy(np.concatenate(pictures))


class StyleGan2Generator:
    """M and G of StyleGAN2, differentiable with respect to z and w+."""

    def __init__(self, net: StyleGan2, device: torch.device) -> None:
        """net: frozen; it is moved to the device."""
        self._net = net.to(device)
        self.mapping: Callable[[Tensor], Tensor] = net.map
        self.w_mean = net.mean
        self.groups = (FINEST, FINEST, net.layers - 2 * FINEST)

    def map(self, z: Tensor) -> Tensor:
        return self._net.map(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        picture: Tensor = self._net(w_plus).float()
        return resized(picture, side)


def resized(pictures: Tensor, side: int) -> Tensor:
    """(N, 3, S, S) -> (N, 3, side, side): averaged where it shrinks, so that nothing aliases; differentiable."""
    if pictures.shape[-1] == side:
        return pictures
    if pictures.shape[-1] > side:
        return functional.interpolate(pictures, size=(side, side), mode="area")
    return functional.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False)


def mapping_of(state: StateDict[str, Tensor], device: torch.device) -> Mapping:
    """The mapping network M from the generator's state dict, frozen, in evaluation mode."""
    net = Mapping()
    net.load_state_dict(part(state, "mapping."))
    return net.to(device).eval().requires_grad_(False)


def synthesis_of(state: StateDict[str, Tensor], device: torch.device, dtype: torch.dtype = torch.float32) -> Synthesis:
    """The generator G from its state dict, frozen, in evaluation mode, channels last (fastest convolutions)."""
    net = Synthesis()
    net.load_state_dict(part(state, "synthesis."))
    net.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return net.eval().requires_grad_(False)


def part(state: StateDict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, as float32, with the prefix removed."""
    return {name.removeprefix(prefix): t.float() for name, t in state.items() if name.startswith(prefix)}


@torch.no_grad()
def mean_style(mapping: Callable[[Tensor], Tensor], device: torch.device, count: int = 4096) -> Tensor:
    """The mean w (512,) over `count` random z of a fixed seed: the centre of truncation."""
    z = torch.randn(count, 512, generator=torch.Generator().manual_seed(0))
    return mapping(z.to(device)).mean(dim=0).clone()
