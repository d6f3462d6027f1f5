"""Judge R: a face recogniser of ours that no other network here is trained with or against.

Student of a MobileFaceNet (arXiv 1804.07573) teacher; (N, 3, 112, 96) in [-1, 1] -> feature (N, 128), not normalised.
"""

from __future__ import annotations

from kfaar_core.nets.residual import ResidualTrunk

INPUT = (112, 96)  # px, height x width


class JudgeNet(ResidualTrunk):
    """R: (N, 3, 112, 96) -> (N, 128)."""

    def __init__(self) -> None:
        super().__init__((32, 64, 128, 256), depth=2, size=INPUT, features=128)
