"""Posture correction G_f: x_v = G_f(x', x). Last box of HPVFG (Alg. 1, step 8).

The paper animates x' with FaceVid2Vid. The `lab` preset moves the latent instead: pose and expression are nearly linear
in w, so the gap between the two postures, times a gain fitted once, is the move that closes it and leaves the identity
alone. The moved face is rendered, measured, and moved again; where P says what KVFA shall read, stages.refine goes on
from there. Turn, size and place follow as a similarity of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kfaar_core.records import Payload, Posture
from kfaar_core.stages.generate import Generator, w_plus
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


@dataclass(frozen=True)
class Draft:
    """A face before correction."""

    picture: Tensor  # x' (3, S, S) in [-1, 1], portrait frame
    latent: Tensor | None  # (3, 512) w of the layer groups; None for a picture that no generator made
    posture: Posture  # measured on the picture
    payload: Payload | None = None  # None leaves the face as it is corrected


@dataclass(frozen=True)
class Corrected:
    """A face after correction."""

    picture: Tensor  # (3, S, S) in [-1, 1]
    latent: Tensor | None
    posture: Posture


@dataclass(frozen=True)
class Moved(Corrected):
    """A face that the generator made."""

    latent: Tensor  # (3, 512)


class Corrector(Protocol):
    """G_f: what LatentCorrector is, and what a network that animates pictures will be."""

    def correct(self, draft: Draft, original: Posture, side: int) -> Corrected:
        """Give the draft the original's head pose and expression.

        Args:
            draft: x'.
            original: posture of x, measured in x's portrait frame.
            side: px of the answer.
        """


Refinement = Callable[[Tensor, Posture, Payload], Tensor]  # w (3, 512), x's posture -> w: stages.refine


class LatentCorrector:
    """Moves of w, priced so that identity stays; needs a draft with its latent."""

    def __init__(
        self,
        state: Mapping[str, Tensor],
        generator: Generator,
        geometry: GeometryReader,
        steps: int,
        turns: int = 0,
        refine: Refinement | None = None,
    ) -> None:
        """
        Args:
            state: `gain` (1536, 54), from train.posture.
            steps: renders at most; each closes the gap that the last one measured.
            turns: further ones at most that close the gap of the three angles alone. Angles are nearly free, where
                each further step towards an expression costs identity.
            refine: between the two; None leaves the face as the steps made it.
        """
        self._gain = state["gain"].double().numpy()
        self._generator, self._geometry, self._refine = generator, geometry, refine
        self._steps, self._turns = steps, turns

    def correct(self, draft: Draft, original: Posture, side: int) -> Corrected:
        if draft.latent is None:
            raise ValueError("the latent corrector needs the draft's latent")
        target = vector_of(original)
        found = self._closed(Moved(draft.picture, draft.latent, draft.posture), target, side, self._steps)
        if self._refine is not None and draft.payload is not None:
            found = self._rendered(self._refine(found.latent, original, draft.payload), side)
        found = self._closed(found, target, side, self._turns, ANGLES, ANGLES_MET)
        if found.picture.shape[-1] != side:  # no step was better than the draft
            found = self._rendered(found.latent, side)
        return found

    def _closed(
        self, found: Moved, target: np.ndarray, side: int, steps: int, entries: slice = ALL, enough: float = 0.0
    ) -> Moved:
        """The gap to the target (54,) closed in some entries, by so many renders at most."""
        share = 1.0  # of the move; far from the mean face some moves turn a head twice as far as elsewhere
        for _ in range(steps):
            gap = target - vector_of(found.posture)
            if np.linalg.norm(gap[entries]) <= enough:
                break
            move = share * self._gain[:, entries] @ gap[entries]  # (1536,)
            shifted = found.latent + torch.from_numpy(move.astype(np.float32)).to(found.latent).reshape(3, 512)
            moved = self._rendered(shifted, side)
            if np.linalg.norm((target - vector_of(moved.posture))[entries]) >= np.linalg.norm(gap[entries]):
                share /= 2
            else:
                found = moved
        return found

    def _rendered(self, latent: Tensor, side: int) -> Moved:
        """The face of a latent (3, 512), measured."""
        picture = self._generator.render(w_plus(latent[None]), side)
        return Moved(picture[0], latent, self._geometry.postures(picture)[0])
