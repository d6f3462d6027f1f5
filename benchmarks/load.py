"""Many clients at once, with good and bad requests: does each get the answer that is its own? Prints JSON.

python -m benchmarks.load [--clients 20] [--minutes 5]

The app runs on this machine, and nothing leaves it. Every client has a key of its own. Before the load each asks once,
alone: a virtual face depends on photo and key only, so under load every picture must be, pixel for pixel, that first
one, which no other client has. Exit status 1: the app died, or an answer was lost, mixed up or unexpected.
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
    """An answer that is not this client's."""


class Unexpected(Exception):
    """A bad request that was taken, or refused without the sentence that belongs to it."""


@dataclass
class Tally:
    """What all clients saw."""

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
        """Counts, p50, p95 and the longest time by kind, and the errors."""
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
    """How many, and the seconds that half of them, 95 % of them and all of them took."""
    if not seconds:
        return {"n": 0}
    p50, p95, longest = np.quantile(seconds, [0.5, 0.95, 1.0])
    return {"n": len(seconds), "p50_s": round(p50, 2), "p95_s": round(p95, 2), "max_s": round(longest, 2)}


class Visitor:
    """One client with a photo, a key and what it knows to be its own."""

    def __init__(self, address: str, number: int, photo: Path, folder: Path) -> None:
        patient = {"timeout": ANSWER_S}  # uploads too
        self.client = Client(address, verbose=False, download_files=folder / str(number), httpx_kwargs=patient)
        self.photo, self.rng = photo, np.random.default_rng(number)
        self.key = self.rng.bytes(32).hex()
        self.plain, self.corrupt = folder / "plain.png", folder / "corrupt.png"
        self.virtual, self.digest = self.anonymised()
        self.verdict = self.authenticated(self.key)

    def ask(self, name: str, *values: object) -> Any:
        """One request.

        Raises:
            TimeoutError: no answer came. AppError: the app refuses, in words.
        """
        return self.client.submit(*values, api_name=f"/{name}").result(timeout=ANSWER_S)

    def anonymised(self) -> tuple[Path, str]:
        """The virtual face and the digest of its pixels."""
        picture = self.ask("anonymise", handle_file(str(self.photo)), self.key, "portrait")[0]
        with Image.open(picture) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        return Path(picture), hashlib.sha256(pixels.tobytes()).hexdigest()

    def authenticated(self, key: str) -> Any:
        """What the authentication server says of the own pictures under a key."""
        return self.ask("authenticate", handle_file(str(self.virtual)), handle_file(str(self.photo)), key)

    def good_face(self) -> None:
        """The same photo and key give the same picture."""
        if self.anonymised()[1] != self.digest:
            raise Mixed("a picture that is not this client's")

    def good_key(self) -> None:
        """The same pictures and key give the same verdict, to the last digit of the cosine."""
        if self.authenticated(self.key) != self.verdict:
            raise Mixed("a verdict that is not this client's")

    def good_metrics(self) -> None:
        """Numbers of this request: FRR is the share of the genuine scores below the threshold."""
        below = int(self.rng.integers(1, 10))
        genuine = [0.1] * below + [0.9] * (10 - below)
        answer = self.ask("metrics", genuine, [0.0, 0.2], 0.5)
        if answer["frr"] != below / 10:
            raise Mixed("rates that are not this client's")

    def bad_face(self) -> None:
        """A picture without a face."""
        self.refused("face", "anonymise", handle_file(str(self.plain)), self.key, "portrait")

    def bad_file(self) -> None:
        """A file that is no picture."""
        self.refused("damaged", "anonymise", handle_file(str(self.corrupt)), self.key, "portrait")

    def bad_key(self) -> None:
        """A key with a letter that is no hex digit."""
        self.refused("key", "anonymise", handle_file(str(self.photo)), "xyz", "portrait")

    def refused(self, word: str, name: str, *values: object) -> None:
        """Ask, and see a sentence with the word in it."""
        try:
            self.ask(name, *values)
        except AppError as error:
            if word not in str(error).lower():
                raise Unexpected(f"refused with {error}") from None
        else:
            raise Unexpected("taken")

    def kinds(self) -> list[tuple[str, Callable[[], None], float]]:
        """(name, request, share) of the mix."""
        return [
            ("anonymise", self.good_face, 0.4),
            ("authenticate", self.good_key, 0.25),
            ("metrics", self.good_metrics, 0.1),
            ("no face", self.bad_face, 0.1),
            ("corrupt file", self.bad_file, 0.1),
            ("bad key", self.bad_key, 0.05),
        ]

    def visit(self, until: float, tally: Tally) -> None:
        """One request after the other, until the time is over."""
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
    """So many clients; the bad pictures that they send lie in the folder."""
    Image.new("RGB", (320, 240), "gray").save(folder / "plain.png")
    (folder / "corrupt.png").write_bytes((folder / "plain.png").read_bytes()[:200])
    photos = sorted((ROOT / "assets/examples").glob("person-*.png"))
    return [Visitor(address, number, photos[number % len(photos)], folder) for number in range(count)]


def load(app: Served, clients: int, seconds: float, folder: Path) -> dict[str, object]:
    """Let so many clients ask for so long; answers the report."""
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
        found = load(app, asked.clients, asked.minutes * 60, Path(folder))
    print(json.dumps(found, indent=2))
    sys.exit(bool(found["errors"]) or not found["app_alive"] or found["own_pictures"] != asked.clients)


if __name__ == "__main__":
    main()
