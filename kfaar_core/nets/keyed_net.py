"""The paper's projector of KVFA (Section IV-C-2): an MLP over the features of x_v and the bits of the key."""

from __future__ import annotations

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn


class KeyedNet(nn.Module, PyTorchModelHubMixin):
    """MLP: features (N, S) and key bits (N, b) of +-1 (zeros without a key) -> identity (N, d), not normalised."""

    mean: Tensor
    scale: Tensor

    def __init__(self, reading: int, bits: int, dimension: int, hidden: int = 256) -> None:
        """
        Args:
            reading: S, number of features.
            bits: length of the keys.
            dimension: d.
            hidden: width of the hidden layers.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(reading))  # of the features over training faces
        self.register_buffer("scale", torch.ones(reading))
        self.layers = nn.Sequential(
            nn.Linear(reading + bits, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, dimension),
        )

    def forward(self, reading: Tensor, bits: Tensor) -> Tensor:
        return self.layers(torch.cat(((reading - self.mean) / self.scale, bits), dim=-1))
