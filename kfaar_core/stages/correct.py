"""Posture correction G_f: x_v = G_f(x', x). Last box of HPVFG (Alg. 1, step 8).

The paper animates x' with FaceVid2Vid. The `lab` preset moves the latent instead: pose and expression are nearly linear
in w, so the gap between the two postures, times a gain fitted once, is the move that closes it and leaves the identity
alone. The moved face is rendered, measured, and moved again. Refinement (stages.refine) follows, then `turn` corrects
the head angles once more. Rotation, size and position follow as a similarity of the picture (stages.place).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.records import Posture
from kfaar_core.stages.generate import GeneratedFace, Generator, render_face
from kfaar_core.stages.geometry import GeometryReader

ANGLE_UNIT = 10.0  # degrees that weigh as much as a whole blendshape in a posture vector
ANGLES, ALL = slice(3), slice(None)  # of a posture vector
ANGLES_MET = 0.1  # distance of two heads, in units of 10 degrees, that no further render is worth


def posture_vector(angles: np.ndarray, blendshapes: np.ndarray) -> np.ndarray:
    """(..., 3) yaw, pitch, roll, degrees, and (..., 52) blendshapes -> (..., 54): angles / 10, no `_neutral`."""
    return np.concatenate([np.asarray(angles, np.float64) / ANGLE_UNIT, np.asarray(blendshapes)[..., 1:]], axis=-1)


def vector_of(posture: Posture) -> np.ndarray:
    """(54,) of one Posture."""
    return posture_vector(np.array([posture.yaw, posture.pitch, posture.roll]), posture.blendshapes)


class Corrector(Protocol):
    """G_f: what LatentCorrector is, and what a network that animates pictures will be."""

    def correct(self, face: GeneratedFace, original: Posture, side: int) -> GeneratedFace:
        """Give a generated face the original's head pose and expression.

        Args:
            face: x'.
            original: posture of x, measured in x's portrait frame.
            side: px of the answer, where it had to be rendered again.
        """

    def turn(self, face: GeneratedFace, original: Posture, side: int) -> GeneratedFace:
        """The same for the three head angles alone, and the picture at `side` px whatever happened before."""


class LatentCorrector:
    """Moves of w, priced so that identity stays."""

    def __init__(
        self, state: Mapping[str, Tensor], generator: Generator, geometry: GeometryReader, steps: int, turns: int = 0
    ) -> None:
        """
        Args:
            state: `gain` (1536, 54), from train.posture.
            steps: renders of `correct` at most; each closes the gap that the last one measured.
            turns: renders of `turn` at most. Head angles are nearly free, where each further step towards an
                expression costs identity.
        """
        self._gain = state["gain"].double().numpy()
        self._generator, self._geometry = generator, geometry
        self._steps, self._turns = steps, turns

    def correct(self, face: GeneratedFace, original: Posture, side: int) -> GeneratedFace:
        return self._closed(face, vector_of(original), side, self._steps)

    def turn(self, face: GeneratedFace, original: Posture, side: int) -> GeneratedFace:
        turned = self._closed(face, vector_of(original), side, self._turns, ANGLES, ANGLES_MET)
        return turned if turned.picture.shape[-1] == side else self._rendered(turned.latent, side)

    def _closed(
        self, face: GeneratedFace, target: np.ndarray, side: int, steps: int, entries: slice = ALL, enough: float = 0.0
    ) -> GeneratedFace:
        """Close the gap to the target (54,) in some entries, by so many renders at most."""
        share = 1.0  # of the move; far from the mean face some moves turn a head twice as far as elsewhere
        for _ in range(steps):
            gap = target - vector_of(face.posture)
            if np.linalg.norm(gap[entries]) <= enough:
                break
            move = share * self._gain[:, entries] @ gap[entries]  # (1536,)
            shifted = face.latent + torch.from_numpy(move.astype(np.float32)).to(face.latent).reshape(3, 512)
            moved = self._rendered(shifted, side)
            if np.linalg.norm((target - vector_of(moved.posture))[entries]) >= np.linalg.norm(gap[entries]):
                share /= 2
            else:
                face = moved
        return face

    def _rendered(self, latent: Tensor, side: int) -> GeneratedFace:
        return render_face(self._generator, self._geometry, latent, side)
