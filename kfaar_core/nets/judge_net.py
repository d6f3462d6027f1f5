"""Judge R: the network of an independent face encoder. No other network is trained with or against it.

It is distilled from a MobileFaceNet (arXiv 1804.07573).
"""

from __future__ import annotations

from kfaar_core.nets.residual import ResidualTrunk

INPUT = (112, 96)  # px, height x width


class JudgeNet(ResidualTrunk):
    """R: aligned RGB crops (N, 3, 112, 96) in [-1, 1] -> embeddings (N, 128), not normalised."""

    def __init__(self) -> None:
        super().__init__((32, 64, 128, 256), depth=2, size=INPUT, features=128)
