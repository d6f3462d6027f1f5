"""What E, F and the geometry network see of a picture, as functions of its tensor that a gradient goes through.

They agree with what image.warp, MeanFace.view and Recogniser.align make of a picture's levels, but for the rounding.
Gradients also go through the landmarks that place a face: what a face moves by, its frame moves by too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.nets.reader_net import TEXTURE, ReaderNet
from kfaar_core.nets.sface import FEATURE
from kfaar_core.stages.detect import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP
from kfaar_core.stages.encode import GREY, Alignment, Recogniser
from kfaar_core.stages.face_view import FRAME, UPRIGHT, MeanFace

LEVEL = GREY / 127.5 - 1
FINE = 128  # px: what is no larger has no detail that a crop of a face is too coarse for, and is not shrunk first


@dataclass(frozen=True)
class Glance:
    """A quick look: recognisers see one side of a face, and the whole picture a little off its place.

    What a recogniser is shown from many places the next one sees as well (input diversity; Xie et al., arXiv
    1803.06978). KVFA's own looks, behind the mask and by F, stay in place.
    """

    turn: float = 0.0  # radians
    growth: float = 0.0  # share by which the face is larger
    shift: tuple[float, float] = (0.0, 0.0)  # shares of the crop's width and height
    mirrored: bool = False

    def template(self, alignment: Alignment) -> np.ndarray:
        """(5, 2) px, where the five points lie in a crop that is off by so much."""
        side, cos, sin = np.array(alignment.size), np.cos(self.turn), np.sin(self.turn)
        about_middle = (alignment.template - side / 2) @ np.array([[cos, sin], [-sin, cos]])
        return (1 + self.growth) * about_middle + side / 2 + self.shift * side

    def seen(self, crops: Tensor) -> Tensor:
        """(N, 3, h, w) as they are or mirrored."""
        return crops.flip(-1) if self.mirrored else crops


IN_PLACE = Glance()


def similarity(source: np.ndarray, target: Tensor) -> Tensor:
    """image.similarity of (P, 2) points with N times as many: (N, P, 2) -> (N, 3, 3), the last row 0 0 1."""
    start = torch.from_numpy(source).to(target)
    start_mean, goal_mean = start.mean(dim=0), target.mean(dim=1)
    x, y = start - start_mean, target - goal_mean[:, None]
    cos = (x * y).sum(dim=(1, 2)) / x.square().sum()
    sin = (x[:, 0] * y[..., 1] - x[:, 1] * y[..., 0]).sum(dim=1) / x.square().sum()
    turn = torch.stack((cos, -sin, sin, cos), dim=1).unflatten(1, (2, 2))
    top = torch.cat((turn, (goal_mean - turn @ start_mean)[:, :, None]), dim=2)
    return torch.cat((top, top.new_tensor([0.0, 0.0, 1.0]).expand(len(top), 1, 3)), dim=1)


def five_points(landmarks: Tensor) -> Tensor:
    """detect.five_points of N faces: (N, 478, 2) -> (N, 5, 2)."""
    eyes = [landmarks[:, corners].mean(dim=1) for corners in EYE_CORNERS]
    return torch.stack([*eyes, landmarks[:, NOSE_TIP], *(landmarks[:, corner] for corner in MOUTH_CORNERS)], dim=1)


def warp(pictures: Tensor, to_source: Tensor, size: tuple[int, int]) -> Tensor:
    """image.warp for tensors, without its rounding to levels: differentiable, on any device.

    Args:
        pictures: (N, 3, H, W).
        to_source: (N, 3, 3), output px -> px of the picture.
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
        shrink = torch.linalg.det(matrix.detach()[:2, :2]).abs().sqrt()  # first, so that nothing aliases
        scale = max(1.0, float(shrink))
        small = (round(height / scale), round(width / scale))
        picture = functional.interpolate(picture, size=small, mode="bicubic", align_corners=False, antialias=True)
        whole.append(turned(picture, way))
    return torch.cat(whole)


