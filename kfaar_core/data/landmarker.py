"""MediaPipe Face Landmarker: the teacher of the geometry network, and an independent measure of head pose.

It needs the package mediapipe and a model file. Only training and evaluation use it.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kfaar_core.errors import DataMissing


@dataclass(frozen=True)
class FaceLabels:
    """Output of the MediaPipe Face Landmarker for one face."""

    landmarks: np.ndarray  # (478, 3) float32: x, y in [0, 1] of the picture's width and height, z on the scale of x
    blendshapes: np.ndarray  # (52,) float32 in [0, 1]; the first is `_neutral`
    rotation: np.ndarray  # (3, 3) float32, canonical face -> camera (x right, y up, z towards the camera)


def teacher_file(name: str) -> Path:
    """The path of a teacher network's file in the folder KFAAR_TEACHERS.

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
    """The MediaPipe Face Landmarker.

    Raises:
        DataMissing: its model file is missing.
    """

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
        # The object is in a reference cycle. Without this it is destroyed when Python exits, with an error message.
        weakref.finalize(self, self._net.close)

    def __call__(self, picture: np.ndarray) -> FaceLabels | None:
        """Label the first face of a picture (H, W, 3) uint8 RGB; None if no face is detected."""
        result = self._net.detect(
            self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        )
        if not result.face_landmarks:
            return None
        points = [(point.x, point.y, point.z) for point in result.face_landmarks[0]]
        return FaceLabels(
            landmarks=np.array(points, dtype=np.float32),
            blendshapes=np.array([shape.score for shape in result.face_blendshapes[0]], dtype=np.float32),
            rotation=np.array(result.facial_transformation_matrixes[0], dtype=np.float32)[:3, :3],
        )
