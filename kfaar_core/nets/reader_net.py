"""F: the feature extractor of KVFA (Section IV-C-2): "input layer, hidden layer, and output layer", four hidden layers.

The four are here a stem and three stages of two residual blocks. F is given nothing but the face: its texture and its
shape apart (stages.face_view).
"""

from __future__ import annotations

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.residual import ResidualStages

TEXTURE = (96, 80)  # px, height x width
LANDMARKS = 478
WIDTHS = (32, 64, 128, 256)
NARROW = 48  # channels that keep their place; with all 256 the last layer would weigh as much as the rest
HIDDEN = 512


class ReaderNet(nn.Module, PyTorchModelHubMixin):
    """F: texture (N, 3, 96, 80) in [-1, 1] and shape (N, 478, 2) in px -> (N, outputs), not normalised.

    The outputs are the styles of the picture, then the code. `mean_shape` is what stages.face_view takes textures in.
    """

    mean_shape: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean_shape", torch.zeros(LANDMARKS, 2))
        self.stages = ResidualStages(WIDTHS, depth=2)
        self.narrow = nn.Sequential(nn.Conv2d(WIDTHS[-1], NARROW, 1, bias=False), nn.BatchNorm2d(NARROW), nn.ReLU())
        self.hidden = nn.Linear(NARROW * (TEXTURE[0] // 16) * (TEXTURE[1] // 16), HIDDEN)
        self.bent = nn.Linear(2 * LANDMARKS, HIDDEN)
        self.last = nn.Linear(HIDDEN, outputs)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        places = self.narrow(self.stages(texture)).flatten(1)
        away = (shape - self.mean_shape).flatten(1) / 4  # px -> about 1
        return self.last(functional.relu(self.hidden(places) + self.bent(away)))
