"""The geometry of refinement: crops and features of a picture as differentiable functions of its tensor.

They agree with image.warp, MeanFace.view and FaceEncoder.align up to about one grey level: torch's bicubic kernel is
between the two that Pillow shrinks and turns pictures with. Gradients also flow through the landmarks, because the crop
depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.nets.reader_net import TEXTURE, ReaderNet
from kfaar_core.nets.sface import FEATURE
from kfaar_core.stages.encode import GREY, Alignment, FaceEncoder
from kfaar_core.stages.face_view import FRAME, UPRIGHT, MeanFace
from kfaar_core.stages.locate import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP

LEVEL = GREY / 127.5 - 1
FINE = 128  # px; a picture up to this size is not downscaled before warping, since its crops cannot alias


@dataclass(frozen=True)
class Augmentation:
    """Affine jitter and mirroring of the aligned crop (input diversity; Xie et al., arXiv 1803.06978).

    A face optimised under many augmentations transfers better to other networks. The crops that only KVFA reads (the
    masked face, and those of F) are never augmented.
    """

    turn: float = 0.0  # rotation, radians
    growth: float = 0.0  # relative change of the face's size
    shift: tuple[float, float] = (0.0, 0.0)  # shares of the crop's width and height
    mirrored: bool = False

    def template(self, alignment: Alignment) -> np.ndarray:
        """(5, 2) px, positions of the five points in the augmented crop."""
        side, cos, sin = np.array(alignment.size), np.cos(self.turn), np.sin(self.turn)
        about_middle = (alignment.template - side / 2) @ np.array([[cos, sin], [-sin, cos]])
        return (1 + self.growth) * about_middle + side / 2 + self.shift * side

    def mirror(self, crops: Tensor) -> Tensor:
        """(N, 3, h, w) crops, mirrored if this augmentation mirrors."""
        return crops.flip(-1) if self.mirrored else crops


IDENTITY = Augmentation()


def similarity(source: np.ndarray, target: Tensor) -> Tensor:
    """Batched image.similarity: least-squares similarity from one set of points to each of N sets.

    Args:
        source: (P, 2).
        target: (N, P, 2).

    Returns:
        (N, 3, 3) homogeneous matrices, last row 0 0 1.
    """
    start = torch.from_numpy(source).to(target)
    start_mean, goal_mean = start.mean(dim=0), target.mean(dim=1)
    x, y = start - start_mean, target - goal_mean[:, None]
    cos = (x * y).sum(dim=(1, 2)) / x.square().sum()
    sin = (x[:, 0] * y[..., 1] - x[:, 1] * y[..., 0]).sum(dim=1) / x.square().sum()
    turn = torch.stack((cos, -sin, sin, cos), dim=1).unflatten(1, (2, 2))
    top = torch.cat((turn, (goal_mean - turn @ start_mean)[:, :, None]), dim=2)
    return torch.cat((top, top.new_tensor([0.0, 0.0, 1.0]).expand(len(top), 1, 3)), dim=1)


def five_points(landmarks: Tensor) -> Tensor:
    """Batched stages.locate.five_points: (N, 478, 2) -> (N, 5, 2)."""
    eyes = [landmarks[:, corners].mean(dim=1) for corners in EYE_CORNERS]
    return torch.stack([*eyes, landmarks[:, NOSE_TIP], *(landmarks[:, corner] for corner in MOUTH_CORNERS)], dim=1)


def warp(pictures: Tensor, to_source: Tensor, size: tuple[int, int]) -> Tensor:
    """image.warp for tensors, without rounding to grey levels; differentiable, on any device.

    Args:
        pictures: (N, 3, H, W).
        to_source: (N, 3, 3), px of the output -> px of the picture.
        size: (width, height) of the output.

    Returns:
        (N, 3, height, width).
    """
    height, width = pictures.shape[-2:]
    to_unit = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])  # px -> the [-1, 1] of grid_sample
    of_unit = np.array([[size[0] / 2, 0, size[0] / 2], [0, size[1] / 2, size[1] / 2], [0, 0, 1]])
    before, after = (torch.from_numpy(matrix).to(to_source) for matrix in (to_unit, of_unit))
    theta = (before @ to_source @ after)[:, :2].to(pictures.dtype)

    def turned(some: Tensor, ways: Tensor) -> Tensor:
        grid = functional.affine_grid(ways, [len(ways), 3, size[1], size[0]], align_corners=False)
        return functional.grid_sample(some, grid, "bicubic", "border", align_corners=False)

    if max(height, width) <= FINE:
        return turned(pictures, theta)
    whole = []
    for picture, matrix, way in zip(pictures.split(1), to_source, theta.split(1), strict=True):
        shrink = torch.linalg.det(matrix.detach()[:2, :2]).abs().sqrt()  # downscale first, against aliasing
        scale = max(1.0, float(shrink))
        small = (round(height / scale), round(width / scale))
        picture = functional.interpolate(picture, size=small, mode="bicubic", align_corners=False, antialias=True)
        whole.append(turned(picture, way))
    return torch.cat(whole)


def crops(pictures: Tensor, landmarks: Tensor, encoder: FaceEncoder, augmentation: Augmentation = IDENTITY) -> Tensor:
    """Align portraits for a face encoder.

    Args:
        pictures: (N, 3, S, S) in [-1, 1].
        landmarks: (N, 478, 2) px.

    Returns:
        (N, 3, h, w) in about [-1, 1], differentiable.
    """
    alignment = encoder.alignment
    to_source = similarity(augmentation.template(alignment), five_points(landmarks))
    return augmentation.mirror(warp(pictures, to_source, alignment.size))


def face_alone(aligned: Tensor, landmarks: Tensor, encoder: FaceEncoder) -> Tensor:
    """Fill aligned crops with grey outside the face, as FaceEncoder.align does. The mask has no gradient.

    Args:
        aligned: (N, 3, h, w) from `crops`, without augmentation.
        landmarks: (N, 478, 2) px of the pictures.
    """
    alignment = encoder.alignment
    with torch.no_grad():
        points = in_frame(landmarks, similarity(alignment.template, five_points(landmarks))).cpu().numpy()
    outside = np.stack([alignment.outside(each) for each in points])[:, None]
    return aligned.masked_fill(torch.from_numpy(outside).to(aligned.device), LEVEL)


def in_frame(landmarks: Tensor, to_picture: Tensor) -> Tensor:
    """Map landmarks (N, 478, 2) from pictures to frames, by the inverse of the maps (N, 3, 3) frame -> picture."""
    to_frame = torch.linalg.inv(to_picture)
    return landmarks @ to_frame[:, :2, :2].mT + to_frame[:, None, :2, 2]


def view(face: MeanFace, pictures: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """MeanFace.view for tensors, without rounding to grey levels.

    Returns:
        Textures (N, 3, 96, 80) in about [-1, 1] and shapes (N, 478, 2) px in the upright frame.
    """
    to_picture = similarity(UPRIGHT, five_points(landmarks))
    shapes = in_frame(landmarks, to_picture)
    frames = warp(pictures, to_picture, FRAME)
    grid = face.grid(shapes).to(frames.dtype)  # (N, n, 2)
    sampled = functional.grid_sample(frames, grid[:, None], padding_mode="border", align_corners=False)[:, :, 0]
    texture = frames.new_full((len(frames), 3, TEXTURE[0] * TEXTURE[1]), LEVEL)
    inside = torch.from_numpy(face.inside).to(frames.device)
    return texture.masked_scatter(inside, sampled).unflatten(2, TEXTURE), shapes


class FeatureExtractor:
    """Differentiable form of stages.identify.features_of: the features that KVFA compares, in the same order."""

    def __init__(
        self,
        encoder: FaceEncoder,
        reader: ReaderNet | None,
        device: torch.device,
        masked: bool = False,
        auxiliary: FaceEncoder | None = None,
    ) -> None:
        """
        Args:
            encoder: E.
            reader: F; None leaves its outputs out.
            device: F is moved there.
            masked: add E's embedding of the masked face, as FaceReader does.
            auxiliary: the auxiliary encoder of an EncoderPair; None leaves its embedding out.
        """
        self._encoder, self._masked, self._auxiliary = encoder, masked, auxiliary
        self._reader = None if reader is None else reader.to(device).eval().requires_grad_(False)
        self._face = None if reader is None else MeanFace(reader.mean_shape.cpu().numpy())

    def __call__(self, pictures: Tensor, landmarks: Tensor, augmentation: Augmentation | None = None) -> Tensor:
        """Compute the features of portraits.

        Args:
            pictures: (N, 3, S, S) in [-1, 1].
            landmarks: (N, 478, 2) px.
            augmentation: None embeds the crop and its mirror, as outside refinement. Otherwise the augmented crop alone
                is embedded.

        Returns:
            (N, D) features.
        """
        skip_flip, change = augmentation is not None, augmentation or IDENTITY
        aligned = crops(pictures, landmarks, self._encoder, change)
        if self._masked:
            in_place = aligned if change == IDENTITY else crops(pictures, landmarks, self._encoder)
            aligned = torch.cat((aligned, face_alone(in_place, landmarks, self._encoder)))
        parts = [*self._encoder.embed_crops(aligned, skip_flip).split(len(pictures))]
        parts[1:] = [alone[:, :FEATURE] for alone in parts[1:]]
        if self._auxiliary is not None:
            turned = crops(pictures, landmarks, self._auxiliary, change)
            parts.insert(1, self._auxiliary.embed_crops(turned, skip_flip))
        if self._reader is not None and self._face is not None:
            parts.append(self._reader(*view(self._face, pictures, landmarks)))
        return torch.cat(parts, dim=1)
