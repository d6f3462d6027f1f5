"""Posture correction G_f: x_v = G_f(x', x). Last box of HPVFG (Alg. 1, step 8).

The paper animates x' with FaceVid2Vid. The `lab` preset edits the latent instead. Pose and expression are nearly linear
in w: the difference of the two postures, times a fitted gain matrix, is a step in w that closes the gap. The gain is
fitted to keep the identity. The edited face is rendered and measured, and the step is repeated. Refinement
(stages.refine) comes next, then `turn` corrects the head angles again. Rotation, size and position are corrected in the
picture (stages.place).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.records import Posture
from kfaar_core.stages.generate import GeneratedFace, Generator, render_face, w_plus
from kfaar_core.stages.geometry import GeometryReader

ANGLE_UNIT = 10.0  # degrees; an angle of this size weighs as much in a posture vector as a blendshape of 1
ANGLES, ALL = slice(3), slice(None)  # of a posture vector
COARSE_YAW = 16.0  # degrees, the one step of coarse head pose to either side  [design: 1.2 sd of yaw in LFW]
SMILE, SMILING = slice(44, 46), 0.6  # the blendshapes of both mouth corners, and those of a coarse smile  [design]
ANGLES_MET = 0.1  # distance of two head poses, in units of 10 degrees, at which `turn` stops


def posture_vector(angles: np.ndarray, blendshapes: np.ndarray) -> np.ndarray:
    """Concatenate head pose and expression to one vector.

    Args:
        angles: (..., 3) yaw, pitch, roll, degrees.
        blendshapes: (..., 52) in [0, 1].

    Returns:
        (..., 54) float64: angles / 10, then the blendshapes without the first, `_neutral`.
    """
    return np.concatenate([np.asarray(angles, np.float64) / ANGLE_UNIT, np.asarray(blendshapes)[..., 1:]], axis=-1)


def coarse(original: Posture, drawn: Posture) -> Posture:
    """A posture that says little about its photo: left, ahead or right, and whether a face that looks ahead smiles.

    The exact posture is a fingerprint of the photo (attacks/posture.py). The head is level; every other expression is
    that of the generated face.

    Args:
        original: posture of the photo x.
        drawn: posture of the generated face x', before any correction.

    Returns:
        The posture to correct to: a yaw of -16, 0 or 16 degrees, pitch and roll 0, the expression of x'. Only a face
        that looks ahead smiles if the photo smiles, and does not if it does not.
    """
    yaw = COARSE_YAW * float(np.clip(round(original.yaw / COARSE_YAW), -1, 1))
    shapes = drawn.blendshapes.copy()
    if yaw == 0:
        shapes[SMILE] = SMILING if original.blendshapes[SMILE].mean() >= SMILING / 2 else 0.0
    return replace(original, yaw=yaw, pitch=0.0, roll=0.0, blendshapes=shapes)


def vector_of(posture: Posture) -> np.ndarray:
    """The posture vector (54,) of one Posture."""
    return posture_vector(np.array([posture.yaw, posture.pitch, posture.roll]), posture.blendshapes)


class Corrector(Protocol):
    """Interface of the posture correction G_f; LatentCorrector and animate.Animator implement it."""

    def correct(self, face: GeneratedFace, original: Posture, side: int, photo: Tensor | None = None) -> GeneratedFace:
        """Give a generated face the original's head pose and expression.

        Args:
            face: x'.
            original: posture of x, measured in x's portrait frame.
            side: px of a new render. A face that needs no correction keeps its size.
            photo: (3, S, S) in [-1, 1], x in its portrait frame; None where there is a posture alone.
        """

    def turn(self, face: GeneratedFace, original: Posture, side: int, photo: Tensor | None = None) -> GeneratedFace:
        """Correct what refinement may have changed. The answer is always `side` px. Arguments as in `correct`."""


class LatentCorrector:
    """Posture correction by steps in w that change the identity as little as possible."""

    def __init__(
        self, state: Mapping[str, Tensor], generator: Generator, geometry: GeometryReader, steps: int, turns: int = 0
    ) -> None:
        """
        Args:
            state: `gain` (1536, 54), from train.posture.
            generator: renders the corrected latent.
            geometry: measures the posture of each render.
            steps: most renders of `correct`; each closes the gap that was measured on the render before.
            turns: most renders of `turn`. Correcting angles hardly changes the identity; correcting the expression
                does.
        """
        self._gain = state["gain"].double().numpy()
        self._generator, self._geometry = generator, geometry
        self._steps, self._turns = steps, turns

    def correct(self, face: GeneratedFace, original: Posture, side: int, photo: Tensor | None = None) -> GeneratedFace:
        return self._closed(face, vector_of(original), side, self._steps)

    def turn(self, face: GeneratedFace, original: Posture, side: int, photo: Tensor | None = None) -> GeneratedFace:
        turned = self._closed(face, vector_of(original), side, self._turns, ANGLES, ANGLES_MET)
        return turned if turned.picture.shape[-1] == side else self._rendered(turned.latent, side)

    def _closed(
        self, face: GeneratedFace, target: np.ndarray, side: int, steps: int, entries: slice = ALL, enough: float = 0.0
    ) -> GeneratedFace:
        """Close the gap to the target (54,) in some entries, with `steps` renders at most."""
        share = 1.0  # of the step; far from the mean face some steps rotate a head twice as far as predicted
        for _ in range(steps):
            gap = target - vector_of(face.posture)
            if np.linalg.norm(gap[entries]) <= enough:
                break
            move = share * self._gain[:, entries] @ gap[entries]  # (1536,)
            step = torch.from_numpy(move.astype(np.float32)).to(face.latent).reshape(1, 3, 512)
            shifted = face.latent + (step if len(face.latent) == 3 else w_plus(step, self._generator.groups))[0]
            moved = self._rendered(shifted, side)
            if np.linalg.norm((target - vector_of(moved.posture))[entries]) >= np.linalg.norm(gap[entries]):
                share /= 2
            else:
                face = moved
        return face

    def _rendered(self, latent: Tensor, side: int) -> GeneratedFace:
        return render_face(self._generator, self._geometry, latent, side)
