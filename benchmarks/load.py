"""Load test: many clients at once, with valid and invalid requests. Does each get its own answer? Prints JSON.

python -m benchmarks.load [--clients 50] [--minutes 30] [--pause 5] [--quick] [--stand-in]

The app runs on this machine. Every client has its own key and first makes one request without load. A virtual face
depends on photo and key only, so under load every picture must equal that first one, pixel for pixel. Clients upload
photos of up to 12,000 px, cancel, reload the page and leave while a request runs. One client alone is measured before
them. The exit code is 1 if the app died, if an answer was lost, mixed up or unexpected, if the memory grew by over
100 MB after the first fifth of the time, or if uploads outlive their time.

`--quick` leaves out refinement. `--stand-in` takes the tests' stand-in for the networks, whose uploads live for 90 s in
place of 10 minutes; only then does the test wait until they are gone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from benchmarks.serving import APP, ROOT, Served, serving

ANSWER_S = 300.0  # s after which an answer counts as lost
STAND_IN = (sys.executable, "-m", "tests.demo.stand_in")
UPLOADS_S = 90  # s, longer than a request waits; for which uploads live on the stand-in
LARGE = (12_000, 4_000)  # px, width and height of the largest photo
SAMPLE_S = 2.0  # s between two looks at the memory
GROWTH_MB = 100.0


class Mixed(Exception):
    """An answer that belongs to another client."""


class Unexpected(Exception):
    """An invalid request that was accepted, or refused with the wrong message."""


@dataclass
class Tally:
    """Times and errors of all requests."""

    seconds: dict[str, list[float]] = field(default_factory=dict)  # of answered requests, by kind
    errors: Counter[str] = field(default_factory=Counter)  # kind and what happened
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, kind: str, seconds: float) -> None:
        with self.lock:
            self.seconds.setdefault(kind, []).append(seconds)

    def failed(self, kind: str, error: BaseException) -> None:
        with self.lock:
            self.errors[f"{kind}: {type(error).__name__}: {str(error)[:120]}"] += 1

    def report(self) -> dict[str, object]:
        """Counts and times for each kind of request, and the errors."""
        every = [seconds for some in self.seconds.values() for seconds in some]
        kinds = {kind: times(some) for kind, some in sorted(self.seconds.items())}
        named = {kind: sum(n for text, n in self.errors.items() if kind in text) for kind in ("Mixed", "Timeout")}
        return {
            "answered": times(every),
            "by_kind": kinds,
            "mixed_up": named["Mixed"],
            "lost": named["Timeout"],
            "errors": dict(self.errors),
        }


def times(seconds: Sequence[float]) -> dict[str, float]:
    """Number, median, 95th percentile and maximum of times in seconds."""
    if not seconds:
        return {"n": 0}
    p50, p95, longest = np.quantile(seconds, [0.5, 0.95, 1.0])
    return {"n": len(seconds), "p50_s": round(p50, 2), "p95_s": round(p95, 2), "max_s": round(longest, 2)}


@dataclass(frozen=True)
class Manner:
    """How clients ask."""

    folder: Path  # with the pictures that they send; gets those that they are sent
    refine: bool = True
    pause_s: float = 0.0  # s, mean time between an answer and the next request


class Visitor:
    """One client with a photo, a key, and its expected answers."""

    def __init__(self, address: str, number: int, photo: Path, manner: Manner) -> None:
        self.address, self.number, self.photo, self.manner = address, number, photo, manner
        self.rng = np.random.default_rng(number)
        self.key = self.rng.bytes(32).hex()
        self.client = self.arrived()
        self.virtual, self.digest = self.anonymised()
        self.verdict = self.authenticated(self.key)

    def arrived(self) -> Client:
        """Open the page: a new session."""
        patient, into = {"timeout": ANSWER_S}, self.manner.folder / str(self.number)  # uploads too
        return Client(self.address, verbose=False, download_files=into, httpx_kwargs=patient)

    def ask(self, name: str, *values: object) -> Any:
        """Send one request and wait for the answer.

        Raises:
            TimeoutError: no answer.
            AppError: the app refuses the request.
        """
        return self.client.submit(*values, api_name=f"/{name}").result(timeout=ANSWER_S)

    def anonymised(self) -> tuple[Path, str]:
        """Request a virtual face: its file, and the hash of its pixels."""
        picture = self.asked_for_a_face().result(timeout=ANSWER_S)[0]
        with Image.open(picture) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        return Path(picture), hashlib.sha256(pixels.tobytes()).hexdigest()

    def asked_for_a_face(self) -> Any:
        """Request a virtual face and do not wait."""
        asked = {"key": self.key, "mode": "portrait", "refine": self.manner.refine}
        return self.client.submit(photo=handle_file(str(self.photo)), **asked, api_name="/anonymise")

    def authenticated(self, key: str) -> Any:
        """Request the verdict on this client's pictures with a key."""
        return self.ask("authenticate", handle_file(str(self.virtual)), handle_file(str(self.photo)), key)

    def good_face(self) -> None:
        """Valid request: the same photo and key must give the same picture."""
        if self.anonymised()[1] != self.digest:
            raise Mixed("a picture that is not this client's")

    def good_key(self) -> None:
        """Valid request: the same pictures and key must give exactly the same verdict."""
        if self.authenticated(self.key) != self.verdict:
            raise Mixed("a verdict that is not this client's")

    def good_metrics(self) -> None:
        """Valid request: FRR must be the share of this request's genuine scores below the threshold."""
        below = int(self.rng.integers(1, 10))
        genuine = [0.1] * below + [0.9] * (10 - below)
        answer = self.ask("metrics", genuine, [0.0, 0.2], 0.5)
        if answer["frr"] != below / 10:
            raise Mixed("rates that are not this client's")

    def large_photo(self) -> None:
        """Valid request: the faces of a photo of 12,000 px; it has none."""
        found = self.ask("detect", handle_file(str(self.manner.folder / "large.jpg")))
        if (found["width"], found["height"]) != LARGE:
            raise Mixed("a size that is not this photo's")

    def cancel(self) -> None:
        """Take a request back, and ask for something else."""
        job = self.asked_for_a_face()
        time.sleep(float(self.rng.uniform(0, 0.5)))
        job.cancel()
        self.good_metrics()

    def reload(self) -> None:
        """Open the page anew: the answers stay the same."""
        self.client.close()
        self.client = self.arrived()
        self.good_key()

    def leave(self) -> None:
        """Go while a request runs, and come back."""
        self.asked_for_a_face()
        self.reload()

    def bad_face(self) -> None:
        """Invalid request: a picture without a face."""
        self.refused("face", "anonymise", handle_file(str(self.manner.folder / "plain.png")), self.key, "portrait")

    def bad_file(self) -> None:
        """Invalid request: a file that is not a picture."""
        self.refused("damaged", "anonymise", handle_file(str(self.manner.folder / "bad.png")), self.key, "portrait")

    def bad_key(self) -> None:
        """Invalid request: a key with a letter that is not a hex digit."""
        self.refused("key", "anonymise", handle_file(str(self.photo)), "xyz", "portrait")

    def refused(self, word: str, name: str, *values: object) -> None:
        """Send an invalid request, and check that the app's message contains `word`.

        Raises:
            Unexpected: it is accepted, or the message is another one.
        """
        try:
            self.ask(name, *values)
        except AppError as error:
            if word not in str(error).lower():
                raise Unexpected(f"refused with {error}") from None
        else:
            raise Unexpected("taken")

    def kinds(self) -> list[tuple[str, Callable[[], None], float]]:
        """The mix of requests: (name, request, share)."""
        return [
            ("anonymise", self.good_face, 0.35),
            ("authenticate", self.good_key, 0.2),
            ("metrics", self.good_metrics, 0.1),
            ("large photo", self.large_photo, 0.02),
            ("cancel", self.cancel, 0.07),
            ("reload", self.reload, 0.05),
            ("leave", self.leave, 0.05),
            ("no face", self.bad_face, 0.06),
            ("corrupt file", self.bad_file, 0.06),
            ("bad key", self.bad_key, 0.04),
        ]

    def visit(self, until: float, tally: Tally) -> None:
        """Send random requests of the mix, one after the other, until this time."""
        kinds = self.kinds()
        while time.monotonic() < until:
            kind, request, _ = kinds[self.rng.choice(len(kinds), p=[share for *_, share in kinds])]
            started = time.monotonic()
            try:
                request()
                tally.answered(kind, time.monotonic() - started)
            except Exception as error:  # whatever happens to a client is what is measured here
                tally.failed(kind, error)
            time.sleep(float(self.rng.uniform(0, 2 * self.manner.pause_s)))