def crops(pictures: Tensor, landmarks: Tensor, encoder: Recogniser, glance: Glance = IN_PLACE) -> Tensor:
    """Portraits aligned for a recogniser: (N, 3, h, w) in about [-1, 1]."""
    alignment = encoder.alignment
    aligned = warp(pictures, similarity(glance.template(alignment), five_points(landmarks)), alignment.size)
    return glance.seen(aligned)


def face_alone(aligned: Tensor, landmarks: Tensor, encoder: Recogniser) -> Tensor:
    """What `crops` gave for these landmarks, grey beyond the face (Recogniser.align); the mask counts as given."""
    alignment = encoder.alignment
    with torch.no_grad():
        points = in_frame(landmarks, similarity(alignment.template, five_points(landmarks))).cpu().numpy()
    outside = np.stack([alignment.outside(each) for each in points])[:, None]
    return aligned.masked_fill(torch.from_numpy(outside).to(aligned.device), LEVEL)


def in_frame(landmarks: Tensor, to_picture: Tensor) -> Tensor:
    """(N, 478, 2) px of pictures -> px of frames, whose similarities (N, 3, 3) lead to the pictures."""
    to_frame = torch.linalg.inv(to_picture)
    return landmarks @ to_frame[:, :2, :2].mT + to_frame[:, None, :2, 2]


def view(face: MeanFace, pictures: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """MeanFace.view for tensors, without its rounding.

    Returns:
        Textures (N, 3, 96, 80) in about [-1, 1] and shapes (N, 478, 2) px in the upright frame.
    """
    to_picture = similarity(UPRIGHT, five_points(landmarks))
    shapes = in_frame(landmarks, to_picture)
    frames = warp(pictures, to_picture, FRAME)
    grid = face.grid(shapes).to(frames.dtype)  # (N, n, 2)
    seen = functional.grid_sample(frames, grid[:, None], padding_mode="border", align_corners=False)[:, :, 0]
    texture = frames.new_full((len(frames), 3, TEXTURE[0] * TEXTURE[1]), LEVEL)
    inside = torch.from_numpy(face.inside).to(frames.device)
    return texture.masked_scatter(inside, seen).unflatten(2, TEXTURE), shapes


class Sight:
    """What KVFA sees of portraits, in the order of stages.assemble.Stages.sight."""

    def __init__(
        self,
        encoder: Recogniser,
        reader: ReaderNet | None,
        device: torch.device,
        masked: bool = False,
        second: Recogniser | None = None,
    ) -> None:
        """
        Args:
            reader: F; None leaves it out.
            masked: E looks at the face alone as well, as it does in FaceReader; of that only its feature counts.
            second: the other one of an EncoderPair.
        """
        self._encoder, self._masked, self._second = encoder, masked, second
        self._reader = None if reader is None else reader.to(device).eval().requires_grad_(False)
        self._face = None if reader is None else MeanFace(reader.mean_shape.cpu().numpy())

    def __call__(self, pictures: Tensor, landmarks: Tensor, glance: Glance | None = None) -> Tensor:
        """glance: None looks at both sides, in place."""
        halved, off = glance is not None, glance or IN_PLACE
        seen = crops(pictures, landmarks, self._encoder, off)
        if self._masked:
            in_place = seen if off == IN_PLACE else crops(pictures, landmarks, self._encoder)
            seen = torch.cat((seen, face_alone(in_place, landmarks, self._encoder)))
        parts = [*self._encoder.raw(seen, halved).split(len(pictures))]
        parts[1:] = [alone[:, :FEATURE] for alone in parts[1:]]
        if self._second is not None:
            parts.insert(1, self._second.raw(crops(pictures, landmarks, self._second, off), halved))
        if self._reader is not None and self._face is not None:
            parts.append(self._reader(*view(self._face, pictures, landmarks)))
        return torch.cat(parts, dim=1)
