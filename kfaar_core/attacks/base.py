"""Interface of an attack: what the adversary holds, and what he gets, as figures with intervals over people.

An attack is one file in this folder that defines ATTACK. It works on an Evidence (evidence.py): features of photos and
virtual faces, never on keys of users. Attacks do not import each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kfaar_core.attacks.evidence import Evidence
from kfaar_core.metrics.bootstrap import Interval, curve_interval, mean_interval, rate_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc
from kfaar_core.runtime import stream
from kfaar_core.targets import Target

Progress = Callable[[int, int], None]  # done, of; what it raises ends the attack


@dataclass(frozen=True)
class Figure:
    """What the adversary gets, under one condition: a point of a curve, or a single figure."""

    series: str  # the condition and what is counted, for example "shared key, the very photos: rank-1"
    at: float | None  # place on the curve, for example the number of known pairs; None: a single figure
    value: float
    low: float  # 95 % bootstrap interval over people
    high: float
    n: int  # trials
    people: int
    chance: float | None = None  # what guessing reaches
    note: str = ""

    def guessed(self) -> bool:
        """Whether the interval holds what guessing reaches: the adversary gets nothing that is measurable."""
        return self.chance is not None and self.low <= self.chance


@dataclass(frozen=True)
class Aim:
    """A target of one figure, set before measuring."""

    series: str
    at: float | None = None
    bound: Target | None = None  # of the value; None: the interval holds chance

    def words(self) -> str:
        """The bound as text."""
        return self.bound.words() if self.bound else "chance, within its interval"

    def met(self, figures: Sequence[Figure]) -> bool | None:
        """Whether it is met; None if nothing was measured that it is about."""
        about = [figure for figure in figures if figure.series == self.series and self.at in (None, figure.at)]
        if not about:
            return None
        return all(self.bound.met(figure.value) if self.bound else figure.guessed() for figure in about)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """The complete description of one attack."""

    code: str  # A1 to A13
    name: str  # of its file, with hyphens; argument of the command
    title: str
    holds: str  # what the adversary has
    learns: str  # what he wants to learn, in words for everybody
    across: str = ""  # what the curves run over, with its unit; empty without curves
    needs: tuple[str, ...]  # parts of the Evidence, see evidence.PARTS
    measure: Callable[[Evidence, Progress], Sequence[Figure]]
    says: Callable[[Sequence[Figure]], str]  # one or two sentences for everybody
    aims: tuple[Aim, ...] = ()
    looks: bool = False  # it looks at more of a virtual face than what KVFA reads, so that readings do not suffice
    refines: bool = False  # it needs a method that refines, and refinement switched on
    order: int


@dataclass(frozen=True)
class Condition:
    """What a Figure is about; its fields are those of Figure."""

    series: str
    at: float | None = None
    chance: float | None = None
    note: str = ""


def point(about: Condition, interval: Interval) -> Figure:
    """A Figure of an interval."""
    low, high, n, people = interval.low, interval.high, interval.n, interval.people
    return Figure(about.series, about.at, interval.value, low, high, n, people, about.chance, about.note)


def share(evidence: Evidence, about: Condition, values: np.ndarray, people: np.ndarray) -> Figure:
    """The mean of values (N,), or the share of hits if they are bool, with its interval over people (N,)."""
    rng = stream(evidence.seed, f"attack, {about.series}, {about.at}")
    interval = rate_interval if values.dtype == bool else mean_interval
    return point(about, interval(values, people, rng))


def curve(evidence: Evidence, about: Condition, statistic: Callable[[Roc], np.ndarray], scores: ScorePair) -> Figure:
    """A figure of a ROC curve, such as the AUC, with its interval over people."""
    return point(about, curve_interval(statistic, scores, stream(evidence.seed, f"attack, {about.series}")))


def value_of(figures: Sequence[Figure], series: str, at: float | None = None) -> float | None:
    """The value of a figure; None if it was not measured. Without `at`, the last of the curve."""
    about = [figure for figure in figures if figure.series == series and at in (None, figure.at)]
    return about[-1].value if about else None


def percent(value: float | None) -> str:
    """A share for a sentence, such as `57 %`; `not measured` for None."""
    if value is None:
        return "not measured"
    return f"{100 * value:.0f} %" if value >= 0.1 or value == 0 else f"{100 * value:.2g} %"
