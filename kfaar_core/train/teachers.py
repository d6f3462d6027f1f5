"""Teachers that label pictures for training. They need packages and files that the product itself never loads."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from kfaar_core.errors import DataMissing
from kfaar_core.weights import load_checkpoint


@dataclass(frozen=True)
class FaceLabels:
    """What the MediaPipe Face Landmarker sees in one picture."""

    landmarks: np.ndarray  # (478, 3) float32: x, y in [0, 1] of the picture's width and height, z on the scale of x
    blendshapes: np.ndarray  # (52,) float32 in [0, 1]; the first is `_neutral`
    rotation: np.ndarray  # (3, 3) float32, canonical face -> camera (x right, y up, z towards the camera)


def teacher_file(name: str) -> Path:
    """A teacher's file from the folder KFAAR_TEACHERS (they are never committed).

    Raises:
        DataMissing: the folder is not set or has no such file.
    """
    folder = os.environ.get("KFAAR_TEACHERS", "")
    path = Path(folder) / name
    if not folder or not path.is_file():
        raise DataMissing(
            got=f"no teacher file {name!r} in KFAAR_TEACHERS={folder!r}",
            mend="set KFAAR_TEACHERS to the folder with the teacher models; only training needs them",
        )
    return path


class Landmarker:
    """MediaPipe Face Landmarker: uint8 RGB picture -> FaceLabels, or None when it sees no face."""

    def __init__(self) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        self._mediapipe = mediapipe
        self._net = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(teacher_file("face_landmarker.task"))),
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
        )
        # It holds itself in a circle: left alone it lives until the interpreter ends, and complains as it goes.
        weakref.finalize(self, self._net.close)

    def __call__(self, picture: np.ndarray) -> FaceLabels | None:
        """picture: (H, W, 3) uint8 RGB."""
        found = self._net.detect(
            self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        )
        if not found.face_landmarks:
            return None
        points = [(point.x, point.y, point.z) for point in found.face_landmarks[0]]
        return FaceLabels(
            landmarks=np.array(points, dtype=np.float32),
            blendshapes=np.array([shape.score for shape in found.face_blendshapes[0]], dtype=np.float32),
            rotation=np.array(found.facial_transformation_matrixes[0], dtype=np.float32)[:3, :3],
        )


def convolution(before: int, after: int, kernel: int, stride: int, padding: int, groups: int, rule: bool) -> nn.Module:
    """One named layer of MobileFaceNet: convolution, batch normalisation and, with `rule`, PReLU."""
    layer = nn.Sequential()
    layer.add_module("conv", nn.Conv2d(before, after, kernel, stride, padding, groups=groups, bias=False))
    layer.add_module("bn", nn.BatchNorm2d(after))
    if rule:
        layer.add_module("prelu", nn.PReLU(after))
    return layer


class Bottleneck(nn.Module):
    """MobileFaceNet's inverted residual: widen, depthwise 3x3, narrow."""

    def __init__(self, before: int, after: int, stride: int, widen: int) -> None:
        super().__init__()
        middle = before * widen
        self.connect = stride == 1 and before == after
        self.conv = nn.Sequential(
            nn.Conv2d(before, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.PReLU(middle),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            nn.PReLU(middle),
            nn.Conv2d(middle, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.connect else self.conv(x)


class MobileFaceNet(nn.Module):
    """The judge's teacher (arXiv 1804.07573), trained on CASIA-WebFace: (N, 3, 112, 96) in [-1, 1] -> (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = convolution(3, 64, 3, 2, 1, 1, True)
        self.dw_conv1 = convolution(64, 64, 3, 1, 1, 64, True)
        blocks, channels = [], 64
        for widen, after, count, stride in (
            (2, 64, 5, 2),
            (4, 128, 1, 2),
            (2, 128, 6, 1),
            (4, 128, 1, 2),
            (2, 128, 2, 1),
        ):
            for i in range(count):
                blocks.append(Bottleneck(channels, after, stride if i == 0 else 1, widen))
                channels = after
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = convolution(128, 512, 1, 1, 0, 1, True)
        self.linear7 = convolution(512, 512, (7, 6), 1, 0, 512, False)  # type: ignore[arg-type]
        self.linear1 = convolution(512, 128, 1, 1, 0, 1, False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(x))))
        return self.linear1(self.linear7(x)).flatten(1)


def load_mobilefacenet() -> MobileFaceNet:
    """The teacher with its weights, frozen."""
    net = MobileFaceNet()
    net.load_state_dict(load_checkpoint(teacher_file("mobilefacenet_casia.ckpt"))["net_state_dict"])
    return net.eval().requires_grad_(False)
