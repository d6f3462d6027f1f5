"""Posture transfer G_f by a network: x_v = G_f(x', x), as in the paper. Last box of HPVFG (Alg. 1, step 8).

The network (FaceVid2Vid, or LivePortrait) takes the head pose and the expression from the picture of x and warps the
picture of x'. Its result is no render of a latent: a face that is rendered again, after refinement, is animated again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kfaar_core.records import Posture
from kfaar_core.stages.generate import GeneratedFace, resized
from kfaar_core.stages.geometry import GeometryReader

SIDE = 256  # px, input of FaceVid2Vid and of LivePortrait


class Animator:
    """Posture correction by a network that sees both pictures. Without a photo the face stays as it is."""

    def __init__(self, net: Callable[[Tensor, Tensor], Tensor], geometry: GeometryReader, device: torch.device) -> None:
        """
        Args:
            net: x' and x, (N, 3, 256, 256) in [-1, 1] -> x_v, (N, 3, S, S) in about [-1, 1].
            geometry: measures the posture of the result.
            device: of the network.
        """
        self._net, self._geometry, self._device = net, geometry, device

    def correct(self, face: GeneratedFace, original: Posture, side: int, photo: Tensor | None = None) -> GeneratedFace:
        if photo is None or face.animated:
            return face
        both = (resized(picture[None].to(self._device), SIDE).clamp(-1, 1) for picture in (face.picture, photo))
        picture = resized(self._net(*both).float(), side).clamp(-1, 1)
        return GeneratedFace(picture[0], face.latent, self._geometry.postures(picture)[0], animated=True)

    def turn(self, face: GeneratedFace, original: Posture, side: int, photo: Tensor | None = None) -> GeneratedFace:
        face = self.correct(face, original, side, photo)
        return face if face.picture.shape[-1] == side else replace(face, picture=resized(face.picture[None], side)[0])
