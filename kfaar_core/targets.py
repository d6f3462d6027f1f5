"""Targets: bounds on the figures of a method, set before measuring. A method may have its own (Method.targets)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEOPLE = {"lfw": 327, "celeba": 150}  # data set -> number of test people that the targets are for


@dataclass(frozen=True)
class Target:
    """Bounds on one figure. A bound that is None does not apply."""

    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    of_zero: float | None = None  # largest absolute value
    below_threshold: bool = False  # below KVFA's threshold of the method
    below_paper: bool = False  # below the paper's mean of this figure, see report.targets

    def met(self, value: float, threshold: float = float("nan")) -> bool:
        """Whether a value meets every bound. Without a threshold (NaN), below_threshold is not met."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            and (self.of_zero is None or abs(value) <= self.of_zero)
            and (not self.below_threshold or value < threshold)
        )

    def words(self) -> str:
        """The bounds as text for tables, in ASCII."""
        parts = [
            "" if self.at_least is None else f">= {self.at_least:g}",
            "" if self.at_most is None else f"<= {self.at_most:g}",
            "" if self.below is None else f"< {self.below:g}",
            "" if self.of_zero is None else f"within {self.of_zero:g} of 0",
            "< threshold" if self.below_threshold else "",
        ]
        return ", ".join(part for part in parts if part)


NEAR_ZERO = Target(of_zero=0.05)  # of a mean cosine; that of strangers or random directions is 0 for centred embeddings

TARGETS: Mapping[str, Target] = {  # figure -> target
    "AUC, another photo": Target(at_least=0.985),
    "AUC, same photo": Target(at_least=0.999),
    "CRR, another photo": Target(at_least=0.95),
    "CRR, same photo": Target(at_least=0.99),
    "FAR": Target(at_most=0.01),
    "random key accepted": Target(at_most=1e-4),
    "d": Target(at_least=48),
    "scenario 1": NEAR_ZERO,
    "scenario 2": NEAR_ZERO,
    "scenario 2, largest": Target(below_threshold=True),
    "scenario 3": NEAR_ZERO,
    "scenario 3, largest": Target(below_threshold=True),
    "scenario 4, same photo": Target(at_least=0.85),
    "1 wrong bit": NEAR_ZERO,
    "synchronism AUC": Target(at_least=0.98),
    "synchronism EER": Target(at_most=0.07),
    "anonymity": Target(at_least=0.99),
    "diversity": Target(at_least=0.97),
    "differentiation": Target(at_least=0.97),
    "AUC loss after saving": Target(at_most=0.005),
    "mask": Target(below=0.05),
}
