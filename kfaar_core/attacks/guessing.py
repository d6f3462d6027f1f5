"""A9: guessing keys. How fast passphrases can be tried, and how often a random key is accepted.

The weights are public and a verdict needs no server, so nothing but the cost of a guess limits who guesses offline. A
random key gives a random direction in d dimensions; it passes where its cosine reaches the threshold.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import permutations

import numpy as np

from kfaar_core.attacks.base import Attack, Condition, Figure, Progress, share, value_of
from kfaar_core.attacks.evidence import Evidence
from kfaar_core.key_schedule import rotation
from kfaar_core.keys import COMMON_PASSPHRASES, UserKey
from kfaar_core.metrics.random_direction import tail
from kfaar_core.runtime import stream

KEYS = 200  # random keys, each on every virtual face  [design]
DERIVED = 20  # passphrases of which the time is taken
FACTS = 8  # words about somebody that are joined in pairs  [design]
DAY = 24 * 3600


def guesses(known: str | None) -> list[str]:
    """A dictionary: what is known about somebody, alone and joined in pairs, then common passphrases; none twice."""
    facts = (known or "").split()[:FACTS]
    joined = [first + second for first, second in permutations(facts, 2)]
    spelt = [form for fact in [*facts, *joined] for form in (fact, fact.lower())]
    return list(dict.fromkeys([*spelt, *sorted(COMMON_PASSPHRASES)]))


def first_hit(cosine_of: Callable[[str], float], dictionary: Iterable[str], threshold: float) -> int | None:
    """The number of the first guess that is accepted, from 1; None if none is.

    Args:
        cosine_of: a guess -> KVFA's cosine under the key that it gives.
    """
    return next((n for n, guess in enumerate(dictionary, start=1) if cosine_of(guess) >= threshold), None)


def cosines_of_random_keys(code: np.ndarray, identity: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Cosines (N,) of I(x_v, k) and I(x), (N, d) each, under one random key of a method whose keys are rotations."""
    key = UserKey(rng.bytes(bits // 8))
    products: np.ndarray = (code @ rotation(key, code.shape[1])) * identity
    return products.sum(axis=1)


def seconds_a_guess(count: int = DERIVED) -> np.ndarray:
    """Seconds (count,) of one core that Argon2id takes for one passphrase."""
    taken = []
    for number in range(count):
        started = time.process_time()
        UserKey.from_passphrase(f"guess number {number}")
        taken.append(time.process_time() - started)
    return np.array(taken)


def tries_for(chance: float, accepted: float) -> float:
    """How many random keys reach a chance of one hit, where one is accepted with probability `accepted`."""
    return math.inf if accepted <= 0 else math.log1p(-chance) / math.log1p(-accepted)


def measure(evidence: Evidence, progress: Progress) -> Sequence[Figure]:
    """Guesses a second; acceptance of random keys, measured and by the law; tries and days to a hit."""
    progress(0, KEYS)
    seconds = seconds_a_guess()
    rate = 1 / seconds
    low, high = (float(edge) for edge in np.quantile(rate, [0.025, 0.975]))
    note = "of the processor time of this run; the interval is over guesses"
    series = "passphrases a second on one core (Argon2id)"
    figures = [
        Figure(series, None, float(rate.mean()), low, high, len(rate), 0, None, note),
        exact("passphrases in the dictionary of the app", len(guesses(None))),
    ]
    if not evidence.random_directions:
        return figures
    rng, people, tried = stream(evidence.seed, "random keys"), np.arange(evidence.people), []
    for done in range(KEYS):
        progress(done, KEYS)
        tried.append(cosines_of_random_keys(evidence.faces("own").code, evidence.photos.u, 256, rng))
    cosines = np.stack(tried)  # (K, P)
    law = float(tail(evidence.threshold, evidence.dimension))
    accepted = (cosines >= evidence.threshold).ravel()
    figures += [
        share(evidence, Condition("random key: cosine", chance=0.0), cosines.mean(axis=0), people),
        share(evidence, Condition("random key: accepted", chance=law), accepted, np.tile(people, KEYS)),
        exact("random key: accepted, by the law of a random direction", law, f"d = {evidence.dimension}"),
        exact("random keys until one is accepted with a chance of 1 %", tries_for(0.01, law)),
        exact("random keys until one is accepted with a chance of 50 %", tries_for(0.5, law)),
    ]
    return figures


def exact(series: str, value: float, note: str = "") -> Figure:
    """A figure that is counted or computed, not estimated."""
    return Figure(series, None, float(value), float(value), float(value), 1, 0, None, note)


def says(figures: Sequence[Figure]) -> str:
    """What it means."""
    rate = value_of(figures, "passphrases a second on one core (Argon2id)") or 0.0
    law = value_of(figures, "random key: accepted, by the law of a random direction")
    words = (
        f"Whoever guesses passphrases tries {rate:.0f} a second on one core, {rate * DAY:,.0f} a day: a common one "
        "falls within seconds, four words that do not belong together do not."
    )
    if law:
        words += f" One random key in {1 / law:,.0f} is accepted by chance, however long keys are."
    return words


ATTACK = Attack(
    code="A9",
    name="guessing",
    title="Guessing keys and passphrases",
    holds="a virtual face and a photo of the person whom he suspects, no key; he may know words about the owner",
    learns="whether his suspicion is right, or the key",
    needs=("own",),
    measure=measure,
    says=says,
    order=9,
)
