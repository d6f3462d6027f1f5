"""Refinement: gradient descent on w until KVFA decodes the code from the rendered face.

P and the posture correction know the generator only through surrogates; what a face really shows differs from face to
face. So the latent is optimised, as in GAN inversion (Abdal et al., arXiv 1904.03189). The loss has these terms:

- KVFA reads the code (what P encoded in the latent) from the face.
- E and the auxiliary encoder see the person of the code: the same person for all photos of somebody under one key,
  another person under the next key. Two networks, because what one network alone is shown, the next need not see
  (Liu et al., arXiv 1611.02770, on adversarial pictures). Each step sees the face under another random affine
  augmentation (`differentiable.Augmentation`), for the same reason.
- Key-less similarity to the photo is penalised only above `near_margin`, which one stranger in twelve exceeds. Pushing
  it lower would leak as well.
- E sees nothing of what all generated faces have in common, which makes strangers alike (`GeneratorBiasPenalty`).
- The posture stays.

Gradients go through a small picture (the generator's low band) without the mirrored crop. Every few steps the full
picture is read, and the difference is added to what the small one says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.key_schedule import public_normals
from kfaar_core.nets.projector_net import GROUPS
from kfaar_core.presets import Descent
from kfaar_core.records import Payload, Posture
from kfaar_core.stages.correct import ANGLE_UNIT, ANGLES, vector_of
from kfaar_core.stages.differentiable import IDENTITY, Augmentation, FeatureExtractor
from kfaar_core.stages.generate import Generator, w_plus
from kfaar_core.stages.geometry import GeometryReader, euler_degrees, to_pixels
from kfaar_core.stages.latent import NaturalSpace

Steps = Callable[[int, int], None]  # done, of


class LinearHead(Protocol):
    """A linear read-out of features: what stages.linear.LinearReader is."""

    def tensor(self, features: Tensor) -> Tensor:
        """(N, S) features -> (N, n), not normalised; differentiable."""


class GeneratorBiasPenalty:
    """Cosine between E's view of a face and the direction in which virtual faces differ from photos on average."""

    def __init__(self, photos: np.ndarray, virtual: np.ndarray) -> None:
        """photos, virtual: (D,) E's mean raw feature of either."""
        away = virtual - photos
        self._photos, self._shared = (
            torch.from_numpy(values).float() for values in (photos, away / np.linalg.norm(away))
        )

    def tensor(self, features: Tensor) -> Tensor:
        """(N, S >= D) features, E's first -> (N, 1)."""
        away = features[:, : len(self._photos)] - self._photos.to(features)
        return functional.cosine_similarity(away, self._shared.to(features)[None], dim=1)[:, None]


def augmentations_of(how: Descent) -> list[Augmentation]:
    """One for each step, the same for every face: a photo and a key always give the same virtual face."""
    draw = public_normals("refinement", (how.steps, 4))
    sds = np.array([np.radians(how.augment_turn), how.augment_growth, how.augment_shift, how.augment_shift])
    return [
        Augmentation(turn, growth, (right, down), mirrored=step % 2 == 1)
        for step, (turn, growth, right, down) in enumerate((sds * draw).tolist())
    ]


@dataclass(frozen=True)
class RefinementTargets:
    """Which read-outs of a face a method refines."""

    reading: LinearHead  # h: the code as KVFA reads it of a virtual face
    person: LinearHead  # u of E's embedding alone: the penultimate activations are moved less easily
    auxiliary: LinearHead  # u of the auxiliary encoder alone
    identity: LinearHead  # u as KVFA reads it of photos, of both encoders
    bias: LinearHead  # GeneratorBiasPenalty
    space: NaturalSpace
    rows: Tensor  # (54, 1536) posture from w, from train.posture


@dataclass(frozen=True)
class RefinementNetworks:
    """What renders and measures a face while it is refined."""

    low_band: Callable[[Tensor, int], Tensor]  # w+ and side -> the small picture, differentiable
    generator: Generator  # the full picture
    geometry: GeometryReader
    extractor: FeatureExtractor
    gain: Tensor  # (1536, 54) of the posture correction


