"""How long a face takes: the share that is done, what is left, and an estimate before it begins."""

from __future__ import annotations

import math
import threading
import time

# Where each stage begins, as a share of the time of a face that is refined on a CPU.
STARTS = {
    "locate": 0.0,
    "encode": 0.03,
    "project": 0.05,
    "generate": 0.06,
    "correct": 0.1,
    "refine": 0.16,
    "place": 0.95,
    "judge": 0.96,
}
FIRST_GUESS = 10.0  # s of a refined face, before this machine has made one  [design; see assets/benchmarks]
UNREFINED = 0.2  # of the seconds of a refined face
ENROLLING = 3.0  # times a refined face, when it is refined in many postures (servers.AnonymisationServer.enrol)
TOLD_EVERY = 0.2  # s, at least, between two steps that a page is told  [design]
NEW = 0.5  # weight of the newest face in the estimate


def share(stage: str, done: int, of: int) -> float:
    """How much of a face is drawn, in [0, 1]: a stage that counts steps of its own moves the bar between two starts."""
    if stage not in STARTS:
        return done / of if of else 0.0
    start = STARTS[stage]
    if stage != "refine":
        return start
    return start + (STARTS["place"] - start) * min(1.0, done / of if of else 0.0)


class Pace:
    """Seconds that a face takes on this machine. It knows times alone, nothing of who waited for what."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, bool], float] = {}
        self._lock = threading.Lock()

    def expected(self, method: str, refine: bool) -> float:
        """Seconds that a face will take."""
        with self._lock:
            return self._seconds.get((method, refine), FIRST_GUESS * (1.0 if refine else UNREFINED))

    def took(self, method: str, refine: bool, seconds: float) -> None:
        """A face took so long."""
        with self._lock:
            before = self._seconds.get((method, refine), seconds)
            self._seconds[method, refine] = before + NEW * (seconds - before)


def left(expected: float, elapsed: float, share_done: float) -> float:
    """Seconds that are left: by the estimate at first, by the work that was seen the further it is."""
    seen = elapsed / share_done * (1 - share_done) if share_done > 0 else expected
    return max(0.0, (1 - share_done) * (expected * (1 - share_done) + (elapsed + seen) * share_done))


class Seldom:
    """Says when it is time to tell a page the next step: each one costs, and a page that lags shows old ones."""

    def __init__(self, seconds: float = TOLD_EVERY) -> None:
        self._seconds, self._last = seconds, -math.inf
        self._what: object = None

    def __call__(self, what: object) -> bool:
        """
        Args:
            what: is worked on; when it changes, it is told at once.
        """
        now = time.monotonic()
        due = what != self._what or now - self._last >= self._seconds
        if due:
            self._last, self._what = now, what
        return due


PACE = Pace()
