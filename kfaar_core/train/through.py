"""The generator itself in place of train.proxy: w -> G -> E and F, differentiable; what the GPU road learns through.

G, E, F and the geometry network stand on the device and stay frozen. What a lesson draws and what it trains, small as
it is, stays on the CPU: a seed then means the same batches on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kfaar_core import image
from kfaar_core.nets.reader_net import TEXTURE, ReaderNet
from kfaar_core.stages.encode import Recogniser
from kfaar_core.stages.face_view import FRAME, GREY, MeanFace, upright
from kfaar_core.stages.generate import TorchGenerator, w_plus
from kfaar_core.stages.geometry import GeometryReader, to_portrait
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
    part: int = 16  # faces at a time: the backward pass holds the activations of so many

    def look(self, w: Tensor, by: Look) -> Tensor:
        """(N, 3, 512) on the CPU -> (N, D) float32 on the CPU; gradients go through.

        Every part is rendered again for its gradient, so that of a whole batch nothing but w and the answer is kept.
        """

        def seen(part: Tensor) -> Tensor:
            pictures = self.generator.render(w_plus(part)).float().clamp(-1, 1)
            return by(pictures, self.landmarks(pictures)).float().cpu()

        parts = w.split(self.part)
        # Nothing is drawn at random in a part.
        return torch.cat([checkpoint(seen, part, use_reentrant=False, preserve_rng_state=False) for part in parts])

    def landmarks(self, pictures: Tensor) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> (N, 478, 2) px, in float32 throughout: half precision would lose half a pixel."""
        with torch.autocast(pictures.device.type, enabled=False):
            found = to_portrait(self.geometry.measure(pictures).landmarks)
        return found[..., :2] * pictures.shape[-1]


def warp(pictures: Tensor, to_source: list[np.ndarray], size: tuple[int, int]) -> Tensor:
    """image.warp for tensors, without its rounding to levels: differentiable, on any device.

    Args:
        pictures: (N, 3, H, W).
        to_source: N of (2, 3), output px -> px of the picture.
        size: (width, height) of the output.

    Returns:
        (N, 3, height, width).
    """
    height, width = pictures.shape[-2:]
    to_unit = np.array([[2 / width, 0, -1], [0, 2 / height, -1]])  # px -> the [-1, 1] of grid_sample
    of_unit = np.array([[size[0] / 2, 0, size[0] / 2], [0, size[1] / 2, size[1] / 2]])
    turned = []
    for picture, matrix in zip(pictures.split(1), to_source, strict=True):
        scale = max(1.0, float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))  # shrink first, so that nothing aliases
        small = (round(height / scale), round(width / scale))
        picture = functional.interpolate(picture, size=small, mode="bicubic", align_corners=False, antialias=True)
        theta = torch.from_numpy(image.compose(image.compose(to_unit, matrix), of_unit)).to(picture)
        grid = functional.affine_grid(theta[None], [1, 3, size[1], size[0]], align_corners=False)
        turned.append(functional.grid_sample(picture, grid, "bicubic", "border", align_corners=False))
    return torch.cat(turned)


def points(landmarks: Tensor) -> np.ndarray:
    """(N, 478, 2) float64 for the closed forms that place a face; no gradient goes this way."""
    return landmarks.detach().double().cpu().numpy()


def crops(pictures: Tensor, landmarks: Tensor, encoder: Recogniser) -> Tensor:
    """Portraits aligned for a recogniser: (N, 3, h, w) in about [-1, 1]."""
    alignment = encoder.alignment
    return warp(pictures, [alignment.to_source(face) for face in points(landmarks)], alignment.size)


def view(face: MeanFace, pictures: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """MeanFace.view for tensors, without its rounding.

    The upright frame counts as given: gradients reach the texture through its levels, and the shape through
    the landmarks within the frame.

    Returns:
        Textures (N, 3, 96, 80) in about [-1, 1] and shapes (N, 478, 2) px in the upright frame.
    """
    to_picture = [upright(each)[0] for each in points(landmarks)]
    to_frame = torch.from_numpy(np.stack([image.invert(each) for each in to_picture])).to(landmarks)
    shapes = landmarks @ to_frame[:, :, :2].mT + to_frame[:, None, :, 2]
    frames = warp(pictures, to_picture, FRAME)
    grid = torch.from_numpy(np.stack([face.grid(shape) for shape in points(shapes)])).to(frames)  # (N, n, 2)
    seen = functional.grid_sample(frames, grid[:, None], padding_mode="border", align_corners=False)[:, :, 0]
    texture = frames.new_full((len(frames), 3, TEXTURE[0] * TEXTURE[1]), GREY / 127.5 - 1)
    inside = torch.from_numpy(face.inside).to(frames.device)
    return texture.masked_scatter(inside, seen).unflatten(2, TEXTURE), shapes


class LiveFeatures:
    """R(G(w)), as train.proxy.FeatureProxy is called: (N, 3, 32) or more natural coordinates -> (N, D), unit length.

    R is E, centred with its mean over photos. Coordinates that are not given are those of the mean face.
    """

    def __init__(self, camera: Camera, encoder: Recogniser, space: NaturalSpace) -> None:
        self._camera, self._encoder, self._space = camera, encoder, space

    def __call__(self, v: Tensor) -> Tensor:
        w = self._space.to_w(functional.pad(v, (0, 512 - v.shape[-1])))
        return self._camera.look(w, self._look)

    def _look(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        return self._encoder.features(crops(pictures, landmarks, self._encoder))


class Sight:
    """What KVFA sees of portraits (stages.assemble.Stages.sight): E's raw feature and, where F is given, its answer."""

    def __init__(self, encoder: Recogniser, reader: ReaderNet | None, device: torch.device) -> None:
        self._encoder = encoder
        self._reader = None if reader is None else reader.to(device).eval().requires_grad_(False)
        self._face = None if reader is None else MeanFace(reader.mean_shape.cpu().numpy())

    def __call__(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        feature = self._encoder.raw(crops(pictures, landmarks, self._encoder))
        if self._reader is None or self._face is None:
            return feature
        return torch.cat((feature, self._reader(*view(self._face, pictures, landmarks))), dim=1)


@dataclass(frozen=True)
class LiveChannel:
    """Posture correction, rendering and reading as they are, in place of train.proxy.Channel."""

    space: NaturalSpace
    step: PostureStep
    camera: Camera
    sight: Sight
    mean: Tensor  # (S,) of readings
    scale: Tensor  # (S,) sd of readings

    def read(self, w: Tensor) -> Tensor:
        """w (N, 3, 512) as P made it -> what KVFA sees (N, S) of the corrected face."""
        return self.camera.look(self.step.moved(w), self.sight)


@torch.no_grad()
def live_channel(space: NaturalSpace, step: PostureStep, camera: Camera, sight: Sight, w: Tensor) -> LiveChannel:
    """w: (N, 3, 512) of faces over which readings are centred and scaled."""
    readings = camera.look(w, sight)
    return LiveChannel(space, step, camera, sight, readings.mean(dim=0), readings.std(dim=0).clamp(min=1e-6))
