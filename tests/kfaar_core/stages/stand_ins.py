"""What several tests of the stages stand on."""

from __future__ import annotations

import numpy as np

from kfaar_core.records import Posture


def as_posture(vector: np.ndarray) -> Posture:
    """The posture of a posture vector (54,), without landmarks."""
    yaw, pitch, roll = 10 * vector[:3]
    shapes = np.concatenate([[0.0], vector[3:]])
    return Posture(float(yaw), float(pitch), float(roll), shapes, np.zeros((478, 3), np.float32))
