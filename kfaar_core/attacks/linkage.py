"""A6: linkage without a key. Do two virtual faces under different keys show that they come from one photo?

Two faces of one person are compared (mated) and faces of two people (non-mated), by everything that a picture shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, curve, value_of
from kfaar_core.attacks.evidence import Evidence, Faces
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.unlinkability import linkability, noise_floor
from kfaar_core.metrics.verification import area
from kfaar_core.runtime import stream
from kfaar_core.stages.linear import unit
from kfaar_core.targets import Target

MOST_NON_MATED = 100_000  # pairs of two people  [design]
RESAMPLES = 1000  # of people, for the intervals of both measures
WITHIN = 0.02  # of the noise floor  [design, target]


def features_of(faces: Faces) -> dict[str, np.ndarray]:
    """What two faces are compared by: name -> (P, n) vectors, compared by cosine."""
    named = {
        "judge": faces.judge,
        "encoder (u)": faces.identity,
        "what KVFA reads (h)": faces.code,
        "posture": faces.posture,
    }
    if not np.isnan(faces.colours).all():
        seen = np.where(np.isnan(faces.colours), np.nanmean(faces.colours, axis=0), faces.colours)  # (P, 2, 3)
        named |= {"colour of the hair": seen[:, 0], "colour of the skin": seen[:, 1]}
    return named | {"a recogniser of another family": faces.embedding}


def scores_of(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> ScorePair:
    """Cosines of centred vectors (P, n): of the same person, and of all or MOST_NON_MATED pairs of two people."""
    centre = (first.mean(axis=0) + second.mean(axis=0)) / 2
    cosines = unit(first - centre) @ unit(second - centre).T
    people = len(first)
    left, right = np.nonzero(~np.eye(people, dtype=bool))
    if left.size > MOST_NON_MATED:
        kept = rng.choice(left.size, MOST_NON_MATED, replace=False)
        left, right = left[kept], right[kept]
    return ScorePair(np.diag(cosines).copy(), np.arange(people), cosines[left, right], left, right)


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """D_sys, maximal linkability, both with their noise floor, and AUC, by every kind of feature."""
    first, second = features_of(evidence.faces("own")), features_of(evidence.faces("shared"))
    figures: list[Figure] = []
    for done, name in enumerate(first):
        progress(done, len(first))
        rng = stream(evidence.seed, f"linkage, {name}")
        scores = scores_of(first[name], second[name], rng)
        figures += measured(name, scores, rng)
        figures.append(curve(evidence, Condition(f"{name}: AUC", chance=0.5), area, scores))
    return figures


def measured(name: str, scores: ScorePair, rng: np.random.Generator) -> list[Figure]:
    """Both measures, each beside what noise reaches at the same numbers of scores and bins."""
    found = linkability(scores.genuine, scores.impostor)
    floor = noise_floor(scores.genuine, scores.impostor, rng)
    n, people = scores.genuine.size, scores.genuine.size
    drawn = []
    for _ in range(RESAMPLES // 5):
        some = rng.integers(n, size=n)
        drawn.append(linkability(scores.genuine[some], scores.impostor))
    rows = []
    for what, value, noise, high, values in (
        ("D_sys", found.system, floor.system, floor.system_high, [one.system for one in drawn]),
        ("maximal linkability", found.maximal, floor.maximal, floor.maximal_high, [one.maximal for one in drawn]),
    ):
        low, top = np.quantile(values, [0.025, 0.975])
        note = f"noise reaches {noise:.3f} on average, {high:.3f} in one case of 20; {scores.impostor.size} non-mated"
        rows.append(Figure(f"{name}: {what}", None, value, float(low), float(top), n, people, noise, note))
        above = Figure(f"{name}: {what} above noise", None, value - noise, low - noise, top - noise, n, people, 0.0)
        rows.append(above)
    return rows


def says(figures: Sequence[Figure]) -> str:
    """What it means."""

    def auc(name: str) -> str:
        value = value_of(figures, f"{name}: AUC")
        return "-" if value is None else f"{value:.2f}"

    return (
        f"Two virtual faces of one photo under different keys are told from faces of two people by the judge with AUC "
        f"{auc('judge')}, by what KVFA reads with {auc('what KVFA reads (h)')} (0.50 is chance). Head pose and "
        f"expression, which are kept on purpose, link them: AUC {auc('posture')}."
    )


ATTACK = Attack(
    code="A6",
    name="linkage",
    title="Linking two virtual faces without a key",
    holds="two virtual faces under different keys; no key",
    learns="whether both come from the same photo",
    needs=("own", "shared"),
    looks=True,
    measure=measure,
    says=says,
    aims=tuple(
        Aim(f"{name}: D_sys above noise", None, Target(at_most=WITHIN))
        for name in ("judge", "encoder (u)", "what KVFA reads (h)")
    ),
    order=6,
)
