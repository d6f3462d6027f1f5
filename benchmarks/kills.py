"""Kill test: kill -9 at random moments, then run again. Prints JSON. Linux only (fork).

python -m benchmarks.kills [--kills 200] [--seed 0] [--job JOB]

Every job runs once undisturbed. Then it is started again and again in a folder of its own, killed with SIGKILL at a
random moment of its running time, looked at, and run to its end. What lies there after the kill must be whole: a file
of the undisturbed run, byte for byte, or none. After the next run every file must be that of the undisturbed run, and
nothing else may be there. The exit code is 1 otherwise. A job runs in a process that is forked after the imports: they
take seconds and write nothing. Preset tiny, synthetic people.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import kfaar_core.evaluate.runner  # noqa: F401 - not in the forked processes, whose time is short
from kfaar_core.keyring import KeyRing
from kfaar_core.keys import UserKey
from kfaar_core.train.artefacts import save_state
from kfaar_core.train.loop import Checkpoints, Plan, train

KEY = "00112233445566778899aabbccddeeff"
LONGEST_S = 300.0  # s, of one run
PASSING = (".part", ".former")  # temporary names, which a killed run may leave until the next one


def command(*words: str) -> None:
    """`python -m kfaar_core` with these words, in this process and folder."""
    sys.argv = ["kfaar_core", *words, "--preset", "tiny"]
    runpy.run_module("kfaar_core", run_name="__main__")


def anonymise() -> None:
    """One photo, key given. A run that was killed behind its end is refused, and its picture stays."""
    if not Path("out.png").exists():
        command("anonymise", "photos/a/1.jpg", "-o", "out.png", "--key", KEY)


def folder() -> None:
    """A folder of two people, who are enrolled in a key file that is there before, as its key is else chance."""
    command("anonymise", "photos", "-o", "out", "--key", f"@{RING}")


def evaluate() -> None:
    """A table of synthetic people; what was computed is in the cache."""
    command("evaluate", "--table", "VI", "--data", "synthetic", "--limit", "2", "--trials", "1", "-o", "scores")


def training() -> None:
    """The training loop with a checkpoint at every step, and the weights at the end."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))

    def losses(step: int) -> Mapping[str, torch.Tensor]:
        return {"error": (net(torch.randn(32, 16)) ** 2).mean()}

    Path("run").mkdir(exist_ok=True)
    train(net, losses, Plan(steps=60, log_steps=5, checkpoint_s=0), Checkpoints(Path("run"), resume=True))
    save_state(Path("net.safetensors"), net.state_dict())


JOBS: Mapping[str, Callable[[], None]] = {
    "anonymise": anonymise,
    "folder": folder,
    "evaluate": evaluate,
    "train": training,
}
SHARES = {"anonymise": 0.3, "folder": 0.3, "evaluate": 0.1, "train": 0.3}  # of all kills; evaluate takes longest
RING = "mine.json"  # the key file of the job folder
# Files that a run writes more than once, each time whole.
GROWING = {"folder": (RING,), "train": ("run/checkpoint.pt", "run/log.csv", "run/settings.json")}


def photos(place: Path) -> None:
    """Four drawn photos of two people: to the detector of the preset tiny, faces."""
    rng = np.random.default_rng(5)
    for person in "ab":
        for number in (1, 2):
            colours = Image.fromarray(rng.integers(40, 220, (6, 5, 3), dtype=np.uint8))
            path = place / "photos" / person / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            colours.resize((100, 120), Image.Resampling.BICUBIC).save(path, quality=95)
    KeyRing(UserKey.parse(KEY)).save(place / RING)


