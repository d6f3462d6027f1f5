"""Write docs/reliability.md from the result files of fuzz, load and kills in assets/reliability.

python -m benchmarks.reliability [--write]

A test compares the page with the files. Without `--write` the page is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.load import GROWTH_MB
from benchmarks.serving import ROOT

FOLDER = ROOT / "assets" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# Reliability

What was tried to break the program, and what came of it. `python -m benchmarks.reliability --write` writes this page
from the files in `assets/reliability/`, which the commands below print. No figure is typed in.
"""
Report = Mapping[str, Any]


def read(name: str) -> Report | None:
    """A result file; None if the run was not made."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def fuzz(found: Report) -> str:
    """Damaged files."""
    corpora = {"pictures": "pictures in every format that is read", "files": "keys, key files, scores, results, data"}
    cases = {name: words for name, words in corpora.items() if found[name]["cases"]}
    seen = {text: (name, number) for name in cases for text, number in found[name]["first_case_of_a_fault"].items()}
    faults = (
        "; ".join(
            f"{text.removeprefix('fault: ')}, first in case {name}:{number}" for text, (name, number) in seen.items()
        )
        or "none"
    )
    rows = [
        (
            words,
            *(f"{found[name][what]:,}" for what in ("cases", "read", "refused", "fault")),
            found[name]["slowest_case_s"],
            found[name]["memory_mb"],
        )
        for name, words in cases.items()
    ]
    asked = " ".join(f"--{name} {found[name]['cases']}" for name in corpora)
    again = "" if found["pictures"]["cases"] else ", after what had been found was mended"
    return f"""## Damaged files{again}: {sum(found[name]["cases"] for name in cases):,} cases

`python -m benchmarks.fuzz {asked} --seed {found["seed"]}`: bit flips, cuts, headers, dimensions, profiles, EXIF,
animations, JSON values, hashes that fit again. Read, or refused with a sentence of ours; anything else is a fault: a
crash, over 10 s, over 2 GB, a sentence that quotes a key.

{table(("damaged", "cases", "read", "refused", "faults", "slowest, s", "memory on top, MB"), rows)}
Faults: {faults}.

The run took {found["seconds"]} s (Python {found["python"]}, Pillow {found["pillow"]}, {found["cores"]} cores, shared).
"""


def load(found: Report) -> str:
    """Many visitors."""
    alone, many = found["alone"], found["many"]
    kinds = [kind for kind in many["by_kind"] if many["by_kind"][kind]["n"]]

    def times(report: Report, kind: str) -> str:
        each = report["by_kind"].get(kind, {"n": 0})
        return f"{each['p50_s']} / {each['p95_s']} ({each['n']})" if each["n"] else "-"

    rows = [(kind, times(alone, kind), times(many, kind)) for kind in kinds]
    flags = f"--clients {many['clients']} --minutes {many['seconds'] / 60:g} --pause {found['pause_s']:g}"
    flags += "".join(
        flag for flag, on in ((" --quick", not found["refined"]), (" --stand-in", found["stand_in"])) if on
    )
    core = "the tests' stand-in for the networks" if found["stand_in"] else "the networks of `lab`, without refinement"
    errors = "; ".join(f"{text} ({count})" for text, count in many["errors"].items()) or "none"
    kept = found["uploads"]
    after = kept.get("files_after_their_time", "not waited for")
    return f"""## Many visitors, {core}

`python -m benchmarks.load {flags}`: {many["clients"]} visitors for {many["seconds"] / 60:g} minutes on
{found["cores"]} cores that others used too. They upload photos of up to 12,000 px, cancel, reload and leave.

- answers: {many["answered"]["n"]}; lost: {many["lost"]}; mixed up: {many["mixed_up"]}; errors: {errors}
- memory of the app, MB: {", ".join(map(str, many["memory_mb"]))}
- growth of its median from the second fifth of the time to the last: {many["memory_growth_mb"]} MB; at most
  {GROWTH_MB:g} MB is asked for: {"met" if many["memory_growth_mb"] <= GROWTH_MB else "**missed**"}
- files of visitors at the end: {kept["files_of_visitors"]}; after their time: {after}

Seconds until the answer, median / 95th percentile (number):

{table(("request", "one visitor", f"{many['clients']} visitors"), rows)}"""


def kills(found: Report) -> str:
    """kill -9."""
    rows = [
        (
            name,
            *(each[what] for what in ("kills", "at_work", "left_temporary")),
            *(len(each[what]) for what in ("half_made", "different")),
            each["failed"],
        )
        for name, each in found["jobs"].items()
    ]
    head = (
        "job",
        "kills",
        "at work",
        "left a temporary file",
        "half-made files",
        "other bytes at the end",
        "next run failed",
    )
    return f"""## kill -9

`python -m benchmarks.kills --kills {found["kills"]} --seed {found["seed"]}`: SIGKILL at a random moment of a run
with the preset `tiny`, then the same command again. Right is: every file that lies there is whole, the next run ends
with the bytes of an undisturbed one, and no temporary file stays. Faults: {found["faults"]}. Kills that are not "at
work" came after the end of the work.

{table(head, rows)}"""


# fuzz-again: the program as it is, tried again with the cases in which the first run found a fault.
PARTS = {"fuzz": fuzz, "fuzz-again": fuzz, "kills": kills, "load-stand-in": load, "load-lab": load}
TAIL = """## Not shown here

Disk full, read-only folders, races of two processes, file systems without hard links, closed and full streams, damaged
cache entries and weights are tests: `tests/kfaar_core/test_files.py`, `tests/kfaar_core/test_faults.py`,
`tests/kfaar_core/test_main.py`. Planted secrets are in `tests/test_secrets.py`, requests that no page sends in
`tests/demo/test_server.py`. Half an hour of load was not run, nor kills of videos, which this program does not make.
`pip-audit` needs a package registry that answers it.
"""


def page() -> str:
    """The page, from the files that are there."""
    found = {name: read(name) for name in PARTS}
    parts = [PARTS[name](report).rstrip() + "\n" for name, report in found.items() if report is not None]
    return "\n".join([HEAD, *parts, TAIL])


def main() -> None:
    """Write or print."""
    if "--write" in sys.argv[1:]:
        Path(PAGE).write_text(page(), encoding="utf-8")
    else:
        print(page())


if __name__ == "__main__":
    main()
