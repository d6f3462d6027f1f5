"""Ablations (Tables IX and X): the variants of the total loss, their training runs, and the rows that compare them.

A loss is left out by setting its weight to 0. Batches, steps and code are the same for every variant.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Protocol

import numpy as np

from kfaar_core.files import cache_folder
from kfaar_core.losses import FALSE_REJECTION_TERMS, KVFA_TERMS, MISIDENTIFICATION_TERMS, PROJECTOR_TERMS
from kfaar_core.metrics.bootstrap import Interval, curve_difference, curve_interval, mean_interval, rate_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc, roc
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import OURS, paper_figure
from kfaar_core.report.tables import row
from kfaar_core.runtime import stream
from kfaar_core.train.loop import Checkpoints
from kfaar_core.train.settings import Training, with_settings

log = logging.getLogger(__name__)

ALL = "all losses"  # the variant with the full loss


@dataclass(frozen=True)
class Variant:
    """The total loss without some of its terms, or with another weight of them."""

    name: str  # as in the paper's tables, for example "w/o syn"
    left_out: tuple[str, ...] = ()  # names of loss terms
    weight: float = 0  # of these terms; 0 leaves them out

    def of(self, training: Training) -> Training:
        """A copy of the configuration with this weight of these terms."""
        return with_settings(training, [f"lambda_{term}={self.weight:g}" for term in self.left_out])


def _each(terms: Sequence[str]) -> tuple[Variant, ...]:
    return tuple(Variant(f"w/o {term}", (term,)) for term in terms)


PROJECTOR = (Variant(ALL), *_each(PROJECTOR_TERMS))  # Table IX
KVFA = (  # Table X; single terms are not in the paper
    Variant(ALL),
    Variant("w/o tot1", MISIDENTIFICATION_TERMS),
    Variant("w/o tot2", FALSE_REJECTION_TERMS),
    *_each(KVFA_TERMS),
)


def sweep(terms: Sequence[str], weights: Sequence[float]) -> tuple[Variant, ...]:
    """Fig. 9b and Fig. 10: each weight in turn at each of these values, the others as they are."""
    return (Variant(ALL), *(Variant(f"{term} {weight:g}", (term,), weight) for term in terms for weight in weights))


@dataclass(frozen=True)
class Repeats:
    """Which variants are trained, and how each."""

    training: Training  # its seed is the first one
    seeds: int  # number of seeds
    resume: bool = False  # continue from checkpoints
    variants: tuple[Variant, ...] = ()  # with ALL the first; empty: those of the table


def runs(variants: Sequence[Variant], repeats: Repeats, kind: str) -> Iterator[tuple[Variant, Training, Checkpoints]]:
    """All training runs of an ablation.

    All variants run with the first seed before the next seed, so an interrupted ablation can already be compared.

    Args:
        variants: of the loss.
        repeats: how each is trained.
        kind: part of the folder's name.

    Yields:
        The variant, its configuration, and its checkpoints in the cache.
    """
    training, of, started = repeats.training, repeats.seeds * len(variants), monotonic()
    for done in range(of):
        seed, variant = training.seed + done // len(variants), variants[done % len(variants)]
        left = f", {timedelta(seconds=round((monotonic() - started) / done * (of - done)))} left" if done else ""
        log.info("%s, seed %d: training %d of %d%s", variant.name, seed, done + 1, of, left)
        name = f"{variant.name.replace('/', '').replace(' ', '-')}-seed-{seed}"
        checkpoints = Checkpoints(cache_folder(f"ablation/{kind}/{name}"), repeats.resume)
        yield variant, replace(variant.of(training), seed=seed), checkpoints


# ---- figures


class Figure(Protocol):
    """One figure of one variant over the trials of all seeds. A trial without a detected face is NaN."""

    @property
    def seeds(self) -> list[float]:
        """The figure for each seed."""

    def interval(self, rng: np.random.Generator) -> Interval:
        """The figure over all seeds, with a bootstrap interval over people."""

    def difference(self, full: Figure, rng: np.random.Generator) -> Interval:
        """This figure minus that of the full loss, with the bootstrap interval of the paired difference."""


@dataclass(frozen=True)
class Mean:
    """Figure: the mean of the trials."""

    values: np.ndarray  # (S, N) of S seeds
    people: np.ndarray  # (N,) int: the person of each trial

    @property
    def seeds(self) -> list[float]:
        return [float(np.nanmean(values)) for values in self.values]

    def interval(self, rng: np.random.Generator) -> Interval:
        return mean_interval(*pooled(self.people, self.values), rng)

    def difference(self, full: Figure, rng: np.random.Generator) -> Interval:
        assert isinstance(full, Mean)  # rows() compares a figure with its own name only
        return mean_interval(*pooled(self.people, self.values - full.values), rng)


@dataclass(frozen=True)
class Share(Mean):
    """Figure: the share of trials that are 1; values are 1, 0 or NaN."""

    def interval(self, rng: np.random.Generator) -> Interval:
        return rate_interval(*pooled(self.people, self.values), rng)


@dataclass(frozen=True)
class Curve:
    """Figure: a statistic of the ROC curve, for example its area."""

    statistic: Callable[[Roc], np.ndarray]
    genuine: np.ndarray  # (S, N) cosines of S seeds
    people: np.ndarray  # (N,) int: the person of each genuine trial
    impostor: np.ndarray  # (S, M) cosines
    impostor_people: np.ndarray  # (M,) int: the person of each impostor trial, in the same numbering

    @property
    def seeds(self) -> list[float]:
        sides = zip(self.genuine, self.impostor, strict=True)
        return [float(self.statistic(roc(g[~np.isnan(g)], i[~np.isnan(i)]))) for g, i in sides]

    def interval(self, rng: np.random.Generator) -> Interval:
        scores = ScorePair(*pooled(self.people, self.genuine), *pooled(self.impostor_people, self.impostor))
        return curve_interval(self.statistic, scores, rng)

    def difference(self, full: Figure, rng: np.random.Generator) -> Interval:
        assert isinstance(full, Curve)
        genuine = pooled(self.people, self.genuine, full.genuine)
        impostor = pooled(self.impostor_people, self.impostor, full.impostor)
        return curve_difference(self.statistic, ScorePair(*genuine, *impostor), rng)


def pooled(people: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flatten A arrays (S, N) of the same trials, and drop trials that are NaN in any of them.

    Args:
        people: (N,) int, the person of each trial.

    Returns:
        The values, (n,) for one array or (A, n) for several, and the person of each trial, (n,).
    """
    flat = np.stack([array.ravel() for array in values])  # (A, S * N)
    kept = ~np.isnan(flat).any(axis=0)
    owners = np.tile(people, len(values[0]))[kept]
    return (flat[0, kept] if len(values) == 1 else flat[:, kept]), owners


def rows(table: str, by_variant: Mapping[str, Mapping[str, Figure]], dataset: str, seed: int) -> tuple[Row, ...]:
    """One row for each metric and variant, grouped by metric, with the paper's value beside ours.

    Args:
        table: number of the paper's table, in which its values are looked up.
        by_variant: variant -> name of the metric -> its values over seeds and people. One variant is ALL, the
            whole method, from which the differences of the others are taken.
        dataset: whose column of the paper's table is looked up.
        seed: of the bootstrap.
    """
    made = []
    for name in by_variant[ALL]:
        for variant, figures in by_variant.items():
            entry, words = figures[name], f"{name}, {variant}"
            rng = stream(seed, f"table {table}, {words}")
            note = "seeds " + ", ".join(f"{value:.3f}" for value in entry.seeds)
            if variant != ALL:
                change = entry.difference(by_variant[ALL][name], rng)
                note += f"; {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}) against {ALL}"
            paper = paper_figure(table, name.lower(), dataset, OURS if variant == ALL else variant)
            made.append(row(words, entry.interval(rng), paper, note))
    return tuple(made)
