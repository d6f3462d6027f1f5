"""The tiny preset: untrained networks with the interfaces of the real ones, for fast tests. They recognise nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.mobile_stylegan import STYLES
from kfaar_core.nets.reader_net import ReaderNet
from kfaar_core.presets import Preset
from kfaar_core.records import Face, Photo, Posture
from kfaar_core.stages.correct import ANGLE_UNIT
from kfaar_core.stages.encode import Alignment, FaceEncoder
from kfaar_core.stages.face_view import upright
from kfaar_core.stages.generate import GROUPS
from kfaar_core.stages.geometry import GeometryReader
from kfaar_core.stages.locate import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP, Detector

FIVE = np.array([[0.375, 0.46], [0.625, 0.46], [0.5, 0.6], [0.41, 0.72], [0.59, 0.72]])  # shares of the side
FEATURES, DIMENSION = 12, 8  # length of E's embedding; d
STYLES_READ, NOISE, HIDDEN = 4, 6, 16  # styles that F predicts; length of the key's noise; hidden width of P, F, KVFA


def seeded(seed: int) -> torch.Generator:
    """A torch random generator with this seed."""
    return torch.Generator().manual_seed(seed)


class TinyDetector(Detector):
    """Detects one face in the middle of every picture of at least 20 px that is not a single colour."""

    def faces(self, photo: Photo) -> list[Face]:
        height, width = photo.pixels.shape[:2]
        if photo.pixels.std() < 1 or min(height, width) < 20:
            return []
        low, side = np.array([width * 0.2, height * 0.2]), 0.6 * min(width, height)
        box = np.concatenate([low, low + side]).astype(np.float32)
        points = (low + (FIVE - (0.2, 0.25)) * side / 0.6).astype(np.float32)
        return [Face(box=box, points=points, confidence=1.0)]


class TinyGeometry(GeometryReader):
    """Fixed landmarks; yaw and smile are computed from the brightness of the picture's halves."""

    def __init__(self) -> None:
        angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
        points = np.stack([0.5 + 0.3 * np.cos(angle), 0.58 + 0.35 * np.sin(angle), 0 * angle], axis=1)
        for corners, eye in zip(EYE_CORNERS, FIVE, strict=False):
            points[list(corners), :2] = eye
        points[NOSE_TIP, :2] = FIVE[2]
        points[list(MOUTH_CORNERS), :2] = FIVE[3:]
        self.points = points.astype(np.float32)  # (478, 3) in portrait sides

    @torch.inference_mode()
    def postures(self, portraits: Tensor) -> list[Posture]:
        halves = torch.stack([part.mean(dim=(1, 2, 3)) for part in portraits.chunk(2, dim=3)], dim=1)  # (N, 2)
        answers = []
        for left, right in halves.tolist():
            shapes = np.zeros(52, dtype=np.float32)
            shapes[44:46] = 0.5 + 0.25 * (left + right)
            answers.append(
                Posture(yaw=ANGLE_UNIT * (left - right), pitch=0.0, roll=0.0, blendshapes=shapes, landmarks=self.points)
            )
        return answers


class TinyGenerator:
    """Renders w+ as a smooth random pattern, 32 px unless another side is asked for."""

    groups = GROUPS

    def __init__(self, device: torch.device) -> None:
        self.w_mean = torch.zeros(512, device=device)
        self._basis = torch.randn(STYLES * 512, 3 * 8 * 8, generator=seeded(1)).to(device) / 40

    def map(self, z: Tensor) -> Tensor:
        return z

    def render(self, w_plus: Tensor, side: int = 32) -> Tensor:
        pattern = torch.tanh(w_plus.flatten(1) @ self._basis).reshape(-1, 3, 8, 8)
        return functional.interpolate(pattern, size=(side, side), mode="bilinear", align_corners=False)


class TinyEncoder(nn.Module):
    """A random linear embedding of a picture: (N, 3, 16, 16) -> (N, 12)."""

    weight: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(3 * 16 * 16, FEATURES, generator=seeded(seed)) / 16)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


def face_encoder(seed: int, device: torch.device) -> FaceEncoder:
    """A FaceEncoder of a TinyEncoder with this seed."""
    alignment = Alignment(size=(16, 16), template=FIVE * 16)
    return FaceEncoder(TinyEncoder(seed), alignment, torch.zeros(1), device, flip=False)


def boxes(
    preset: Preset, device: torch.device
) -> tuple[Detector, GeometryReader, FaceEncoder, FaceEncoder, TinyGenerator, dict[str, Tensor]]:
    """The stages that all methods share: detector, geometry, encoder, judge, generator, state of the corrector."""
    posture = {"gain": torch.randn(1536, 54, generator=seeded(4)) / 100}
    return (
        TinyDetector(preset),
        TinyGeometry(),
        face_encoder(2, device),
        face_encoder(3, device),
        TinyGenerator(device),
        posture,
    )


def initial_state(build: Callable[[], nn.Module], seed: int, prefix: str = "") -> dict[str, Tensor]:
    """The state dict of an untrained network, its names prefixed.

    Args:
        build: makes the network.
        seed: of its initial weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {prefix + name: tensor for name, tensor in build().state_dict().items()}


def identity_state() -> dict[str, Tensor]:
    """Random weights of IdentityMap."""
    return {
        "identity.mean": torch.zeros(FEATURES),
        "identity.map": torch.randn(DIMENSION, FEATURES, generator=seeded(5)),
    }


def reader_state(styles: int = STYLES_READ) -> dict[str, Tensor]:
    """Random weights of F, which predicts `styles` styles and the code, and of h."""
    width = FEATURES + styles + DIMENSION
    return {
        **initial_state(lambda: ReaderNet(styles + DIMENSION, 6, 3, HIDDEN), 10, prefix="net."),
        "net.mean_shape": torch.from_numpy(upright(TinyGeometry().points)[1]).float(),
        "code.mean": torch.zeros(width),
        "virtual.mean": torch.ones(FEATURES),
        "code.map": torch.randn(DIMENSION, width, generator=seeded(11)),
    }
