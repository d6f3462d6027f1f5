"""Scores of genuine and of impostor trials, each with the person that it belongs to (for bootstrap over people)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.records import Scores


@dataclass(frozen=True)
class ScorePair:
    """Two populations of scores, higher meaning the same person; people are numbered alike in both."""

    genuine: np.ndarray  # (..., N) float64
    genuine_people: np.ndarray  # (N,) int
    impostor: np.ndarray  # (..., M) float64
    impostor_people: np.ndarray  # (M,) int

    @classmethod
    def of(cls, genuine: Scores, impostor: Scores) -> ScorePair:
        """Of two recorded populations."""
        return cls(genuine.values, genuine.people, impostor.values, impostor.people)
