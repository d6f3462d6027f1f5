"""F: the feature extractor of KVFA (Section IV-C-2): "input layer, hidden layer, and output layer", four hidden layers.

F is given nothing but the face: its texture and its shape apart (stages.face_view). The first hidden layer is their
appearance model (Cootes, Edwards and Taylor, 2001): principal axes, fitted in closed form (train.appearance). On as few
faces as a CPU can render, convolutions learned by heart what these layers generalise.
"""

from __future__ import annotations

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional

TEXTURE = (96, 80)  # px, height x width
COARSE = 2  # px a side that are averaged before the axes
LANDMARKS = 478
TEXTURE_SIZE = 3 * TEXTURE[0] * TEXTURE[1] // COARSE**2


def coarse(texture: Tensor) -> Tensor:
    """(N, 3, 96, 80) -> (N, 5760): what the axes of texture are axes of."""
    return functional.avg_pool2d(texture, COARSE).flatten(1)


class ReaderNet(nn.Module, PyTorchModelHubMixin):
    """F: texture (N, 3, 96, 80) in [-1, 1] and shape (N, 478, 2) in px -> (N, outputs), not normalised.

    The outputs are the styles of the picture, then the code. `mean_shape` is what stages.face_view takes textures in.
    """

    mean_shape: Tensor
    mean_texture: Tensor
    texture_axes: Tensor
    shape_axes: Tensor

    def __init__(
        self, outputs: int, textures: int = 300, shapes: int = 100, hidden: int = 768, dropout: float = 0.2
    ) -> None:
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
        """(N, 400): where the face lies along the principal axes of texture and of shape."""
        levels = coarse(texture) - self.mean_texture
        away = (shape - self.mean_shape).flatten(1)
        return torch.cat((levels @ self.texture_axes, away @ self.shape_axes), dim=1)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        return self.of_appearance(self.appearance(texture, shape))

    def of_appearance(self, x: Tensor) -> Tensor:
        """What follows the first hidden layer: (N, 400) -> (N, outputs)."""
        return self.straight(x) + self.last(self.hidden(x))
