"""The generator itself in place of train.proxy: w -> G -> E and F, differentiable; what the GPU road learns through.

G, E, F and the geometry network stand on the device and stay frozen. What a lesson draws and what it trains, small as
it is, stays on the CPU: a seed then means the same batches on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kfaar_core.presets import Descent
from kfaar_core.stages.differentiable import FeatureExtractor, crops
from kfaar_core.stages.encode import FaceEncoder
from kfaar_core.stages.generate import TorchGenerator, w_plus
from kfaar_core.stages.geometry import GeometryReader, to_pixels
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.posture import PostureStep

Look = Callable[[Tensor, Tensor], Tensor]  # portraits (N, 3, S, S) and landmarks (N, 478, 2) px -> (N, D)


class LiveGenerator(TorchGenerator):
    """M on the CPU, beside P, and G on the device."""

    def __init__(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        super().__init__(state, torch.device("cpu"))
        self.synthesis.to(device)
        self.device = device

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        """w+ on any device -> pictures on the generator's."""
        return super().render(w_plus.to(self.device), side)


@dataclass(frozen=True)
class Camera:
    """w -> a portrait with its landmarks -> what someone sees in it."""

    generator: LiveGenerator
    geometry: GeometryReader  # on the same device
    part: int = 64  # faces at a time: the backward pass holds the activations of so many, 160 MB each
    side: int = Descent.side  # px of the picture, the refinement's; a tenth of the work of 512

    def look(self, w: Tensor, by: Look) -> Tensor:
        """(N, 3, 512) on the CPU -> (N, D) float32 on the CPU; gradients go through.

        Every part is rendered again for its gradient, so that of a whole batch nothing but w and the answer is kept.
        """

        def seen(part: Tensor) -> Tensor:
            pictures = self.generator.render(w_plus(part), self.side).float().clamp(-1, 1)
            # From here on in float32: in half precision landmarks, and the crops by them, would be imprecise.
            with torch.autocast(pictures.device.type, enabled=False):
                landmarks = to_pixels(self.geometry.measure(pictures).landmarks, pictures.shape[-1])
                return by(pictures, landmarks).cpu()

        parts = w.split(self.part)
        # Nothing is drawn at random in a part.
        return torch.cat([checkpoint(seen, part, use_reentrant=False, preserve_rng_state=False) for part in parts])


class LiveFeatures:
    """R(G(w)), as train.proxy.FeatureProxy is called: (N, 3, 32) or more natural coordinates -> (N, D), unit length.

    R is E, centred with its mean over photos. Coordinates that are not given are those of the mean face.
    """

    def __init__(self, camera: Camera, encoder: FaceEncoder, space: NaturalSpace) -> None:
        self._camera, self._encoder, self._space = camera, encoder, space

    def __call__(self, v: Tensor) -> Tensor:
        w = self._space.to_w(functional.pad(v, (0, 512 - v.shape[-1])))
        return self._camera.look(w, self._look)

    def _look(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        return self._encoder.embed_crops_normalised(crops(pictures, landmarks, self._encoder))


@dataclass(frozen=True)
class LiveChannel:
    """Posture correction, rendering and reading as they are, in place of train.proxy.Channel."""

    space: NaturalSpace
    step: PostureStep
    camera: Camera
    sight: FeatureExtractor
    mean: Tensor  # (S,) of readings
    scale: Tensor  # (S,) sd of readings

    def read(self, w: Tensor) -> Tensor:
        """w (N, 3, 512) as P made it -> what KVFA sees (N, S) of the corrected face."""
        return self.camera.look(self.step.moved(w), self.sight)


@torch.no_grad()
def live_channel(
    space: NaturalSpace, step: PostureStep, camera: Camera, sight: FeatureExtractor, w: Tensor
) -> LiveChannel:
    """w: (N, 3, 512) of faces over which readings are centred and scaled."""
    readings = camera.look(w, sight)
    return LiveChannel(space, step, camera, sight, readings.mean(dim=0), readings.std(dim=0).clamp(min=1e-6))
