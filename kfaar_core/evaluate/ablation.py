"""Ablations (Tables IX and X): the variants of the total loss, their trainings, and the rows that compare them.

A loss is left out by the weight 0 and by nothing else: every variant has the same batches, steps and code as the full
loss.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Protocol

import numpy as np

from kfaar_core.files import cache_folder
from kfaar_core.losses import FALSE_REJECTION_TERMS, MISIDENTIFICATION_TERMS, PROJECTOR_TERMS, RECOGNISER_TERMS
from kfaar_core.metrics.bootstrap import Interval, curve_difference, curve_interval, mean_interval, rate_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import Roc, roc
from kfaar_core.records import Row
from kfaar_core.report.paper_figures import OURS, paper_figure
from kfaar_core.report.tables import row
from kfaar_core.runtime import stream
from kfaar_core.train.settings import Training, with_settings

log = logging.getLogger(__name__)

ALL = "all losses"  # the variant with the full loss


@dataclass(frozen=True)
class Variant:
    """The total loss without some of its terms."""

    name: str  # as the paper's tables have it, for example "w/o syn"
    left_out: tuple[str, ...] = ()  # terms

    def of(self, training: Training) -> Training:
        """The same configuration with the weights of these terms at 0."""
        return with_settings(training, [f"lambda_{term}=0" for term in self.left_out])


def _each(terms: Sequence[str]) -> tuple[Variant, ...]:
    return tuple(Variant(f"w/o {term}", (term,)) for term in terms)


PROJECTOR = (Variant(ALL), *_each(PROJECTOR_TERMS))  # Table IX
RECOGNISER = (  # Table X, and beyond the paper each term alone
    Variant(ALL),
    Variant("w/o tot1", MISIDENTIFICATION_TERMS),
    Variant("w/o tot2", FALSE_REJECTION_TERMS),
    *_each(RECOGNISER_TERMS),
)


def runs(
    variants: Sequence[Variant], training: Training, seeds: int, kind: str
) -> Iterator[tuple[Variant, Training, Path]]:
    """Every training of an ablation: the variant, its configuration, and its folder of the cache.

    The first seed of all variants comes first, so that a run that is stopped has compared them already.

    Args:
        training: its seed is the first one.
        kind: names the folders.
    """
    started, of = monotonic(), seeds * len(variants)
    for done in range(of):
        seed, variant = training.seed + done // len(variants), variants[done % len(variants)]
        left = f", {timedelta(seconds=round((monotonic() - started) / done * (of - done)))} left" if done else ""
        log.info("%s, seed %d: training %d of %d%s", variant.name, seed, done + 1, of, left)
        name = f"{variant.name.replace('/', '').replace(' ', '-')}-seed-{seed}"
        yield variant, replace(variant.of(training), seed=seed), cache_folder(f"ablation/{kind}/{name}")


# ---- figures


class Figure(Protocol):
    """One figure of one variant, over the trials of every seed. A trial is NaN where the detector found no face."""

    @property
    def seeds(self) -> list[float]:
        """The figure of each seed alone."""

    def interval(self, rng: np.random.Generator) -> Interval:
        """The figure over the trials of all seeds. The bootstrap resamples people, with their trials of every seed."""

    def difference(self, full: Figure, rng: np.random.Generator) -> Interval:
        """This figure minus that of the full loss on the same trials, with the interval of the difference."""


@dataclass(frozen=True)
class Mean:
    """A mean of trials."""

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
    """A share of trials; values are 1, 0 or NaN."""

    def interval(self, rng: np.random.Generator) -> Interval:
        return rate_interval(*pooled(self.people, self.values), rng)


@dataclass(frozen=True)
class Curve:
    """A figure of a ROC curve over the scores of all seeds."""

    statistic: Callable[[Roc], np.ndarray]
    genuine: np.ndarray  # (S, N) cosines
    people: np.ndarray  # (N,) int
    impostor: np.ndarray  # (S, M)
    impostor_people: np.ndarray  # (M,) int, the same numbering

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
    """Flattens arrays (S, N) of the same trials and drops trials that are NaN in any: (n,), or (A, n) for several.

    Returns:
        The values, and the person of each (n,).
    """
    flat = np.stack([array.ravel() for array in values])  # (A, S * N)
    kept = ~np.isnan(flat).any(axis=0)
    owners = np.tile(people, len(values[0]))[kept]
    return (flat[0, kept] if len(values) == 1 else flat[:, kept]), owners


def rows(table: str, found: Mapping[str, Mapping[str, Figure]], dataset: str, seed: int) -> tuple[Row, ...]:
    """One row for each figure and variant, grouped by figure.

    Args:
        table: the paper's number, whose figures stand beside ours.
        found: variant -> name of the figure -> figure; ALL among the variants.
        seed: of the intervals.
    """
    made = []
    for name in found[ALL]:
        for variant, figures in found.items():
            entry, words = figures[name], f"{name}, {variant}"
            rng = stream(seed, f"table {table}, {words}")
            note = "seeds " + ", ".join(f"{value:.3f}" for value in entry.seeds)
            if variant != ALL:
                change = entry.difference(found[ALL][name], rng)
                note += f"; {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}) against {ALL}"
            paper = paper_figure(table, name.lower(), dataset, OURS if variant == ALL else variant)
            made.append(row(words, entry.interval(rng), paper, note))
    return tuple(made)
