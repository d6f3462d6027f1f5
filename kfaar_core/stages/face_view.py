"""The input of F (Section IV-C-2): the face's shape, and its shape-free texture.

Both are those of active appearance models (Cootes, Edwards and Taylor, 2001). Shape: the landmarks. Texture: every
triangle between landmarks is warped to its position in the mean face. Head pose and expression then move no part of the
texture. Hair, clothes and background are not in it, so F reads the identity from the face alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.spatial
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core import image
from kfaar_core.nets.reader_net import TEXTURE
from kfaar_core.stages.encode import GREY, TEMPLATE
from kfaar_core.stages.locate import five_points

FRAME = (160, 180)  # px, width x height of the upright crop that the texture is sampled from
UPRIGHT = (TEMPLATE + 16) * 1.25  # (5, 2) px, positions of the five points in that crop


@dataclass(frozen=True)
class FaceView:
    """The input of F for one face or N faces."""

    texture: np.ndarray  # (..., 96, 80, 3) uint8, grey outside the mean face
    shape: np.ndarray  # (..., 478, 2) float32 or float16, landmarks in the upright frame, px

    def __getitem__(self, chosen: slice | np.ndarray) -> FaceView:
        return FaceView(self.texture[chosen], self.shape[chosen])


def upright(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Align landmarks (478, 2 or 3) px to the upright frame.

    Returns:
        The (2, 3) similarity from the frame to the picture, and the landmarks (478, 2) in px of the frame.
    """
    to_picture = image.similarity(UPRIGHT, five_points(landmarks))
    return to_picture, image.apply(image.invert(to_picture), landmarks[:, :2])


class MeanFace:
    """Warps faces to the mean face, which gives their shape-free texture.

    The landmarks of the mean face are triangulated. Each pixel of the texture has barycentric coordinates in a
    triangle, which say where to sample it in a face with other landmarks.
    """

    def __init__(self, shape: np.ndarray) -> None:
        """
        Args:
            shape: (478, 2) px, the mean of landmarks in the upright frame.
        """
        triangles = scipy.spatial.Delaunay(shape.astype(np.float64))
        low, high = shape.min(axis=0), shape.max(axis=0)
        height, width = TEXTURE
        steps = [(np.arange(count) + 0.5) / count for count in (width, height)]
        pixels = low + np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2) * (high - low)
        simplex = triangles.find_simplex(pixels)
        self.inside = simplex >= 0  # (96 x 80,)
        simplex, pixels = simplex[self.inside], pixels[self.inside]
        affine = triangles.transform[simplex]  # scipy's: a map to barycentric coordinates, then its origin
        two = np.einsum("nij,nj->ni", affine[:, :2], pixels - affine[:, 2])
        weights = np.concatenate([two, 1 - two.sum(axis=1, keepdims=True)], axis=1)  # (n, 3)
        self._weights = torch.from_numpy(weights)[:, :, None]
        self._corners = torch.from_numpy(triangles.simplices[simplex]).long()  # (n, 3) landmarks

    def grid(self, shapes: Tensor) -> Tensor:
        """Sampling positions of the n texture pixels inside the mean face, for grid_sample.

        Args:
            shapes: (N, 478, 2) px in the upright frame.

        Returns:
            (N, n, 2) in [-1, 1] of that frame.
        """
        positions = (self._weights.to(shapes) * shapes[:, self._corners]).sum(dim=2)  # px in the frame
        return positions / shapes.new_tensor(FRAME) * 2 - 1

    def view(self, picture: np.ndarray, landmarks: np.ndarray) -> FaceView:
        """Sample shape and texture of one face.

        Args:
            picture: (H, W, 3) uint8.
            landmarks: (478, 2 or 3) px.
        """
        to_picture, shape = upright(landmarks)
        frame = torch.from_numpy(image.warp(picture, to_picture, FRAME)).permute(2, 0, 1)[None].float()
        grid = self.grid(torch.from_numpy(shape)[None]).float()[:, None]
        sampled = functional.grid_sample(frame, grid, padding_mode="border", align_corners=False)[0, :, 0].T
        texture = np.full((TEXTURE[0] * TEXTURE[1], 3), GREY, dtype=np.uint8)
        texture[self.inside] = sampled.round().numpy().astype(np.uint8)
        return FaceView(texture.reshape(*TEXTURE, 3), shape.astype(np.float32))
