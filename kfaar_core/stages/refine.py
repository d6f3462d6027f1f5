"""Refinement: the corrected face moves on until KVFA reads the code from it that P meant it to carry.

P and the posture correction know the generator by stand-ins; what a face really shows differs from face to face. So the
latent descends, as in GAN inversion by optimisation (Abdal et al., arXiv 1904.03189), on what the networks see of the
rendered face: KVFA's reading, the person whom recognisers see, and the posture. E shall see the person of the code as
well: one for all photos of somebody under a key, another under the next key. So shall a second recogniser, since what
one network is shown alone the next one need not see (Liu et al., arXiv 1611.02770, of adversarial pictures). To the
photo what is read without a key shall be what strangers are: no nearer than nine in ten of them, and not driven away,
which would tell of the photo as well. And E shall see nothing of what all faces of the generator have in common, which
makes strangers alike. Recognisers look at the whole picture from another place at every step (differentiable.Glance).

Gradients go through a small picture, the generator's low band, of which E sees one side; how much the full picture is
read differently is measured now and then and added.
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
from kfaar_core.stages.differentiable import IN_PLACE, Glance, Sight
from kfaar_core.stages.generate import Generator, w_plus
from kfaar_core.stages.geometry import GeometryReader, euler_degrees, to_pixels
from kfaar_core.stages.latent import NaturalSpace


class Reading(Protocol):
    """h, and u: what LinearReader is."""

    def tensor(self, sight: Tensor) -> Tensor:
        """(N, S) sights -> (N, n), not normalised; differentiable."""


class Likeness:
    """How much E's view of a face shows what all virtual faces share and photos do not: a cosine."""

    def __init__(self, photos: np.ndarray, virtual: np.ndarray) -> None:
        """photos, virtual: (D,) E's mean raw feature of either."""
        away = virtual - photos
        self._photos, self._shared = (
            torch.from_numpy(values).float() for values in (photos, away / np.linalg.norm(away))
        )

    def tensor(self, sight: Tensor) -> Tensor:
        """(N, S >= D) sights, E's feature first -> (N, 1)."""
        away = sight[:, : len(self._photos)] - self._photos.to(sight)
        return functional.cosine_similarity(away, self._shared.to(sight)[None], dim=1)[:, None]


def glances_of(how: Descent) -> list[Glance]:
    """One for each step, the same for every face: a photo and a key always give the same one."""
    draw = public_normals("refinement", (how.steps, 4))
    sds = np.array([np.radians(how.glance_turn), how.glance_growth, how.glance_shift, how.glance_shift])
    return [
        Glance(turn, growth, (right, down), mirrored=step % 2 == 1)
        for step, (turn, growth, right, down) in enumerate((sds * draw).tolist())
    ]


@dataclass(frozen=True)
class Aims:
    """What the faces of a form are refined towards."""

    reading: Reading  # h
    person: Reading  # u of E's feature alone: what the last layer is fed is moved less easily
    second: Reading  # u of the second recogniser alone
    identity: Reading  # u as KVFA reads it of photos, of both
    likeness: Reading  # Likeness
    space: NaturalSpace
    rows: Tensor  # (54, 1536) posture from w, from train.posture


class Refiner:
    """Descent of w on its aims and the posture."""

    def __init__(
        self,
        aims: Aims,
        gain: Tensor,
        small: Callable[[Tensor, int], Tensor],
        generator: Generator,
        geometry: GeometryReader,
        sight: Sight,
        descent: Descent,
        device: torch.device,
    ) -> None:
        """
        Args:
            gain: (1536, 54) of the posture correction.
            small: w+ and side -> the small picture, differentiably. generator: renders the full one.
        """
        self._aims, self._space = aims, aims.space
        self._gain, self._rows = (matrix.float().to(device) for matrix in (gain, aims.rows))
        self._small, self._generator, self._geometry, self._sight = small, generator, geometry, sight
        self._with, self._device = descent, device

    def __call__(self, latent: Tensor, original: Posture, payload: Payload) -> Tensor:
        """
        Args:
            latent: (3, 512) w of a face whose posture is about right.
            original: the posture that it shall have.
            payload: its code is what KVFA shall read and E shall see; neither shall come near to its identity.

        Returns:
            (3, 512).
        """
        with torch.inference_mode(False), torch.enable_grad():
            wanted, carried, hidden = (
                torch.from_numpy(values).float().to(self._device)
                for values in (vector_of(original), payload.code, payload.identity)
            )
            return self._descent(latent.clone().to(self._device), wanted, carried, hidden)

    def _descent(self, latent: Tensor, wanted: Tensor, code: Tensor, identity: Tensor) -> Tensor:
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

        off, glances = torch.zeros(()), glances_of(how)
        for step in range(how.steps):
            w = moved()
            measured = step % how.measured == 0
            read = self._seen(self._small(w_plus(w[None]), how.side), IN_PLACE if measured else glances[step])
            if measured:
                off = self._seen(self._full(w)) - read.detach()
            posture, found, seen, by_second, as_photo, alike = (read + off).split((len(wanted), *4 * (len(code),), 1))
            gap = (posture - wanted).square()
            near = functional.cosine_similarity(torch.stack((found, by_second, as_photo)), identity[None], dim=1)
            loss = (
                -functional.cosine_similarity(found, code, dim=0)
                - how.identity_price * functional.cosine_similarity(seen, code, dim=0)
                - how.second_price * functional.cosine_similarity(by_second, code, dim=0)
                + how.near_price * (near - how.near_free).relu().square().sum()
                + how.alike_price * alike.square().sum()
                + how.angle_price * gap[ANGLES].sum()
                + how.shape_price * gap[ANGLES.stop :].sum()
                + how.move_price * (shape.square().sum() + colour.square().sum())
            )
            adam.zero_grad()
            loss.backward()
            calmer = min(1.0, 2 * (1 - step / how.steps))  # the second half of the way is slower and slower
            for group, rate in zip(adam.param_groups, rates, strict=True):
                group["lr"] = rate * calmer
            adam.step()
        return moved().detach()

    @torch.no_grad()
    def _full(self, w: Tensor) -> Tensor:
        return self._generator.render(w_plus(w[None]), 512).to(self._device)

    def _seen(self, picture: Tensor, glance: Glance | None = None) -> Tensor:
        """(1, 3, S, S) -> (54 + 4 d + 1,): posture vector, what each of the aims reads."""
        picture = picture.float().clamp(-1, 1)
        measured = self._geometry.measure(picture)
        landmarks = to_pixels(measured.landmarks, picture.shape[-1])
        angles = euler_degrees(measured.rotation) / ANGLE_UNIT
        sight = self._sight(picture, landmarks, glance)
        aims = self._aims
        readings = (aims.reading, aims.person, aims.second, aims.identity, aims.likeness)
        read = [each.tensor(sight) for each in readings]
        return torch.cat((angles, measured.blendshapes[:, 1:], *read), dim=1)[0]
