"""Geometry network: portrait crop -> Posture (head pose in degrees, blendshapes, landmarks)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.nets.geometry_net import INPUT, Geometry, GeometryNet
from kfaar_core.records import Posture

# The part of the portrait frame that is the network's input: forehead to chin, with room for turned heads.
VIEW_CENTRE, VIEW_SIDE = (0.5, 0.60), 0.80  # shares of the portrait's side

BLENDSHAPE_NAMES = """
    _neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
    cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
    eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight
    jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight
    mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
    mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight
""".split()  # noqa: SIM905 - a paragraph reads better than 52 quoted lines


def euler_degrees(rotation: Tensor) -> Tensor:
    """(N, 3, 3) head rotation -> (N, 3) yaw, pitch, roll in degrees, with the signs of records.Posture."""
    yaw = torch.atan2(rotation[:, 0, 2], rotation[:, 2, 2])
    pitch = torch.asin((-rotation[:, 1, 2]).clamp(-1, 1))
    roll = -torch.atan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return torch.rad2deg(torch.stack((yaw, pitch, roll), dim=1))


def view(portraits: Tensor, moves: Tensor | None = None) -> Tensor:
    """Crop portraits to the input of the geometry network: the face, without hair and background.

    Args:
        portraits: (N, 3, S, S) RGB in [-1, 1].
        moves: (N, 2, 3) affine maps of the crop, in units of half its side, for augmentation; None for none.

    Returns:
        (N, 3, 128, 128).
    """
    count, side = portraits.shape[0], portraits.shape[-1]
    base = torch.tensor([[VIEW_SIDE, 0.0, 2 * VIEW_CENTRE[0] - 1], [0.0, VIEW_SIDE, 2 * VIEW_CENTRE[1] - 1]])
    theta = base.to(portraits).expand(count, 2, 3)
    if moves is not None:
        shift = theta[:, :, :2] @ moves[:, :, 2:] + theta[:, :, 2:]
        theta = torch.cat((theta[:, :, :2] @ moves[:, :, :2], shift), dim=2)
    shrink = max(1, int(side * VIEW_SIDE / INPUT))  # average first, so that a large portrait does not alias
    while side % shrink:  # pooling would cut off a remainder and shift every landmark
        shrink -= 1
    if shrink > 1:
        portraits = functional.avg_pool2d(portraits, shrink)
    grid = functional.affine_grid(theta.contiguous(), [count, 3, INPUT, INPUT], align_corners=False)
    return functional.grid_sample(portraits, grid, padding_mode="border", align_corners=False)


def to_portrait(landmarks: Tensor) -> Tensor:
    """Landmarks (..., 3) in [-1, 1] of the network's input -> x, y, z as shares of the portrait's side."""
    centre = landmarks.new_tensor([*VIEW_CENTRE, 0.0])
    return landmarks * (VIEW_SIDE / 2) + centre


def to_pixels(landmarks: Tensor, side: int) -> Tensor:
    """(N, 478, 3) landmarks in [-1, 1] of the network's input -> (N, 478, 2) px of a portrait of `side` px."""
    return to_portrait(landmarks)[..., :2] * side


class GeometryReader:
    """Measure head pose, blendshapes and landmarks of portraits with the geometry network."""

    def __init__(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        self._net = GeometryNet()
        self._net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
        self._net.to(device).eval().requires_grad_(False)

    def measure(self, portraits: Tensor) -> Geometry:
        """(N, 3, S, S) in [-1, 1] -> Geometry in coordinates of the network's input, differentiable."""
        return self._net(view(portraits))

    @torch.inference_mode()
    def postures(self, portraits: Tensor) -> list[Posture]:
        """(N, 3, S, S) portraits in [-1, 1] -> N Postures."""
        geometry = self.measure(portraits)
        angles = euler_degrees(geometry.rotation).cpu().numpy()
        landmarks = to_portrait(geometry.landmarks).cpu().numpy().astype(np.float32)
        shapes = geometry.blendshapes.cpu().numpy().astype(np.float32)
        return [
            Posture(yaw=float(a[0]), pitch=float(a[1]), roll=float(a[2]), blendshapes=b, landmarks=p)
            for a, b, p in zip(angles, shapes, landmarks, strict=True)
        ]