def visitors(address: str, count: int, manner: Manner) -> list[Visitor]:
    """Make `count` clients; their folder gets the pictures that they send."""
    folder = manner.folder
    Image.new("RGB", (320, 240), "gray").save(folder / "plain.png")
    (folder / "bad.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    Image.new("RGB", LARGE, "gray").save(folder / "large.jpg")
    photos = sorted((ROOT / "assets/examples").glob("person-*.png"))
    return [Visitor(address, number, photos[number % len(photos)], manner) for number in range(count)]


def load(app: Served, clients: int, seconds: float, manner: Manner) -> dict[str, object]:
    """Run the load test with this number of clients and seconds; returns the report."""
    asking = visitors(app.address, clients, manner)
    own = len({visitor.digest for visitor in asking})
    tally, until = Tally(), time.monotonic() + seconds
    threads = [threading.Thread(target=visitor.visit, args=(until, tally)) for visitor in asking]
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        with suppress(OSError):  # the app has died
            memory.append(app.memory_mb())
        time.sleep(SAMPLE_S)
    return {
        "clients": clients,
        "seconds": round(seconds),
        "own_pictures": own,
        **tally.report(),
        "app_alive": app.process.poll() is None,
        "memory_mb": [round(each) for each in memory[:: max(1, len(memory) // 20)]],
        "memory_growth_mb": growth(memory),
    }


def growth(memory: Sequence[float]) -> float:
    """From the second fifth of the samples to the last one: the difference of the medians. Large photos come and go."""
    if len(memory) < 5:
        return 0.0
    fifth = len(memory) // 5
    return round(float(np.median(memory[-fifth:]) - np.median(memory[fifth : 2 * fifth])), 1)


def files(folder: Path) -> set[Path]:
    """Every file below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def uploads(folder: Path, own: set[Path], wait: bool) -> dict[str, int]:
    """How many files of visitors there are, and still after their time.

    Args:
        folder: where gradio keeps uploads and answers.
        own: files of the page itself, which stay.
        wait: for that time.
    """
    found = {"files_of_visitors": len(files(folder) - own)}
    if wait:
        time.sleep(2.2 * UPLOADS_S)  # gradio looks as often as they live long
        found["files_after_their_time"] = len(files(folder) - own)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pause", type=float, default=5.0, help="mean seconds between an answer and the next request")
    parser.add_argument("--quick", action="store_true", help="without refinement")
    parser.add_argument("--stand-in", action="store_true", help="in place of the networks")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as sent, tempfile.TemporaryDirectory() as served:
        os.environ |= {"GRADIO_TEMP_DIR": served, "STAND_IN_UPLOADS": str(UPLOADS_S), "STAND_IN_SECONDS": "0.05"}
        with serving(STAND_IN if asked.stand_in else APP) as app:
            own, manner = files(Path(served)), Manner(Path(sent), not asked.quick, asked.pause)
            alone = load(app, 1, min(60.0, asked.minutes * 12), manner)
            many = load(app, asked.clients, asked.minutes * 60, manner)
            kept = uploads(Path(served), own, asked.stand_in)
    what = {"stand_in": asked.stand_in, "refined": not asked.quick, "pause_s": asked.pause, "cores": os.cpu_count()}
    print(json.dumps({**what, "uploads": kept, "alone": alone, "many": many}, indent=2))
    sys.exit(not sound(alone, kept) or not sound(many, kept))


def sound(report: Mapping[str, Any], kept: Mapping[str, int]) -> bool:
    """Whether nothing was lost, mixed up, unexpected, growing or kept."""
    grown = report["memory_growth_mb"] > GROWTH_MB
    whole = report["app_alive"] and report["own_pictures"] == report["clients"]
    return whole and not report["errors"] and not grown and not kept.get("files_after_their_time")


if __name__ == "__main__":
    main()