def started(job: Callable[[], None], place: Path) -> int:
    """Start the job in a process of its own, silent, in this folder with a cache of its own; its number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        os.chdir(place)
        os.environ["KFAAR_CACHE"] = "cache"
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        with contextlib.suppress(SystemExit):
            job()
        code = 0
    finally:
        os._exit(code)


def ended(number: int) -> int:
    """Wait for the process: its exit code, or minus the signal that ended it."""
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    raise TimeoutError


def contents(place: Path) -> dict[str, bytes]:
    """Every file below the folder; of a key file without the seals, which are never the same twice."""
    found = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    record = json.loads(found[RING])
    for person in record["people"]:
        person["enrolled"] = person["enrolled"] is not None
    return found | {RING: json.dumps(record).encode()}


def half_made(found: Mapping[str, bytes], whole: Mapping[str, bytes], growing: tuple[str, ...]) -> list[str]:
    """Names of files that a killed run left and that are neither whole nor temporary.

    Args:
        found: the files after the kill.
        whole: the files of the undisturbed run.
        growing: files that a run writes more than once, each time whole.
    """
    return sorted(
        name
        for name, data in found.items()
        if not name.endswith(PASSING) and name not in growing and data != whole.get(name)
    )


def different(found: Mapping[str, bytes], whole: Mapping[str, bytes]) -> list[str]:
    """Names of files that are missing, other ones, or left over."""
    return sorted(name for name in found.keys() | whole.keys() if found.get(name) != whole.get(name))


@dataclass
class Tally:
    """What became of one job."""

    seconds: float  # of the undisturbed run
    kills: int = 0
    at_work: int = 0  # the process had not ended yet
    left_temporary: int = 0  # the killed run left a temporary file, which the next one removed
    half_made: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    failed: int = 0  # next runs that did not end well

    @property
    def faults(self) -> int:
        return len(self.half_made) + len(self.different) + self.failed


def undisturbed(job: Callable[[], None], place: Path, seconds: list[float]) -> dict[str, bytes]:
    """Run the job to its end: its files. The time that it took is added to `seconds`."""
    photos(place)
    began = time.monotonic()
    if ended(started(job, place)):
        raise SystemExit("a job fails without being disturbed")
    seconds.append(time.monotonic() - began)
    return contents(place)


def killed(name: str, job: Callable[[], None], kills: int, rng: np.random.Generator) -> Tally:
    """Kill a job this often."""
    with tempfile.TemporaryDirectory() as scratch:
        seconds: list[float] = []
        first, whole = (undisturbed(job, Path(scratch) / which, seconds) for which in ("first", "second"))
        if different(first, whole):
            raise SystemExit(f"{name} does not give the same twice: {different(first, whole)}")
        tally = Tally(min(seconds))
        for turn in range(kills):
            place = Path(scratch) / str(turn)
            photos(place)
            number = started(job, place)
            time.sleep(rng.uniform(0, tally.seconds))
            os.kill(number, signal.SIGKILL)
            tally.at_work += ended(number) == -signal.SIGKILL
            found = contents(place)
            tally.left_temporary += any(path.endswith(PASSING) for path in found)
            tally.half_made += half_made(found, whole, GROWING.get(name, ()))
            time.sleep(1.0 if any(path.endswith(PASSING) for path in found) else 0)  # see files._FRESH
            tally.failed += ended(started(job, place)) != 0
            tally.different += different(contents(place), whole)
            tally.kills += 1
    return tally


def main() -> None:
    """Kill and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of all jobs together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=tuple(JOBS), action="append")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng, names = np.random.default_rng(asked.seed), asked.job or list(JOBS)
    jobs = {name: killed(name, JOBS[name], round(asked.kills * SHARES[name]), rng) for name in names}
    report = {name: {**vars(tally), "seconds": round(tally.seconds, 2)} for name, tally in jobs.items()}
    total = {what: sum(getattr(tally, what) for tally in jobs.values()) for what in ("kills", "at_work", "faults")}
    print(json.dumps({"seed": asked.seed, **total, "jobs": report, "cores": os.cpu_count()}, indent=2))
    sys.exit(bool(total["faults"]))


if __name__ == "__main__":
    main()
