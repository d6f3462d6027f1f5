"""Scores of genuine and impostor trials with their people, the input of the bootstrap over identities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfaar_core.records import Scores


@dataclass(frozen=True)
class ScorePair:
    """Genuine and impostor scores (higher = same person), each with its people, numbered alike in both."""

    genuine: np.ndarray  # (..., N) float64
    genuine_people: np.ndarray  # (N,) int, the person of each trial
    impostor: np.ndarray  # (..., M) float64
    impostor_people: np.ndarray  # (M,) int, the person of each trial
    impostor_others: np.ndarray | None = None  # (M,) int, whom the person is compared with, if known

    @classmethod
    def of(cls, genuine: Scores, impostor: Scores) -> ScorePair:
        """Make a pair from two recorded populations."""
        return cls(genuine.values, genuine.people, impostor.values, impostor.people, impostor.others)
