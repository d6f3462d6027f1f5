"""The README's sentence on time: what benchmarks.anonymise wrote into assets/benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "benchmarks"
FILES = ("anonymise.json", "anonymise-avx2.json", "anonymise-quick.json", "anonymise-quick-avx2.json")


def times(folder: Path = FOLDER) -> str:
    """A paragraph: seconds of a face on a CPU with and without bfloat16, with and without refinement, and memory.

    Raises:
        OSError, KeyError: a file is missing or is not of benchmarks.anonymise.
    """
    refined, plain, quick, quick_plain = (json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES)
    words = (
        f"A face takes {seconds(refined)} s on {refined['threads']} threads of a CPU with bfloat16, and "
        f"{seconds(plain)} s with AVX2 alone ({refined['cpu']}, "
        f"{'held to AVX2' if plain['capped'] else plain['cpu']} for the second figure; method `{refined['method']}`, "
        f"median of {refined['runs']} and {plain['runs']}). `anonymise --quick` does not refine, reads less reliably, "
        f"and takes {seconds(quick)} s and {seconds(quick_plain)} s. From process start the first face takes "
        f"{start(refined)} s and {start(plain)} s, with {max(memory(refined), memory(plain)):,} MB of memory at most. "
        "`python -m benchmarks.anonymise` measures yours."
    )
    return words


def seconds(measured: dict[str, Any]) -> str:
    """The median time of a face."""
    return f"{measured['whole_s']['p50']:.1f}"


def start(measured: dict[str, Any]) -> str:
    """Seconds from the start of a process to its first face."""
    return f"{measured['process_start_to_first_result_s']:.0f}"


def memory(measured: dict[str, Any]) -> int:
    """MB."""
    return int(measured["peak_memory_mb"])
