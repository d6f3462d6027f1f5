"""95 % percentile bootstrap over identities: the interval that stands beside every figure (design: protocol).

Trials of one person are not independent, so people are resampled, not trials: a resample draws as many people as there
are, with replacement, and takes all trials of each as often as the person was drawn. Genuine and impostor trials share
one draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kfaar_core.errors import BadSetting
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc, checked, roc

RESAMPLES = 1000  # [design, protocol] and the fewest allowed
LEVEL = 0.95  # [design, protocol]
CHUNK = 4_000_000  # curve points held at once, about 32 MB an array


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float
    n: int  # trials
    people: int  # identities that they came from


def draws(people: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """(R, P) how often each of P people is drawn in each resample; every row adds up to P.

    Raises:
        BadSetting: fewer than 1,000 resamples.
    """
    if resamples < RESAMPLES:
        raise BadSetting(got=f"{resamples} bootstrap resamples", mend=f"use at least {RESAMPLES}")
    return rng.multinomial(people, np.full(people, 1 / people), size=resamples)


def mean_interval(
    values: np.ndarray, people: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The mean of (N,) values and its interval; people (N,) int tells whom each trial belongs to."""
    values = checked("averaged", values)
    names, person = np.unique(people, return_inverse=True)
    count = draws(names.size, rng, resamples)  # (R, P)
    sums = np.bincount(person, weights=values)
    means = (count @ sums) / (count @ np.bincount(person))  # (R,)
    return interval(float(values.mean()), means, values.size, names.size)


def rate_interval(
    hits: np.ndarray, people: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The share of (N,) bool hits and its interval.

    Where no trial hits, every resample says 0 as well: the upper end is then upper_of_zero(people). All hits likewise.
    """
    found = mean_interval(np.asarray(hits, dtype=np.float64), people, rng, resamples)
    bound = upper_of_zero(found.people)
    if found.value == 0:
        return Interval(0.0, 0.0, bound, found.n, found.people)
    if found.value == 1:
        return Interval(1.0, 1 - bound, 1.0, found.n, found.people)
    return found


def curve_interval(
    statistic: Callable[[Roc], np.ndarray],
    scores: ScorePair,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """A figure of the ROC curve (verification.area, equal_error, or tar_within at a FAR) and its interval.

    Args:
        statistic: (..., T) curves -> (...) figures.
        scores: (N,) genuine and (M,) impostor.
    """
    resampled = Resamples.of(scores, rng, resamples)
    figures = resampled.figures(statistic, scores.genuine, scores.impostor)
    value = float(statistic(roc(scores.genuine, scores.impostor)))
    return interval(value, figures, resampled.trials, resampled.people)


def curve_difference(
    statistic: Callable[[Roc], np.ndarray],
    scores: ScorePair,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """How much larger a figure of the ROC curve is for the first scores of the same trials than for the second.

    Both curves share every resample, so that the interval is that of the difference.

    Args:
        scores: (2, N) genuine and (2, M) impostor.
    """
    resampled = Resamples.of(scores, rng, resamples)
    both = list(zip(scores.genuine, scores.impostor, strict=True))
    first, second = (float(statistic(roc(*each))) for each in both)
    figures = [resampled.figures(statistic, *each) for each in both]
    return interval(first - second, figures[0] - figures[1], resampled.trials, resampled.people)


@dataclass(frozen=True)
class Resamples:
    """How often each trial of two populations counts in each resample; both share the draw of people."""

    count: np.ndarray  # (R, P)
    of_genuine: np.ndarray  # (N,) columns of count
    of_impostor: np.ndarray  # (M,)

    @classmethod
    def of(cls, scores: ScorePair, rng: np.random.Generator, resamples: int) -> Resamples:
        """Draw people with replacement, `resamples` times."""
        owners = np.concatenate([scores.genuine_people, scores.impostor_people])
        names, person = np.unique(owners, return_inverse=True)
        return cls(draws(names.size, rng, resamples), *np.split(person, [len(scores.genuine_people)]))

    @property
    def trials(self) -> int:
        return self.of_genuine.size + self.of_impostor.size

    @property
    def people(self) -> int:
        return self.count.shape[1]

    def figures(self, statistic: Callable[[Roc], np.ndarray], genuine: np.ndarray, impostor: np.ndarray) -> np.ndarray:
        """(R, ...) the figures of each resample, as many at once as memory allows."""
        at_once = max(1, CHUNK // self.trials)
        parts = [
            statistic(roc(genuine, impostor, some[:, self.of_genuine], some[:, self.of_impostor]))
            for some in np.array_split(self.count, -(-len(self.count) // at_once))
        ]
        return np.concatenate(parts)


def interval(value: float, resampled: np.ndarray, trials: int, people: int) -> Interval:
    """Percentiles of (R,) resampled figures; a resample that drew nobody of one population is NaN and says nothing."""
    usable = resampled[np.isfinite(resampled)]
    if usable.size == 0:
        return Interval(value, float("nan"), float("nan"), trials, people)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Interval(value, float(low), float(high), trials, people)


def upper_of_zero(n: int) -> float:
    """The 95 % upper bound of a rate that showed no error in n independent trials: the rule of three, 3 / n."""
    return min(1.0, 3 / n) if n > 0 else 1.0


def zero_words(n: int) -> str:
    """How such a rate is printed: `<= 3/n`."""
    return f"<= 3/{n}"
