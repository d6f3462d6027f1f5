"""The GPU road: what train.road learns from stand-ins is learned through the generator itself, with the same lessons.

Closed forms (posture rows, the mean face, natural coordinates) are those of the CPU road, over the same cached renders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kfaar_core import weights
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.runtime import stream
from kfaar_core.stages.differentiable import FeatureExtractor
from kfaar_core.stages.encode import FaceEncoder, load_encoder
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.train.loop import Plan
from kfaar_core.train.proxy import Reading
from kfaar_core.train.renders import mixed_styles
from kfaar_core.train.road import Road
from kfaar_core.train.through import Camera, LiveFeatures, LiveGenerator, live_channel

SCALING = 1000  # mixed renders over which readings are centred and scaled              [design]


@dataclass(frozen=True)
class LiveRoad(Road):
    """Data and the generator of one configuration."""

    device: torch.device

    @cached_property
    def generator(self) -> LiveGenerator:
        return LiveGenerator(weights.load("mobile_stylegan"), self.device)

    @cached_property
    def camera(self) -> Camera:
        return Camera(self.generator, GeometryReader(weights.load("geometry"), self.device))

    @cached_property
    def encoder(self) -> FaceEncoder:
        """E, centred as people are."""
        return load_encoder(self.device, self.people.feature_mean)

    def proxy(self, drafted: bool) -> LiveFeatures:
        return LiveFeatures(self.camera, self.encoder, self.space)

    def channel(self, reader: ReaderNet | None, kind: str) -> Reading:
        """Posture correction, rendering and what KVFA sees.

        Args:
            reader: F; None leaves E alone.
            kind: of the renders that the CPU road fits its channel on; nothing is fitted here.
        """
        sight = FeatureExtractor(self.encoder, reader, self.device)
        return live_channel(self.space, self.fitted.step, self.camera, sight, self._mixed_styles(SCALING))

    def _keyed_channel(self, sights: np.ndarray, bits: int, folder: Path) -> Reading:
        """Rendered and looked at when it is drawn: of the cached sights it needs none."""
        return self.channel(self.reader(folder), f"bits-{bits}")

    def _reader_plan(self, steps: int) -> Plan:
        half = self.device.type == "cuda"
        return replace(super()._reader_plan(steps), device=self.device.type, bfloat16=half)

    def _mixed_styles(self, count: int) -> Tensor:
        rng: np.random.Generator = stream(self.training.seed, "scaling of live readings")
        return torch.from_numpy(mixed_styles(self.generator, rng, count).w)
