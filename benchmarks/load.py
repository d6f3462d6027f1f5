"""Load test: many clients at once, with valid and invalid requests. Does each get its own answer? Prints JSON.

python -m benchmarks.load [--clients 20] [--minutes 5]

The app runs on this machine. Every client has its own key and first makes one request without load. A virtual face
depends on photo and key only, so under load every picture must equal that first one, pixel for pixel. The exit code
is 1 if the app died, or if an answer was lost, mixed up or unexpected.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from benchmarks.serving import APP, ROOT, Served, serving

ANSWER_S = 300.0  # s after which an answer counts as lost


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


class Visitor:
    """One client with a photo, a key, and its expected answers."""

    def __init__(self, address: str, number: int, photo: Path, folder: Path) -> None:
        patient = {"timeout": ANSWER_S}  # uploads too
        self.client = Client(address, verbose=False, download_files=folder / str(number), httpx_kwargs=patient)
        self.photo, self.rng = photo, np.random.default_rng(number)
        self.key = self.rng.bytes(32).hex()
        self.plain, self.corrupt = folder / "plain.png", folder / "corrupt.png"
        self.virtual, self.digest = self.anonymised()
        self.verdict = self.authenticated(self.key)

    def ask(self, name: str, *values: object) -> Any:
        """Send one request and wait for the answer.

        Raises:
            TimeoutError: no answer.
            AppError: the app refuses the request.
        """
        return self.client.submit(*values, api_name=f"/{name}").result(timeout=ANSWER_S)

    def anonymised(self) -> tuple[Path, str]:
        """Request a virtual face: its file, and the hash of its pixels."""
        picture = self.ask("anonymise", handle_file(str(self.photo)), self.key, "portrait")[0]
        with Image.open(picture) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        return Path(picture), hashlib.sha256(pixels.tobytes()).hexdigest()

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

    def bad_face(self) -> None:
        """Invalid request: a picture without a face."""
        self.refused("face", "anonymise", handle_file(str(self.plain)), self.key, "portrait")

    def bad_file(self) -> None:
        """Invalid request: a file that is not a picture."""
        self.refused("damaged", "anonymise", handle_file(str(self.corrupt)), self.key, "portrait")

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
            ("anonymise", self.good_face, 0.4),
            ("authenticate", self.good_key, 0.25),
            ("metrics", self.good_metrics, 0.1),
            ("no face", self.bad_face, 0.1),
            ("corrupt file", self.bad_file, 0.1),
            ("bad key", self.bad_key, 0.05),
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


def visitors(address: str, count: int, folder: Path) -> list[Visitor]:
    """Make `count` clients; `folder` gets the invalid pictures that they send."""
    Image.new("RGB", (320, 240), "gray").save(folder / "plain.png")
    (folder / "corrupt.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    photos = sorted((ROOT / "assets/examples").glob("person-*.png"))
    return [Visitor(address, number, photos[number % len(photos)], folder) for number in range(count)]


def load(app: Served, clients: int, seconds: float, folder: Path) -> dict[str, object]:
    """Run the load test with this number of clients and seconds; returns the report."""
    asking = visitors(app.address, clients, folder)
    own = len({visitor.digest for visitor in asking})
    tally, before, until = Tally(), app.memory_mb(), time.monotonic() + seconds
    threads = [threading.Thread(target=visitor.visit, args=(until, tally)) for visitor in asking]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alive = app.process.poll() is None
    return {
        "clients": clients,
        "seconds": round(seconds),
        "own_pictures": own,
        **tally.report(),
        "app_alive": alive,
        "memory_mb": [round(before), round(app.memory_mb()) if alive else None],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(APP) as app:
        report = load(app, asked.clients, asked.minutes * 60, Path(folder))
    print(json.dumps(report, indent=2))
    sys.exit(bool(report["errors"]) or not report["app_alive"] or report["own_pictures"] != asked.clients)


if __name__ == "__main__":
    main()
