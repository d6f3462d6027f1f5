"""What F sees of a picture (Section IV-C-2): the face's shape, and its texture free of shape.

Both are those of active appearance models (Cootes, Edwards and Taylor, 2001): every triangle between the landmarks is
carried to its place in the mean face. Head pose and expression then move no part of the texture, and what stands beside
the face (hair, clothes, background) can neither help nor harm: identity must show in the face.
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

FRAME = (160, 180)  # px, width x height of the upright face that texture is taken from
UPRIGHT = (TEMPLATE + 16) * 1.25  # px, its five points


@dataclass(frozen=True)
class FaceView:
    """One face as F sees it, or N of them."""

    texture: np.ndarray  # (..., 96, 80, 3) uint8, grey outside the mean face
    shape: np.ndarray  # (..., 478, 2) float32 or float16, landmarks in the upright frame, px

    def __getitem__(self, chosen: slice | np.ndarray) -> FaceView:
        return FaceView(self.texture[chosen], self.shape[chosen])


def upright(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(478, 2+) landmarks in px -> the (2, 3) similarity from the upright frame to the picture, and (478, 2) in it."""
    to_picture = image.similarity(UPRIGHT, five_points(landmarks))
    return to_picture, image.apply(image.invert(to_picture), landmarks[:, :2])


class MeanFace:
    """The triangles of the mean face, and where in them each pixel of the texture lies."""

    def __init__(self, shape: np.ndarray) -> None:
        """shape: (478, 2) px, the mean of upright landmarks."""
        triangles = scipy.spatial.Delaunay(shape.astype(np.float64))
        low, high = shape.min(axis=0), shape.max(axis=0)
        height, width = TEXTURE
        steps = [(np.arange(count) + 0.5) / count for count in (width, height)]
        places = low + np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2) * (high - low)
        found = triangles.find_simplex(places)
        self.inside = found >= 0  # (96 x 80,)
        found, places = found[self.inside], places[self.inside]
        affine = triangles.transform[found]  # scipy's: two rows of the map to barycentric coordinates, then the origin
        two = np.einsum("nij,nj->ni", affine[:, :2], places - affine[:, 2])
        weights = np.concatenate([two, 1 - two.sum(axis=1, keepdims=True)], axis=1)  # (n, 3)
        self._weights = torch.from_numpy(weights)[:, :, None]
        self._corners = torch.from_numpy(triangles.simplices[found]).long()  # (n, 3) landmarks

    def grid(self, shapes: Tensor) -> Tensor:
        """Where the pixels inside the mean face lie in N faces: (N, n, 2) in [-1, 1] of the upright frame.

        Args:
            shapes: (N, 478, 2) px in that frame.
        """
        places = (self._weights.to(shapes) * shapes[:, self._corners]).sum(dim=2)  # px in the frame
        return places / shapes.new_tensor(FRAME) * 2 - 1

    def view(self, picture: np.ndarray, landmarks: np.ndarray) -> FaceView:
        """
        Args:
            picture: (H, W, 3) uint8.
            landmarks: (478, 2+) px.
        """
        to_picture, shape = upright(landmarks)
        frame = torch.from_numpy(image.warp(picture, to_picture, FRAME)).permute(2, 0, 1)[None].float()
        grid = self.grid(torch.from_numpy(shape)[None]).float()[:, None]
        seen = functional.grid_sample(frame, grid, padding_mode="border", align_corners=False)[0, :, 0].T
        texture = np.full((TEXTURE[0] * TEXTURE[1], 3), GREY, dtype=np.uint8)
        texture[self.inside] = seen.round().numpy().astype(np.uint8)
        return FaceView(texture.reshape(*TEXTURE, 3), shape.astype(np.float32))
