"""Print the README's summary of the committed score files: python -m benchmarks.readme_tables [--full PATH | --write].

--full PATH writes every table to a file; --write puts the summary between the README's marks, every table into
assets/scores/TABLES.md, and the missed targets of each method into the model cards of its P and KVFA. Nothing here is
typed in but the paper's figures and the targets (kfaar_core).
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from benchmarks.full_tables import full
from benchmarks.score_files import Source
from benchmarks.summary import misses, summary

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "assets" / "scores"
TABLES = "TABLES.md"
BEGIN, END = "<!-- measured: python -m benchmarks.readme_tables --write -->\n", "<!-- end -->"
MARKED = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)


def part(readme: str) -> str:
    """What stands between the marks.

    Raises:
        SystemExit: the marks are not there once.
    """
    found = MARKED.findall(readme)
    if len(found) != 1:
        raise SystemExit(f"README.md has {len(found)} generated parts. Keep one, between {BEGIN.strip()} and {END}.")
    return found[0]


def replaced(readme: str, text: str) -> str:
    """The README with another text between the marks."""
    part(readme)
    return MARKED.sub(lambda _: f"\n{text}\n", readme)


def cards_of(source: Source) -> list[Path]:
    """The model cards of a method's P and KVFA."""
    return [ROOT / "assets" / "weights" / f"{name}.card.json" for name in source.method.networks(source.bits)]


def main(arguments: list[str] | None = None) -> None:
    """Parse, and print or write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme_tables", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SCORES, help="of score files (assets/scores)")
    parser.add_argument("--full", type=Path, metavar="PATH", help="write every table to this file")
    parser.add_argument("--write", action="store_true", help=f"write README.md, {TABLES} and the model cards")
    asked = parser.parse_args(arguments)
    text = summary(asked.folder)
    for path in ([asked.full] if asked.full else []) + ([SCORES / TABLES] if asked.write else []):
        path.write_text(full(asked.folder), encoding="utf-8")
    if asked.write:
        readme = ROOT / "README.md"
        readme.write_text(replaced(readme.read_text(encoding="utf-8"), text), encoding="utf-8")
        for source, missed in misses(asked.folder).items():
            for path in cards_of(source):
                card = {**json.loads(path.read_text(encoding="utf-8")), "missed": missed}
                path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
