"""Refinement: gradient descent on w until KVFA decodes the code from the rendered face.

P and the posture correction are trained with surrogates of the generator, whose error differs from face to face.
Refinement therefore optimises the latent of each face, as GAN inversion does (Abdal et al., arXiv 1904.03189). The loss
has these terms:

- Code: KVFA must decode the code (what P encoded in the latent) from the face.
- Identity: the embeddings of E and of the auxiliary encoder must match the code. All photos of one person under one key
  then show the same virtual person, and another key shows another. Two encoders are used because a face that is
  optimised for one network alone may not transfer to others (Liu et al., arXiv 1611.02770). Each step uses another
  random affine augmentation (`differentiable.Augmentation`) for the same reason.
- Anonymity: key-less similarity to the photo is penalised only above `near_margin`, which one stranger in twelve
  exceeds. A lower similarity than that of strangers would leak the identity as well.
- Bias: E's embedding must not contain what all generated faces have in common, because that makes strangers similar
  (`GeneratorBiasPenalty`).
- Posture: the head pose and the expression of the photo are kept.

Gradients are computed on a small picture (the generator's low band) without the mirrored crop. Every few steps the
full picture is measured. Its difference from the small one is added to the following steps as a constant offset.
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
    """A differentiable linear read-out of features; stages.linear.LinearReader implements it."""

    def tensor(self, features: Tensor) -> Tensor:
        """(N, S) features -> (N, n), not normalised, differentiable."""


class GeneratorBiasPenalty:
    """The bias of generated faces in E's embedding, as a differentiable read-out.

    The embeddings of generated faces share an offset from those of photos, which makes strangers similar. The read-out
    is the cosine between a face's embedding, centred on photos, and that offset. Refinement penalises its square.
    """

    def __init__(self, photos: np.ndarray, virtual: np.ndarray) -> None:
        """
        Args:
            photos: (D,) E's mean embedding of photos.
            virtual: (D,) E's mean embedding of virtual faces.
        """
        difference = virtual - photos
        self._photos, self._shared = (
            torch.from_numpy(values).float() for values in (photos, difference / np.linalg.norm(difference))
        )

    def tensor(self, features: Tensor) -> Tensor:
        """(N, S) features, of which the first D are E's embedding -> (N, 1) cosines; differentiable."""
        centred = features[:, : len(self._photos)] - self._photos.to(features)
        return functional.cosine_similarity(centred, self._shared.to(features)[None], dim=1)[:, None]


def augmentations_of(how: Descent) -> list[Augmentation]:
    """The augmentation of each step. They are the same for every face, which makes virtual faces reproducible."""
    draw = public_normals("refinement", (how.steps, 4))
    sds = np.array([np.radians(how.augment_turn), how.augment_growth, how.augment_shift, how.augment_shift])
    return [
        Augmentation(turn, growth, (right, down), mirrored=step % 2 == 1)
        for step, (turn, growth, right, down) in enumerate((sds * draw).tolist())
    ]


@dataclass(frozen=True)
class RefinementTargets:
    """The linear read-outs in a method's refinement loss, and the coordinates in which the latent moves."""

    reading: LinearHead  # h: the code as KVFA decodes it from a virtual face
    person: LinearHead  # u from E's embedding alone, which follows the latent more easily than penultimate activations
    auxiliary: LinearHead  # u from the auxiliary encoder's embedding alone
    identity: LinearHead  # u as KVFA computes it for photos, from both encoders
    bias: LinearHead  # GeneratorBiasPenalty
    space: NaturalSpace
    rows: Tensor  # (54, 1536) linear prediction of the posture vector from w, from train.posture


@dataclass(frozen=True)
class RefinementNetworks:
    """The networks that render and measure a face during refinement."""

    low_band: Callable[[Tensor, int], Tensor]  # (w+, side) -> the small picture, differentiable
    generator: Generator  # renders the full picture
    geometry: GeometryReader
    extractor: FeatureExtractor
    gain: Tensor  # (1536, 54) of the posture correction


class Refiner:
    """Refine latents by gradient descent (Adam) on the loss of this module."""

    def __init__(
        self, targets: RefinementTargets, networks: RefinementNetworks, descent: Descent, device: torch.device
    ) -> None:
        self._targets, self._space, self._networks = targets, targets.space, networks
        self._gain, self._rows = (matrix.float().to(device) for matrix in (networks.gain, targets.rows))
        self._with, self._device = descent, device

    def __call__(self, latent: Tensor, original: Posture, payload: Payload, progress: Steps | None = None) -> Tensor:
        """Refine one latent.

        Args:
            latent: (3, 512) w of a face whose posture has been corrected.
            original: the posture of the photo, which is kept.
            payload: the code that KVFA must decode, and the identity of the photo that must stay hidden.
            progress: called with (done, of) before each step and at the end. An exception that it raises ends the
                refinement.

        Returns:
            (3, 512) the refined latent.
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
        # Steps in natural coordinates. `moved` removes their effect on the posture.
        shape, colour = (torch.zeros_like(part, requires_grad=True) for part in natural.split((GROUPS - 1, 1)))
        turn = torch.zeros_like(wanted, requires_grad=True)  # steps along the columns of the posture gain
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
        """(1, 3, S, S) in [-1, 1] -> (54 + 4 d + 1,): the posture vector, then the output of each read-out."""
        picture = picture.float().clamp(-1, 1)
        measured = self._networks.geometry.measure(picture)
        landmarks = to_pixels(measured.landmarks, picture.shape[-1])
        angles = euler_degrees(measured.rotation) / ANGLE_UNIT
        features = self._networks.extractor(picture, landmarks, augmentation)
        targets = self._targets
        heads = (targets.reading, targets.person, targets.auxiliary, targets.identity, targets.bias)
        read = [head.tensor(features) for head in heads]
        return torch.cat((angles, measured.blendshapes[:, 1:], *read), dim=1)[0]