class Refiner:
    """Descent of w on the targets and the posture."""

    def __init__(
        self, targets: RefinementTargets, networks: RefinementNetworks, descent: Descent, device: torch.device
    ) -> None:
        self._targets, self._space, self._networks = targets, targets.space, networks
        self._gain, self._rows = (matrix.float().to(device) for matrix in (networks.gain, targets.rows))
        self._with, self._device = descent, device

    def __call__(self, latent: Tensor, original: Posture, payload: Payload, progress: Steps | None = None) -> Tensor:
        """
        Args:
            latent: (3, 512) w of a face whose posture is about right.
            original: the posture that it shall have.
            payload: KVFA shall read its code and the encoders shall see it; no read-out shall come near its identity.
            progress: called before each step and at the end; what it raises ends the descent.

        Returns:
            (3, 512).
        """
        with torch.inference_mode(False), torch.enable_grad():
            wanted, carried, hidden = (
                torch.from_numpy(values).float().to(self._device)
                for values in (vector_of(original), payload.code, payload.identity)
            )
            return self._descent(latent.clone().to(self._device), wanted, carried, hidden, progress)

    def _descent(
        self, latent: Tensor, wanted: Tensor, code: Tensor, identity: Tensor, progress: Steps | None
    ) -> Tensor:
        natural = self._space.of_w(latent)
        # Along natural coordinates, which leaves the posture.
        shape, colour = (torch.zeros_like(part, requires_grad=True) for part in natural.split((GROUPS - 1, 1)))
        turn = torch.zeros_like(wanted, requires_grad=True)  # along the posture correction's own moves
        how = self._with
        rates = (how.rate, how.colour_rate, how.turn_rate)
        adam = torch.optim.Adam([{"params": [part]} for part in (shape, colour, turn)], betas=how.betas)

        def moved() -> Tensor:
            move = (self._space.to_w(natural + torch.cat((shape, colour))) - latent).flatten()
            return latent + (move + self._gain @ (turn - self._rows @ move)).reshape(latent.shape)

        offset, augmentations = torch.zeros(()), augmentations_of(how)
        for step in range(how.steps):
            if progress:
                progress(step, how.steps)
            w = moved()
            measured = step % how.measured == 0
            small = self._networks.low_band(w_plus(w[None]), how.side)
            read = self._read(small, IDENTITY if measured else augmentations[step])
            if measured:
                offset = self._read(self._full(w)) - read.detach()
            posture, reading, person, auxiliary, as_photo, bias = (read + offset).split(
                (len(wanted), *4 * (len(code),), 1)
            )
            gap = (posture - wanted).square()
            near = functional.cosine_similarity(torch.stack((reading, auxiliary, as_photo)), identity[None], dim=1)
            loss = (
                -functional.cosine_similarity(reading, code, dim=0)
                - how.identity_weight * functional.cosine_similarity(person, code, dim=0)
                - how.auxiliary_weight * functional.cosine_similarity(auxiliary, code, dim=0)
                + how.near_weight * (near - how.near_margin).relu().square().sum()
                + how.bias_weight * bias.square().sum()
                + how.angle_weight * gap[ANGLES].sum()
                + how.shape_weight * gap[ANGLES.stop :].sum()
                + how.move_weight * (shape.square().sum() + colour.square().sum())
            )
            adam.zero_grad()
            loss.backward()
            decay = min(1.0, 2 * (1 - step / how.steps))  # linear to zero over the second half
            for group, rate in zip(adam.param_groups, rates, strict=True):
                group["lr"] = rate * decay
            adam.step()
        if progress:
            progress(how.steps, how.steps)
        return moved().detach()

    @torch.no_grad()
    def _full(self, w: Tensor) -> Tensor:
        return self._networks.generator.render(w_plus(w[None]), 512).to(self._device)

    def _read(self, picture: Tensor, augmentation: Augmentation | None = None) -> Tensor:
        """(1, 3, S, S) -> (54 + 4 d + 1,): posture vector, then what each read-out gives."""
        picture = picture.float().clamp(-1, 1)
        measured = self._networks.geometry.measure(picture)
        landmarks = to_pixels(measured.landmarks, picture.shape[-1])
        angles = euler_degrees(measured.rotation) / ANGLE_UNIT
        features = self._networks.extractor(picture, landmarks, augmentation)
        targets = self._targets
        heads = (targets.reading, targets.person, targets.auxiliary, targets.identity, targets.bias)
        read = [head.tensor(features) for head in heads]
        return torch.cat((angles, measured.blendshapes[:, 1:], *read), dim=1)[0]
