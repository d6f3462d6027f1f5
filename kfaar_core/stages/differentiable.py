"""What E, F and the geometry network see of a picture, as functions of its tensor that a gradient goes through.

They agree with what image.warp, MeanFace.view and Recogniser.align make of a picture's levels, but for the rounding.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core import image
from kfaar_core.nets.reader_net import TEXTURE, ReaderNet
from kfaar_core.stages.encode import Recogniser
from kfaar_core.stages.face_view import FRAME, GREY, MeanFace, upright


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
