"""Geometry network: an upright face crop -> landmarks, head rotation and blendshapes.

It is trained on labels by MediaPipe's Face Landmarker, and is needed because that model cannot be committed here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.residual import ResidualTrunk

INPUT = 128  # px, side of the input crop
LANDMARKS, BLENDSHAPES = 478, 52


@dataclass(frozen=True)
class Geometry:
    """Output of the network for N crops."""

    landmarks: Tensor  # (N, 478, 3): x, y in [-1, 1] of the crop (its edges are at +-1), z on the same scale
    rotation: Tensor  # (N, 3, 3): canonical face -> camera (x right, y up, z towards the camera)
    blendshapes: Tensor  # (N, 52) in [0, 1]


class GeometryNet(nn.Module):
    """(N, 3, 128, 128) in [-1, 1] -> Geometry."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ResidualTrunk((24, 40, 80, 128, 192), depth=1, size=(INPUT, INPUT), features=256)
        self.landmarks = nn.Linear(256, LANDMARKS * 3)
        self.rotation = nn.Linear(256, 6)
        self.blendshapes = nn.Linear(256, BLENDSHAPES)

    def forward(self, x: Tensor) -> Geometry:
        return self.heads(self.trunk(x))

    def heads(self, features: Tensor) -> Geometry:
        """Output heads: (N, 256) from the trunk -> Geometry. Separate, because training runs the trunk in bfloat16."""
        features = functional.relu(features)
        return Geometry(
            landmarks=self.landmarks(features).unflatten(1, (LANDMARKS, 3)),
            rotation=orthonormal(self.rotation(features)),
            blendshapes=torch.sigmoid(self.blendshapes(features)),
        )


def orthonormal(columns: Tensor) -> Tensor:
    """Rotations (N, 3, 3) from their first two columns (N, 6), by Gram-Schmidt (Zhou et al., arXiv 1812.07035)."""
    first, second = columns[:, :3], columns[:, 3:]
    x = functional.normalize(first, dim=1)
    y = functional.normalize(second - (x * second).sum(dim=1, keepdim=True) * x, dim=1)
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=2)
