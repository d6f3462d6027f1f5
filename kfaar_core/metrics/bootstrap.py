"""95 % percentile bootstrap over identities, for the confidence interval of every figure.

Trials of one person are not independent. Therefore people are resampled, not trials: a resample draws as many people as
there are, with replacement, and counts all trials of a person as often as the person was drawn. Genuine and impostor
trials use the same resamples.
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
    """A figure with its 95 % bootstrap interval."""

    value: float  # of the original trials
    low: float
    high: float
    n: int  # trials
    people: int  # identities that the trials belong to


def draws(people: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each of P people is drawn in each of R resamples: (R, P) int, every row sums to P.

    Raises:
        BadSetting: fewer than 1,000 resamples.
    """
    if resamples < RESAMPLES:
        raise BadSetting(got=f"{resamples} bootstrap resamples", mend=f"use at least {RESAMPLES}")
    return rng.multinomial(people, np.full(people, 1 / people), size=resamples)


def mean_interval(
    values: np.ndarray, people: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The mean of values and its interval.

    Args:
        values: (N,) float, one for each trial.
        people: (N,) int, the person of each trial.
        rng: draws the resamples.
        resamples: R, at least 1,000.
    """
    values = checked("averaged", values)
    names, person = np.unique(people, return_inverse=True)
    count = draws(names.size, rng, resamples)  # (R, P)
    sums = np.bincount(person, weights=values)
    means = (count @ sums) / (count @ np.bincount(person))  # (R,)
    return interval(float(values.mean()), means, values.size, names.size)


def rate_interval(
    hits: np.ndarray, people: np.ndarray, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The share of hits and its interval.

    Without a hit, every resample gives 0, and the bootstrap has no upper bound. The upper bound is then
    upper_of_zero(people). If all trials are hits, the lower bound is found in the same way.

    Args:
        hits: (N,) bool, one for each trial.
        people, rng, resamples: as in mean_interval.
    """
    share = mean_interval(np.asarray(hits, dtype=np.float64), people, rng, resamples)
    bound = upper_of_zero(share.people)
    if share.value == 0:
        return Interval(0.0, 0.0, bound, share.n, share.people)
    if share.value == 1:
        return Interval(1.0, 1 - bound, 1.0, share.n, share.people)
    return share


def curve_interval(
    statistic: Callable[[Roc], np.ndarray],
    scores: ScorePair,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """A figure of the ROC curve and its interval.

    Args:
        statistic: (..., T) curves -> (...) figures, for example verification.area or equal_error.
        scores: (N,) genuine and (M,) impostor scores.
        rng, resamples: as in mean_interval.
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
    """The paired difference of a figure of the ROC curve between two scorings of the same trials (first - second).

    Both use the same resamples, which makes this the interval of the difference.

    Args:
        statistic: (..., T) curves -> (...) figures.
        scores: (2, N) genuine and (2, M) impostor scores.
        rng, resamples: as in mean_interval.
    """
    resampled = Resamples.of(scores, rng, resamples)
    both = list(zip(scores.genuine, scores.impostor, strict=True))
    first, second = (float(statistic(roc(*each))) for each in both)
    figures = [resampled.figures(statistic, *each) for each in both]
    return interval(first - second, figures[0] - figures[1], resampled.trials, resampled.people)


@dataclass(frozen=True)
class Resamples:
    """Resamples of the people behind genuine and impostor trials."""

    count: np.ndarray  # (R, P) how often each person is drawn
    of_genuine: np.ndarray  # (N,) the column of `count` for each genuine trial
    of_impostor: np.ndarray  # (M,) the column for each impostor trial

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
        """The figures of each resample, (R, ...), computed in chunks that bound the memory.

        Args:
            statistic: (..., T) curves -> (...) figures.
            genuine: (N,) scores.
            impostor: (M,) scores.
        """
        at_once = max(1, CHUNK // self.trials)
        parts = [
            statistic(roc(genuine, impostor, some[:, self.of_genuine], some[:, self.of_impostor]))
            for some in np.array_split(self.count, -(-len(self.count) // at_once))
        ]
        return np.concatenate(parts)


def interval(value: float, resampled: np.ndarray, trials: int, people: int) -> Interval:
    """The percentile interval of a figure from its resampled figures (R,).

    NaN figures are ignored; they come from resamples without any genuine or any impostor trial.
    """
    usable = resampled[np.isfinite(resampled)]
    if usable.size == 0:
        return Interval(value, float("nan"), float("nan"), trials, people)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Interval(value, float(low), float(high), trials, people)


def upper_of_zero(n: int) -> float:
    """The 95 % upper bound of a rate with no event in n independent trials: 3 / n, the rule of three."""
    return min(1.0, 3 / n) if n > 0 else 1.0


def zero_words(n: int) -> str:
    """The text of upper_of_zero(n) in tables: `<= 3/n`."""
    return f"<= 3/{n}"
