"""The networks of P: z' = P(z, k) (Section IV-B-2: "a concatenated operation and a multilayer perceptron").

`HashedNet` does not take the key: its input is a code that the key has rotated (methods.hashed). `BitsNet` is the
paper's network over z and the bits of the key.
"""

from __future__ import annotations

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

# Natural coordinates of each layer group that P sets. They hold 79 % of the variance of styles; F predicts them best.
# With more coordinates (128 were tried) the code is decoded worse, although linear surrogates predict the opposite.
LEADING = 32
GROUPS = 3


class HashedNet(nn.Module, PyTorchModelHubMixin):
    """MLP: code (N, d) and noise (N, m), both of about unit variance -> natural coordinates (N, 3, 32).

    The first coordinate of every group has the largest variance and correlates with gender. It is set by the noise, not
    by the network: a network that could set it made all virtual faces women, which are easiest to distinguish.
    """

    def __init__(self, code: int, noise: int, hidden: int = 256) -> None:
        """
        Args:
            code: d.
            noise: m.
            hidden: width of the hidden layers.
        """
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
        coordinates = (self.straight(x) + self.bend(x)).unflatten(-1, (GROUPS, LEADING))
        first = noise[..., None, :1].expand(*coordinates.shape[:-1], 1)
        return torch.cat((first, coordinates[..., 1:]), dim=-1)


class BitsNet(nn.Module, PyTorchModelHubMixin):
    """MLP: z (N, D) of about unit variance and key bits (N, b) of +-1 -> z' (N, 512), the input of M."""

    def __init__(self, feature: int, bits: int, hidden: int = 256) -> None:
        """
        Args:
            feature: D.
            bits: length of the keys.
            hidden: width of the hidden layers.
        """
        super().__init__()
        self.bits = bits
        self.layers = nn.Sequential(
            nn.Linear(feature + bits, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 512)
        )

    def forward(self, z: Tensor, bits: Tensor) -> Tensor:
        return self.layers(torch.cat((z, bits), dim=-1))
