"""95 % percentile bootstrap over identities, for the confidence interval of every figure.

Trials of one person are not independent. Therefore people are resampled, not trials: a resample draws as many people as
there are, with replacement, and counts all trials of a person as often as the person was drawn. Genuine and impostor
trials use the same resamples. Where both people of an impostor trial are known, it counts as often as one was drawn
times as often as the other was: a trial of two people varies with both.

Of many scores, only some thousand thresholds are looked at, spread over the curve (verification.thinned). The figures
at these thresholds are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from kfaar_core.errors import BadSetting
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc, checked, roc, thinned

RESAMPLES = 1000  # [design, protocol] and the fewest allowed
LEVEL = 0.95  # [design, protocol]
CHUNK = 4_000_000  # curve points held at once, about 32 MB an array
EXACT = 200_000  # trials up to which every threshold is looked at
SINGLES = 20_000  # people with one trial each, from which trials of equal effect are drawn together


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
    return bounded(mean_interval(np.asarray(hits, dtype=np.float64), people, rng, resamples))


def bounded(share: Interval) -> Interval:
    """The interval of a rate, with the rule of three where no resample can differ: at a rate of 0 or 1."""
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
    value = float(statistic(roc(scores.genuine, scores.impostor)))
    return interval(value, resampled_figures(statistic, scores, rng, resamples), *sizes(scores))


def curve_intervals(
    statistics: Mapping[str, Callable[[Roc], np.ndarray]],
    scores: ScorePair,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> dict[str, Interval]:
    """Several figures of one ROC curve and their intervals, from the same resamples: name -> interval.

    Args:
        statistics: name -> as in curve_interval.
        scores, rng, resamples: as in curve_interval.
    """

    def all_of_them(curve: Roc) -> np.ndarray:
        return np.stack([statistic(curve) for statistic in statistics.values()], axis=-1)

    values = all_of_them(roc(scores.genuine, scores.impostor))
    figures = resampled_figures(all_of_them, scores, rng, resamples)
    size = sizes(scores)
    return {name: interval(float(values[i]), figures[:, i], *size) for i, name in enumerate(statistics)}


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


def resampled_figures(
    statistic: Callable[[Roc], np.ndarray], scores: ScorePair, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """The figures of each resample: (R, ...).

    Args:
        statistic: (..., T) curves -> (..., any) figures.
        scores: (N,) genuine and (M,) impostor scores.
        rng, resamples: as in mean_interval.
    """
    trials, people = sizes(scores)
    if trials == people > SINGLES:
        return single_trial_figures(statistic, scores, rng, resamples)
    return Resamples.of(scores, rng, resamples).figures(statistic, scores.genuine, scores.impostor)


def sizes(scores: ScorePair) -> tuple[int, int]:
    """The number of trials, and of the people behind them."""
    sides = [scores.genuine_people, scores.impostor_people]
    sides += [] if scores.impostor_others is None else [scores.impostor_others]
    return len(sides[0]) + len(sides[1]), np.unique(np.concatenate(sides)).size


@dataclass(frozen=True)
class Resamples:
    """Resamples of the people behind genuine and impostor trials."""

    count: np.ndarray  # (R, P) how often each person is drawn
    of_genuine: np.ndarray  # (N,) the column of `count` for each genuine trial
    of_impostor: np.ndarray  # (M,) the column for each impostor trial
    of_others: np.ndarray | None = None  # (M,) the column of the other person of each impostor trial, if known

    @classmethod
    def of(cls, scores: ScorePair, rng: np.random.Generator, resamples: int) -> Resamples:
        """Draw people with replacement, `resamples` times."""
        sides = [scores.genuine_people, scores.impostor_people]
        if scores.impostor_others is not None:
            sides.append(scores.impostor_others)
        names, person = np.unique(np.concatenate(sides), return_inverse=True)
        columns = np.split(person, np.cumsum([len(side) for side in sides])[:-1])
        return cls(draws(names.size, rng, resamples), *columns)

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
        curves = self._curves if self.trials <= EXACT else self._thinned_curves
        return np.concatenate([statistic(curve) for curve in curves(genuine, impostor)])

    def _curves(self, genuine: np.ndarray, impostor: np.ndarray) -> Iterator[Roc]:
        for some in self._chunks(self.trials):
            yield roc(genuine, impostor, some[:, self.of_genuine], self._impostor_weights(some))

    def _thinned_curves(self, genuine: np.ndarray, impostor: np.ndarray) -> Iterator[Roc]:
        thresholds = thinned(roc(genuine, impostor)).thresholds
        levels = thresholds.size
        by_genuine = level_table(self.of_genuine, first_passed(genuine, thresholds), self.people, levels)
        passed = first_passed(impostor, thresholds)
        if self.of_others is None:
            by_impostor = level_table(self.of_impostor, passed, self.people, levels)
            for some in self._chunks(levels):
                yield Roc(thresholds, share_passed(some @ by_impostor), share_passed(some @ by_genuine))
            return
        order = np.argsort(passed, kind="stable")
        reached, starts = np.unique(passed[order], return_index=True)
        first, other = self.of_impostor[order], self.of_others[order]
        for some in self._chunks(self.trials):
            hits = np.zeros((len(some), levels))
            for line, count in zip(hits, some.astype(np.int32), strict=True):
                line[reached] = np.add.reduceat(count[first] * count[other], starts)
            yield Roc(thresholds, share_passed(hits), share_passed(some @ by_genuine))

    def _chunks(self, width: int) -> list[np.ndarray]:
        """The resamples in parts, each with about CHUNK numbers in arrays of this width."""
        parts = -(-len(self.count) // max(1, CHUNK // width))
        return np.array_split(self.count, parts)

    def _impostor_weights(self, some: np.ndarray) -> np.ndarray:
        """How often each impostor trial counts in each resample, (r, M)."""
        first = some[:, self.of_impostor]
        return first if self.of_others is None else first * some[:, self.of_others]


def single_trial_figures(
    statistic: Callable[[Roc], np.ndarray], scores: ScorePair, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """The figures of each resample, (R, ...), where every trial has a person of its own.

    Trials between two thresholds have the same effect, so the number drawn of each such group is drawn at once.
    """
    thresholds = thinned(roc(scores.genuine, scores.impostor)).thresholds
    sides = [
        np.bincount(first_passed(side, thresholds), minlength=thresholds.size)
        for side in (scores.genuine, scores.impostor)
    ]
    size = np.concatenate(sides)
    figures = []
    for part in np.array_split(np.arange(resamples), -(-resamples * size.size // CHUNK)):
        genuine, impostor = np.split(rng.multinomial(size.sum(), size / size.sum(), size=part.size), 2, axis=1)
        figures.append(statistic(Roc(thresholds, share_passed(impostor), share_passed(genuine))))
    return np.concatenate(figures)


def first_passed(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The index of the highest of the decreasing thresholds (T,) that each score (N,) reaches: (N,) int."""
    return thresholds.size - np.searchsorted(thresholds[::-1], scores, side="right")


def level_table(people: np.ndarray, level: np.ndarray, persons: int, levels: int) -> sparse.csr_array:
    """How many trials of each person are first passed at each threshold: (persons, levels)."""
    ones = np.ones(people.size)
    return sparse.coo_array((ones, (people, level)), shape=(persons, levels)).tocsr()


def share_passed(hits: np.ndarray) -> np.ndarray:
    """From the weight that is first passed at each threshold (..., T) to the share passed there, (..., T)."""
    total = np.cumsum(hits, axis=-1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return total / total[..., -1:]


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
