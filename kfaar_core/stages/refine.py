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
- Look, if the method asks for it: a coarse copy of the picture (16 x 16 px) stays as it was. Hair, skin, light and
  background then stay those of the face before refinement, and the code moves the finer features alone.

Gradients are computed on a small picture (the generator's low band) without the mirrored crop. Every few steps the
full picture is measured. Its difference from the small one is added to the following steps as a constant offset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core.key_schedule import public_normals
from kfaar_core.nets.projector_net import GROUPS
from kfaar_core.presets import Descent, Enrolment, Hold
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
        self,
        targets: RefinementTargets,
        networks: RefinementNetworks,
        descent: Descent,
        device: torch.device,
        enrolment: Enrolment | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._targets, self._space, self._networks = targets, targets.space, networks
        self._gain, self._rows = (matrix.float().to(device) for matrix in (networks.gain, targets.rows))
        self._with, self._device = descent, device
        self._enrolment, self._hold = enrolment or Enrolment(), hold

    def __call__(self, latent: Tensor, original: Posture, payload: Payload, progress: Steps | None = None) -> Tensor:
        """Refine one latent.

        Args:
            latent: (3, 512) w of a face whose posture has been corrected.
            original: the posture of the photo, which is kept.
            payload: the code that KVFA must decode, and the identity of the photo that must stay hidden.
            progress: called with (done, of) before each step and at the end. An exception that it raises ends the
                refinement.

        Returns:
            The refined latent: (3, 512), or (23, 512) if every layer moves on its own (Hold.layer_rate).
        """
        return self._refined(latent, original, payload, self._with, 0, progress)

    def enrol(self, latent: Tensor, original: Posture, payload: Payload, progress: Steps | None = None) -> Tensor:
        """Refine one latent in many postures at once, so that later photos need no refinement.

        At every step the face is also rendered in the postures of random generated faces, moved there by the posture
        gain, and the read-outs are averaged over all pictures (expectation over transformations; Athalye et al., arXiv
        1707.07397). The code is then in the person and not in one picture.

        Args and Returns: see __call__.
        """
        how = replace(self._with, steps=self._enrolment.steps)
        return self._refined(latent, original, payload, how, self._enrolment.turned, progress)

    def _refined(
        self, latent: Tensor, original: Posture, payload: Payload, how: Descent, turned: int, progress: Steps | None
    ) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            wanted, carried, hidden = (
                torch.from_numpy(values).float().to(self._device)
                for values in (vector_of(original), payload.code, payload.identity)
            )
            start = latent.clone().to(self._device)
            moves = self._moves(start, how.steps, turned) @ self._gain.T  # (steps, turned, 1536)
            return self._descent(start, wanted, (carried, hidden), how, moves, progress)

    def _moves(self, latent: Tensor, steps: int, turned: int) -> Tensor:
        """(steps, turned, 54) posture moves that give a face the postures of random generated faces.

        They come in pairs of opposite distance from the mean posture: what a step learns from a head turned left, it
        does not forget on the right.
        """
        count = steps * turned
        if count == 0:
            return self._rows.new_zeros((steps, 0, len(self._rows)))
        generator = self._networks.generator
        z = torch.randn(-(-count // 2), 512, generator=torch.Generator().manual_seed(0)).to(self._device)
        mean = generator.w_mean.to(self._rows).repeat(GROUPS)  # (1536,)
        offsets = (generator.map(z).to(self._rows).repeat(1, GROUPS) - mean) @ self._rows.T  # (pairs, 54)
        pairs = torch.stack((offsets, -offsets), dim=1).flatten(0, 1)[:count]
        return (self._rows @ (mean - latent.flatten()) + pairs).unflatten(0, (steps, turned))

    def _descent(
        self,
        latent: Tensor,
        wanted: Tensor,
        carried: tuple[Tensor, Tensor],
        how: Descent,
        moves: Tensor,
        progress: Steps | None,
    ) -> Tensor:
        code, identity = carried
        natural, hold = self._space.of_w(latent), self._hold
        # Steps in natural coordinates. `moved` removes their effect on the posture.
        shape, colour = (torch.zeros_like(part, requires_grad=True) for part in natural.split((GROUPS - 1, 1)))
        turn = torch.zeros_like(wanted, requires_grad=True)  # steps along the columns of the posture gain
        groups = self._networks.generator.groups
        layers = torch.zeros(sum(groups), latent.shape[1], device=latent.device, requires_grad=True)  # of every layer
        rates = (how.rate, how.colour_rate, how.turn_rate, hold.layer_rate if hold else 0.0)
        adam = torch.optim.Adam([{"params": [part]} for part in (shape, colour, turn, layers)], betas=how.betas)

        def moved() -> Tensor:
            move = (self._space.to_w(natural + torch.cat((shape, colour))) - latent).flatten()
            return latent + (move + self._gain @ (turn - self._rows @ move)).reshape(latent.shape)

        def by_layer(w: Tensor) -> Tensor:
            """(N, 3, 512) -> what is rendered: w itself, or (N, 23, 512) if every layer moves on its own."""
            return self._space.to_w(self._space.of_w(self._layers(w)) + layers) if rates[-1] else w

        offset, augmentations, before = torch.zeros(()), augmentations_of(how), None
        for step in range(how.steps):
            if progress:
                progress(step, how.steps)
            w = moved()
            measured = step % how.measured == 0
            shown = torch.cat((w[None], w + moves[step].unflatten(1, w.shape)))  # (1 + turned, 3, 512)
            small = self._networks.low_band(self._layers(by_layer(shown)), how.side)
            read = self._read(small, IDENTITY if measured else augmentations[step])
            if measured:
                offset = self._read(self._full(by_layer(w[None]))) - read[:1].detach()
            posture, reading, person, auxiliary, as_photo, bias = (read + offset).split(
                (len(wanted), *4 * (len(code),), 1), dim=1
            )
            gap = (posture[0] - wanted).square()  # the postures of the other pictures follow from it
            near = functional.cosine_similarity(torch.stack((reading, auxiliary, as_photo)), identity, dim=2)
            loss = (
                -functional.cosine_similarity(reading, code[None]).mean()
                - how.identity_weight * functional.cosine_similarity(person, code[None]).mean()
                - how.auxiliary_weight * functional.cosine_similarity(auxiliary, code[None]).mean()
                + how.near_weight * (near - how.near_margin).relu().square().sum(dim=0).mean()
                + how.bias_weight * bias.square().mean()
                + how.angle_weight * gap[ANGLES].sum()
                + how.shape_weight * gap[ANGLES.stop :].sum()
                + how.move_weight * (shape.square().sum() + colour.square().sum())
                + how.move_weight * GROUPS / len(layers) * layers.square().sum()
            )
            if hold:
                coarse = functional.avg_pool2d(small[:1].float(), hold.cell)
                before = coarse.detach() if before is None else before
                loss = loss + hold.weight * (coarse - before).square().mean()
            adam.zero_grad()
            loss.backward()
            decay = min(1.0, 2 * (1 - step / how.steps))  # linear to zero over the second half
            for group, rate in zip(adam.param_groups, rates, strict=True):
                group["lr"] = rate * decay
            adam.step()
        if progress:
            progress(how.steps, how.steps)
        return by_layer(moved()[None])[0].detach()

    def _layers(self, w: Tensor) -> Tensor:
        return w_plus(w, self._networks.generator.groups)

    @torch.no_grad()
    def _full(self, w: Tensor) -> Tensor:
        return self._networks.generator.render(self._layers(w), 512).to(self._device)

    def _read(self, picture: Tensor, augmentation: Augmentation | None = None) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> (N, 54 + 4 d + 1): the posture vector, then the output of each read-out."""
        picture = picture.float().clamp(-1, 1)
        measured = self._networks.geometry.measure(picture)
        landmarks = to_pixels(measured.landmarks, picture.shape[-1])
        angles = euler_degrees(measured.rotation) / ANGLE_UNIT
        features = self._networks.extractor(picture, landmarks, augmentation)
        targets = self._targets
        heads = (targets.reading, targets.person, targets.auxiliary, targets.identity, targets.bias)
        read = [head.tensor(features) for head in heads]
        return torch.cat((angles, measured.blendshapes[:, 1:], *read), dim=1)
