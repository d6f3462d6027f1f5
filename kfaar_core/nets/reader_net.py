"""F: the feature extractor of KVFA (Section IV-C-2): "input layer, hidden layer, and output layer", four hidden layers.

The four are here a stem and three stages of two residual blocks. F is given nothing but the face (stages.face_view).
"""

from __future__ import annotations

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn import functional

from kfaar_core.nets.residual import ResidualStages

INPUT = (128, 112)  # px, height x width
WIDTHS = (32, 64, 128, 256)
NARROW = 40  # channels that keep their place; with all 256 the last layer would weigh as much as the rest
HIDDEN = 192


class ReaderNet(nn.Module, PyTorchModelHubMixin):
    """F: (N, 3, 128, 112) in [-1, 1] -> (N, outputs), not normalised: the styles of the picture, then the code."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stages = ResidualStages(WIDTHS, depth=2)
        self.narrow = nn.Sequential(nn.Conv2d(WIDTHS[-1], NARROW, 1, bias=False), nn.BatchNorm2d(NARROW), nn.ReLU())
        self.hidden = nn.Linear(NARROW * (INPUT[0] // 16) * (INPUT[1] // 16), HIDDEN)
        self.last = nn.Linear(HIDDEN, outputs)

    def forward(self, x: Tensor) -> Tensor:
        places = self.narrow(self.stages(x))
        return self.last(functional.relu(self.hidden(places.flatten(1))))
