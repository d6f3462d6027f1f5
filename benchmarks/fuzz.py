"""Fuzz test: damaged pictures, keys, key files, score lists, results and data sets. Prints JSON.

python -m benchmarks.fuzz [--pictures 20000] [--files 20000] [--seed 0] [--case pictures:17]

Every case is a valid file of benchmarks.fuzz_corpus with some damage. It is read by the function that the commands and
the app read it with, in a child process that may take 2 GB of memory on top of what it has when it starts, and 10 s a
case. A case may be read or refused with one of our errors; anything else is a fault, and the exit code is 1. `--case`
repeats one case in this process and shows its traceback. A case depends on seed and number only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fuzz_corpus
from benchmarks.fuzz_corpus import KEY, Seed
from benchmarks.serving import ROOT
from kfaar_core import keys
from kfaar_core.errors import KfaarError

CASE_S = 10.0  # s
MEMORY = 2 << 30  # bytes
START_S = 120.0  # s, until the child is ready
CORPORA: Mapping[str, Callable[[np.random.Generator], list[Seed]]] = {
    "pictures": fuzz_corpus.pictures,
    "files": fuzz_corpus.files,
}
SECRET = re.compile(r"[0-9a-fA-F]{12}")  # a part of a key; no sentence has one
SHOWN = 20  # faults that the report lists


class Quoted(Exception):
    """The sentence of an error has a part of a key."""


class NoPhoto(Exception):
    """What was read is no photo."""


# ---- one case, in the child


@cache
def corpus(name: str, seed: int) -> list[Seed]:
    """The valid files."""
    return CORPORA[name](np.random.default_rng(seed))


def case(name: str, seed: int, number: int) -> Seed:
    """One damaged file."""
    rng, known = np.random.default_rng([seed, number, len(name)]), corpus(name, seed)
    return fuzz_corpus.damaged(known[number % len(known)], rng)


def read_photo(data: bytes) -> None:
    """Decode, and check what comes out."""
    from kfaar_core import image

    pixels = image.open_photo(data).pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size > 3 * image.MAX_PIXELS:
        raise NoPhoto(f"{pixels.dtype} {pixels.shape}")


def read_data(path: Path) -> None:
    """Open a data set and decode its photos."""
    from kfaar_core.data.photos import open_dataset

    data = open_dataset(path)
    for index in range(min(len(data), 4)):
        try:
            read_photo(data.read(index))
        except KfaarError:  # evaluations count such a photo and go on
            continue


def read_scores(*paths: Path) -> None:
    """Read a score list and make its table, as the tab does."""
    from kfaar_core.report import score_lists, score_table

    score_table.score_table(score_lists.read_scores(paths))


def read_result(path: Path, *rest: Path) -> None:
    """Read a result, as list of scores too."""
    from kfaar_core.report.tables import table_of
    from kfaar_core.results import load_result

    table_of(load_result(path))
    read_scores(path)


def read(seed: Seed, folder: Path) -> None:
    """Read the case with what reads such files."""
    from kfaar_core.attacks import result
    from kfaar_core.commands import compare
    from kfaar_core.keyring import KeyRing
    from kfaar_core.report import tables

    paths = [folder / name for name in seed.files]
    for path, data in zip(paths, seed.files.values(), strict=True):
        path.write_bytes(data)
    readers: Mapping[str, Callable[..., Any]] = {
        "picture": lambda path: read_photo(path.read_bytes()),
        "key text": lambda path: keys.UserKey.parse(path.read_bytes().decode("utf-8", "surrogateescape")),
        "key file": lambda path: KeyRing.load(path, lambda prompt: "four words and a half"),
        "keys of compare": compare.keys_in,
        "scores": read_scores,
        "pair": read_scores,
        "result": read_result,
        "table": lambda path: tables.to_markdown(tables.read_table(path)),
        "attack": lambda path: result.markdown(result.load(path)),
        "data": read_data,
    }
    readers[seed.kind](*paths)


def outcome(seed: Seed, folder: Path) -> str:
    """What became of a case: read, refused and by which error, or what else was raised and where."""
    try:
        read(seed, folder)
        return "read"
    except KfaarError as error:
        if "key" in seed.kind and SECRET.search(str(error).replace(KEY[:4], "")):
            return f"fault: {Quoted.__name__} in {type(error).__name__}"
        return f"refused: {type(error).__name__}"
    except Exception as error:  # whatever it is, is what is looked for
        return f"fault: {type(error).__name__} at {place_of(error)}"


def place_of(error: Exception) -> str:
    """File and line of the deepest frame that is ours."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(f"{os.path.relpath(trace.tb_frame.f_code.co_filename, ROOT)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return next((frame for frame in reversed(frames) if frame.startswith("kfaar_core/")), frames[-1])


def child(name: str, seed: int, first: int, last: int) -> None:
    """Try the cases and write a line of each to standard output."""
    from kfaar_core import image  # noqa: F401 - before memory is counted
    from kfaar_core.report import score_table  # noqa: F401

    keys.ARGON2_MEMORY_KIB = 8 * keys.ARGON2_LANES  # what is looked for is not in Argon2id
    corpus(name, seed)
    taken, resident = (
        int(pages) * resource.getpagesize() for pages in Path("/proc/self/statm").read_text().split()[:2]
    )
    limit = taken + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            print(outcome(case(name, seed, number), Path(folder)), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    print(f"peak {peak >> 20}", flush=True)


# ---- all cases, in the parent


@dataclass
class Tally:
    """What became of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, int] = field(default_factory=dict)  # what happened -> first case
    peak_mb: int = 0
    slowest_s: float = 0.0

    def add(self, number: int, said: str) -> None:
        """Count the outcome of a case."""
        self.counts[said.partition(" at ")[0] if said.startswith("fault") else said] += 1
        if said.startswith("fault"):
            self.faults.setdefault(said, number)

    def report(self) -> dict[str, Any]:
        """Counts, faults and the rest as JSON values."""
        total = {
            word: sum(n for said, n in self.counts.items() if said.startswith(word))
            for word in ("read", "refused", "fault")
        }
        return {
            "cases": sum(total.values()),
            **total,
            "by_outcome": dict(sorted(self.counts.items())),
            "first_case_of_a_fault": dict(sorted(self.faults.items())[:SHOWN]),
            "slowest_case_s": round(self.slowest_s, 2),
            "memory_mb": self.peak_mb,
        }


def line_of(process: subprocess.Popen[bytes], seconds: float) -> str | None:
    """The next line of the child; an empty one if it has ended, None if it takes longer."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline().decode().strip() if ready else None


def fuzz(
    name: str, seed: int, cases: int, command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.fuzz")
) -> Tally:
    """Try cases in children; one that dies or hangs is counted and the next one goes on behind it."""
    tally, number = Tally(), 0
    while number < cases:
        words = [*command, "--child", name, str(seed), str(number), str(cases)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, bufsize=0) as process:
            said = line_of(process, START_S)
            if said != "ready":
                process.kill()
                raise SystemExit("the child did not start")
            while number < cases:
                began = time.monotonic()
                said = line_of(process, CASE_S)
                if not said:
                    process.kill()
                    ended = process.wait()
                    tally.add(number, f"fault: over {CASE_S:g} s" if said is None else f"fault: ended with {ended}")
                    number += 1
                    break
                tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
                tally.add(number, said)
                number += 1
            else:
                line = line_of(process, CASE_S) or "peak 0"
                tally.peak_mb = max(tally.peak_mb, int(line.split()[1]))
    return tally


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "pillow": version("pillow")}


def main() -> None:
    """Fuzz and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", metavar="CORPUS:NUMBER")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        name, *numbers = asked.child
        return child(name, *map(int, numbers))
    if asked.case:
        name, _, number = asked.case.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            return read(case(name, asked.seed, int(number)), Path(folder))
    began, report = time.monotonic(), {}
    for name in CORPORA:
        report[name] = fuzz(name, asked.seed, getattr(asked, name)).report()
    print(json.dumps({"seed": asked.seed, **report, "seconds": round(time.monotonic() - began), **machine()}, indent=2))
    sys.exit(any(each["fault"] for each in report.values()))


if __name__ == "__main__":
    main()
