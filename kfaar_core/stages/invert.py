"""GAN inversion: the latent whose render looks most like a photo, by gradient descent (Abdal et al., arXiv 1904.03189).

The loss compares small pictures pixel by pixel and the embeddings of E, and holds the latent near the mean style, where
the generator renders well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kfaar_core import image
from kfaar_core.records import Photo
from kfaar_core.stages.differentiable import warp
from kfaar_core.stages.encode import FaceEncoder
from kfaar_core.stages.generate import GROUPS, w_plus
from kfaar_core.stages.locate import LocatedFace

POOLS = (2, 8)  # px over which both pictures are averaged before they are compared  [design]


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """Hyperparameters, chosen on synthetic people."""

    steps: int = 60
    side: int = 128  # px of the picture that is compared
    rate: float = 0.08  # of Adam, units of w
    identity_weight: float = 0.5  # of 1 - cosine of E's embeddings, against the mean squared error in [-1, 1]
    mean_weight: float = 0.02  # of the mean squared distance to the mean style


class Inverter:
    """Find the latent of a face by gradient descent from the mean style."""

    def __init__(
        self,
        low_band: Callable[[Tensor, int], Tensor],
        encoder: FaceEncoder,
        mean: Tensor,
        how: Inversion = Inversion(),
    ) -> None:
        """
        Args:
            low_band: (w+, side) -> picture, differentiable.
            encoder: E.
            mean: (512,) the mean style.
            how: hyperparameters.
        """
        self._low_band, self._encoder, self._mean, self._with = low_band, encoder, mean.clone(), how
        self.groups = GROUPS  # layers of the generator in each layer group

    def __call__(self, photo: Photo, face: LocatedFace) -> Tensor:
        """Invert one face of a photo: (3, 512) float32."""
        with torch.inference_mode(False), torch.enable_grad():
            how, device = self._with, self._mean.device
            matrix = face.crop.to_photo @ np.diag([face.crop.picture.shape[0] / how.side] * 2 + [1.0])
            framed = image.warp(photo.pixels, matrix, (how.side, how.side))
            points = image.apply(image.invert(matrix), face.landmarks[:, :2])
            homogeneous = np.vstack([self._encoder.alignment.to_source(points), [0.0, 0.0, 1.0]])
            to_crop = torch.from_numpy(homogeneous).float()[None].to(device)
            target = image.to_float(framed).to(device)
            person = self._embedded(target, to_crop).detach()
            latent = self._mean.expand(3, 512).clone().requires_grad_()
            adam = torch.optim.Adam([latent], lr=how.rate, betas=(0.9, 0.95))
            for step in range(how.steps):
                picture = self._low_band(w_plus(latent[None], self.groups), how.side).float()
                fine, coarse = (
                    functional.mse_loss(functional.avg_pool2d(picture, pool), functional.avg_pool2d(target, pool))
                    for pool in POOLS
                )
                likeness = functional.cosine_similarity(self._embedded(picture, to_crop), person).mean()
                away = (latent - self._mean).square().mean()
                loss = fine + coarse + how.identity_weight * (1 - likeness) + how.mean_weight * away
                adam.zero_grad()
                loss.backward()
                adam.param_groups[0]["lr"] = how.rate * min(1.0, 2 * (1 - step / how.steps))
                adam.step()
            return latent.detach()

    def _embedded(self, picture: Tensor, to_crop: Tensor) -> Tensor:
        return self._encoder.embed_crops(warp(picture, to_crop, self._encoder.alignment.size), skip_flip=True)
