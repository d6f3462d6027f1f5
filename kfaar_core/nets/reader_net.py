"""Reader F, the feature extractor of KVFA (Section IV-C-2), with four hidden layers.

The input of F is the texture and the shape of the face (stages.face_view). Its first layer projects them to principal
axes, an appearance model (Cootes, Edwards and Taylor, 2001) that is fitted in closed form (train.appearance). On the
few faces that a CPU can render, convolutional networks overfitted.
"""

from __future__ import annotations

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional

TEXTURE = (96, 80)  # px, height x width
COARSE = 2  # px, side of the squares that are averaged before the projection
LANDMARKS = 478
TEXTURE_SIZE = 3 * TEXTURE[0] * TEXTURE[1] // COARSE**2


def coarse(texture: Tensor) -> Tensor:
    """Downscaled textures as vectors: (N, 3, 96, 80) -> (N, 5760), the input of the projection to axes."""
    return functional.avg_pool2d(texture, COARSE).flatten(1)


class ReaderNet(nn.Module, PyTorchModelHubMixin):
    """Reader F: texture (N, 3, 96, 80) in [-1, 1] and shape (N, 478, 2) in px -> (N, outputs), not normalised.

    The outputs are predicted styles, then the code. `mean_shape` (478, 2) defines the texture, see stages.face_view.
    """

    mean_shape: Tensor
    mean_texture: Tensor
    texture_axes: Tensor
    shape_axes: Tensor

    def __init__(
        self, outputs: int, textures: int = 300, shapes: int = 100, hidden: int = 768, dropout: float = 0.2
    ) -> None:
        """
        Args:
            outputs: number of outputs.
            textures, shapes: number of principal axes of texture and shape.
            hidden: width of the hidden layers.
            dropout: probability, in training.
        """
        super().__init__()
        self.register_buffer("mean_shape", torch.zeros(LANDMARKS, 2))
        self.register_buffer("mean_texture", torch.zeros(TEXTURE_SIZE))
        self.register_buffer("texture_axes", torch.randn(TEXTURE_SIZE, textures) / TEXTURE_SIZE**0.5)
        self.register_buffer("shape_axes", torch.randn(2 * LANDMARKS, shapes) / (2 * LANDMARKS) ** 0.5)
        layers: list[nn.Module] = []
        width = textures + shapes
        for _ in range(3):
            layers += [nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(dropout)]
            width = hidden
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear(hidden, outputs)
        self.straight = nn.Linear(textures + shapes, outputs)

    def appearance(self, texture: Tensor, shape: Tensor) -> Tensor:
        """Projection to the principal axes of texture and shape: (N, textures + shapes)."""
        levels = coarse(texture) - self.mean_texture
        offsets = (shape - self.mean_shape).flatten(1)
        return torch.cat((levels @ self.texture_axes, offsets @ self.shape_axes), dim=1)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        return self.of_appearance(self.appearance(texture, shape))

    def of_appearance(self, x: Tensor) -> Tensor:
        """The layers after the projection: (N, textures + shapes) -> (N, outputs)."""
        return self.straight(x) + self.last(self.hidden(x))
