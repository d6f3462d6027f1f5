"""A8: a server that answers. What its answers tell, and what the limit on tries must be.

Here the server holds the key (a service that authenticates its users' pictures); who asks has a virtual face and photos
of other people, and submits one photo at a time. Scores are inner products of one unknown direction with known ones: d
of them give it away. Bands and decisions tell less. Without a server the adversary can try random keys (guessing.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfaar_core.attacks.base import Aim, Attack, Condition, Figure, Progress, percent, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.metrics.anonymity import rank_hits
from kfaar_core.metrics.random_direction import tail
from kfaar_core.presets import LAB
from kfaar_core.runtime import stream
from kfaar_core.targets import Target
from kfaar_core.tries import BAND, band_of

QUERIES = (8, 16, 32, 48, 64, 96, 128, 256)  # photos that are submitted  [design]
ANSWERS = ("score", "band", "decision")
DAYS = 1000  # simulated  [design, target]
RIDGE = 0.03  # of the least squares, for the noise of bands  [design]
A_DAY = 0.01  # largest chance of a hit a day  [design, target]


def answered(kind: str, cosines: np.ndarray, threshold: float) -> np.ndarray:
    """What the server answers to cosines: the score, the middle of its band, or whether it is accepted (1 or 0)."""
    if kind == "score":
        return cosines
    if kind == "band":
        middles = threshold + BAND * np.array([-1.5, -0.5, 0.5, 1.5])
        return np.array([middles[band_of(cosine, threshold)] for cosine in cosines])
    return (cosines >= threshold).astype(float)


def direction_from(asked: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """The direction (d,) whose inner products with the asked identities (n, d) are nearest to the answers (n,)."""
    gram = asked.T @ asked / len(asked)
    found: np.ndarray = np.linalg.solve(gram + RIDGE * np.eye(len(gram)) / len(gram), asked.T @ answers / len(asked))
    return found


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Rank-1 against the number of questions, for each kind of answer; success a day with the limit on tries."""
    photos, everybody = evidence.photos.u, np.arange(evidence.people)
    strangers = evidence.others("gallery").u
    reads, figures = evidence.faces("own").read, []
    work = [(kind, n) for kind in ANSWERS for n in QUERIES if n <= len(strangers)]
    for done, (kind, n) in enumerate(work):
        progress(done, len(work))
        asked = strangers[stream(evidence.seed, f"oracle, {n}").permutation(len(strangers))[:n]]
        answers = [answered(kind, asked @ read, evidence.threshold) for read in reads]
        found = np.stack([direction_from(asked, some) for some in answers])
        hits = rank_hits(found @ photos.T, everybody, 1)
        figures.append(
            share(evidence, Condition(f"the server answers a {kind}: named", n, 1 / evidence.people), hits, everybody)
        )
    if evidence.random_directions:
        figures.append(a_day(evidence))
    return figures


def a_day(evidence: Evidence) -> Figure:
    """The share of simulated days on which one of the tries that the limit allows is a random key that is accepted."""
    accepted = float(tail(evidence.threshold, evidence.dimension))
    tries = 24 * LAB.tries_per_hour
    hits = stream(evidence.seed, "oracle, days").binomial(tries, accepted, size=DAYS) > 0
    note = f"{tries} tries a day, of which one is accepted with a probability of {accepted:.1e}"
    return share(
        evidence, Condition("random keys, within the limit on tries: success a day", note=note), hits, np.arange(DAYS)
    )


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    most = max((figure.at for figure in figures if figure.at is not None), default=0.0)
    score, band, decision = (percent(value_of(figures, f"the server answers a {kind}: named")) for kind in ANSWERS)
    day = value_of(figures, "random keys, within the limit on tries: success a day")
    return (
        f"A server that holds the key and answers exact scores gives the person away: {score} are named after "
        f"{most:.0f} questions with photos of strangers, {band} from bands and {decision} from decisions alone. "
        f"With the limit on tries, random keys succeed on {percent(day)} of the days."
    )


ATTACK = Attack(
    code="A8",
    name="oracle",
    title="A server that answers",
    holds="a virtual face, a server that holds its key and compares it with submitted photos, and photos of others",
    learns="who the person is",
    across="questions",
    needs=("own", "gallery"),
    measure=measure,
    says=says,
    aims=(Aim("random keys, within the limit on tries: success a day", None, Target(at_most=A_DAY)),),
    order=8,
)
