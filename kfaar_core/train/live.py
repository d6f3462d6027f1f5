"""Training on a GPU: faces are rendered during training, in place of the surrogate models of train.surrogates.

The trainings are the same. G, E, F and the geometry network stand on the device, frozen. What is trained is small and
stays on the CPU, as do random draws, so that a seed gives the same batches on every device. Closed forms (posture rows,
mean face, natural coordinates) come from the same cached renders as on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kfaar_core import cast, weights
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.presets import LAB, Descent
from kfaar_core.runtime import stream
from kfaar_core.stages.differentiable import FeatureExtractor, crops
from kfaar_core.stages.encode import FaceEncoder
from kfaar_core.stages.generate import StyleGan2Generator, TorchGenerator, w_plus
from kfaar_core.stages.geometry import GeometryReader, to_pixels
from kfaar_core.stages.latent import NaturalSpace
from kfaar_core.train.data import CPU, TrainingData
from kfaar_core.train.loop import Plan
from kfaar_core.train.posture import PostureStep
from kfaar_core.train.renders import mixed_styles
from kfaar_core.train.surrogates import LatentEncoder

LARGE_PART = 64  # faces at a time of the generator of `lab`, 160 MB each               [design]
PART = 16  # of StyleGAN2 at 1024 px, about 2 GB each                                  [design]
SCALING = 1000  # mixed renders over which features are centred and scaled              [design]

Extract = Callable[[Tensor, Tensor], Tensor]  # portraits (N, 3, S, S) and landmarks (N, 478, 2) px -> (N, D)


class LiveGenerator:
    """M on the CPU, beside P, and G on the device."""

    def __init__(self, on_cpu: TorchGenerator | StyleGan2Generator, there: TorchGenerator | StyleGan2Generator) -> None:
        """
        Args:
            on_cpu: M of this one is used.
            there: G of this one is used, on its device.
        """
        self.w_mean, self.groups = on_cpu.w_mean, there.groups
        self._mapping, self._there = on_cpu.map, there

    def map(self, z: Tensor) -> Tensor:
        return self._mapping(z)

    def render(self, w_plus: Tensor, side: int = 512) -> Tensor:
        """w+ on any device -> pictures on the generator's."""
        return self._there.render(w_plus.to(self._there.w_mean.device), side)


@dataclass(frozen=True)
class Camera:
    """Renders latents and measures the landmarks of the pictures; differentiable."""

    generator: LiveGenerator
    geometry: GeometryReader  # on the same device
    part: int = LARGE_PART  # faces at a time: the backward pass keeps their activations
    side: int = Descent.side  # px of the picture, the refinement's; a tenth of the work of 512

    def features(self, w: Tensor, extract: Extract) -> Tensor:
        """(N, 3, 512) on the CPU -> (N, D) float32 on the CPU, differentiable.

        Every part is rendered again in the backward pass, so that activations of one part at a time are kept.
        """

        def rendered(part: Tensor) -> Tensor:
            pictures = self.generator.render(w_plus(part, self.generator.groups), self.side).float().clamp(-1, 1)
            # In float32 from here on: in half precision the landmarks, and the crops by them, would be imprecise.
            with torch.autocast(pictures.device.type, enabled=False):
                landmarks = to_pixels(self.geometry.measure(pictures).landmarks, pictures.shape[-1])
                return extract(pictures, landmarks).cpu()

        parts = w.split(self.part)
        # Nothing is drawn at random in a part.
        return torch.cat([checkpoint(rendered, part, use_reentrant=False, preserve_rng_state=False) for part in parts])


class LiveRenderer:
    """R(G(w)), with the signature of SurrogateRenderer: (N, 3, 32) or more natural coordinates -> (N, D), unit length.

    R is E, centred with its mean over photos. Missing coordinates are those of the mean face.
    """

    def __init__(self, camera: Camera, encoder: FaceEncoder, space: NaturalSpace) -> None:
        self._camera, self._encoder, self._space = camera, encoder, space

    def __call__(self, v: Tensor) -> Tensor:
        w = self._space.to_w(functional.pad(v, (0, 512 - v.shape[-1])))
        return self._camera.features(w, self._embed)

    def _embed(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        return self._encoder.embed_crops_normalised(crops(pictures, landmarks, self._encoder))


@dataclass(frozen=True)
class LiveEncoder:
    """Posture correction, rendering and feature extraction, in place of SurrogateEncoder."""

    space: NaturalSpace
    step: PostureStep
    camera: Camera
    extractor: FeatureExtractor
    mean: Tensor  # (S,) of the features
    scale: Tensor  # (S,) sd of the features

    def encode(self, w: Tensor) -> Tensor:
        """Latents (N, 3, 512) of P -> features (N, S) of the corrected faces."""
        return self.camera.features(self.step.moved(w), self.extractor)


@torch.no_grad()
def live_encoder(
    space: NaturalSpace, step: PostureStep, camera: Camera, extractor: FeatureExtractor, w: Tensor
) -> LiveEncoder:
    """w: (N, 3, 512) latents over which features are centred and scaled."""
    features = camera.features(w, extractor)
    return LiveEncoder(space, step, camera, extractor, features.mean(dim=0), features.std(dim=0).clamp(min=1e-6))


@dataclass(frozen=True)
class LiveTrainingData(TrainingData):
    """Training data of one configuration, with the generator on a device."""

    device: torch.device

    @cached_property
    def generator(self) -> LiveGenerator:
        return LiveGenerator(cast.torch_generator(self.preset, CPU), cast.torch_generator(self.preset, self.device))

    @cached_property
    def camera(self) -> Camera:
        geometry = GeometryReader(weights.load("geometry"), self.device)
        return Camera(self.generator, geometry, LARGE_PART if self.preset.generator == LAB.generator else PART)

    @cached_property
    def face_encoder(self) -> FaceEncoder:
        """E on the device, centred like the embeddings of people."""
        return cast.encoder(self.preset, self.device, self.people.feature_mean)

    def renderer(self, with_bootstrap: bool) -> LiveRenderer:
        return LiveRenderer(self.camera, self.face_encoder, self.space)

    def encoder(self, reader: ReaderNet | None, kind: str) -> LatentEncoder:
        """Posture correction, rendering and feature extraction; nothing is fitted, whatever the kind.

        Args:
            reader: F; None for features of E alone.
        """
        extractor = FeatureExtractor(self.face_encoder, reader, self.device)
        return live_encoder(self.space, self.floor.step, self.camera, extractor, self._mixed_styles(SCALING))

    def keyed_encoder(self, examples: np.ndarray, w: np.ndarray, folder: Path) -> LatentEncoder:
        """The same, with F from the folder of weights; the cached examples are not needed."""
        return self.encoder(self.reader(folder), "mixed")

    def reader_plan(self, steps: int) -> Plan:
        half = self.device.type == "cuda"
        return replace(super().reader_plan(steps), device=self.device.type, bfloat16=half)

    def _mixed_styles(self, count: int) -> Tensor:
        rng: np.random.Generator = stream(self.training.seed, "scaling of live readings")
        return torch.from_numpy(mixed_styles(self.generator, rng, count).w)
