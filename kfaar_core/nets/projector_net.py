"""The networks of P: z' = P(z, k) (Section IV-B-2: "a concatenated operation and a multilayer perceptron").

`HashedNet` never sees a key: it draws the face of a code that the key has turned (stages.project). `BitsNet` is the
paper's: the bits of the key, as +-1, stand beside z.
"""

from __future__ import annotations

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

# Natural coordinates of each layer group that P moves: 79 % of what styles vary in, and what F reads best. A code that
# is spread over more of them (128 were tried) is read worse, whatever linear stand-ins promise.
LEADING = 32
GROUPS = 3


class HashedNet(nn.Module, PyTorchModelHubMixin):
    """(code (N, d), noise (N, m)), both of about unit variance -> natural coordinates (N, 3, 32).

    The first coordinate of every group separates men and women, and styles vary most in it. The noise draws it, not the
    network. A network left to choose put it where faces are easiest to tell apart, and all virtual faces were women.
    """

    def __init__(self, code: int, noise: int, hidden: int = 256) -> None:
        super().__init__()
        self.code, self.noise = code, noise  # d, m
        self.straight = nn.Linear(code + noise, GROUPS * LEADING)
        self.bend = nn.Sequential(
            nn.Linear(code + noise, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, GROUPS * LEADING),
        )

    def forward(self, code: Tensor, noise: Tensor) -> Tensor:
        x = torch.cat((code, noise), dim=-1)
        drawn = (self.straight(x) + self.bend(x)).unflatten(-1, (GROUPS, LEADING))
        first = noise[..., None, :1].expand(*drawn.shape[:-1], 1)
        return torch.cat((first, drawn[..., 1:]), dim=-1)


class BitsNet(nn.Module, PyTorchModelHubMixin):
    """(z (N, D) of about unit variance, bits (N, b) of +-1) -> z' (N, 512), which M takes."""

    def __init__(self, feature: int, bits: int, hidden: int = 256) -> None:
        super().__init__()
        self.bits = bits
        self.layers = nn.Sequential(
            nn.Linear(feature + bits, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 512)
        )

    def forward(self, z: Tensor, bits: Tensor) -> Tensor:
        return self.layers(torch.cat((z, bits), dim=-1))
