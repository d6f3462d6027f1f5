"""Generate the parts of README.md, docs/ and the model cards that come from score files and methods.

python -m benchmarks.readme_tables [FOLDER] [--full PATH | --write]

Without an option it prints the summary of docs/results.md. --full PATH writes all tables to a file. --write updates the
generated parts of README.md and docs/, assets/scores/TABLES.md, and the missed targets in the cards of P and KVFA.
All numbers come from score files, except the paper's figures and the targets (kfaar_core).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attacks import failed, security
from benchmarks.full_tables import full
from benchmarks.headline import headline, methods_table, weights_list
from benchmarks.score_files import Source
from benchmarks.summary import misses, summary
from benchmarks.times import times

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "assets" / "scores"
TABLES = "TABLES.md"
END = "<!-- end -->"


@dataclass(frozen=True)
class Part:
    """A generated part of a file, between the markers `begin` and END."""

    file: str  # below the root
    name: str
    text: Callable[[Path], str]  # folder of score files -> Markdown

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: python -m benchmarks.readme_tables --write -->\n"

    @property
    def marked(self) -> re.Pattern[str]:
        return re.compile(f"({re.escape(self.begin)})(.*?)({re.escape(END)})", re.DOTALL)

    def of(self, text: str) -> str:
        """The text between the markers.

        Raises:
            SystemExit: the file does not have exactly one pair of them.
        """
        parts = self.marked.findall(text)
        if len(parts) != 1:
            kept = f"Keep one, between {self.begin.strip()} and {END}."
            raise SystemExit(f"{self.file} has {len(parts)} generated parts named {self.name}. {kept}")
        return str(parts[0][1])

    def replaced(self, text: str, new: str) -> str:
        """The file's text with a new text between the markers.

        Raises:
            SystemExit: as `of`.
        """
        self.of(text)
        return self.marked.sub(lambda match: f"{match[1]}\n{new}\n{match[3]}", text)


HEADLINE = Part("README.md", "headline", headline)
METHODS = Part("README.md", "methods", lambda _: methods_table())
MEASURED = Part("docs/results.md", "measured", summary)
ATTACKS = Part("docs/security.md", "attacks", security)
CHECKED = Part("README.md", "weights", lambda _: weights_list())
TIMES = Part("README.md", "times", lambda _: times())
PARTS = (HEADLINE, TIMES, METHODS, CHECKED, MEASURED, ATTACKS)


def cards_of(source: Source) -> list[Path]:
    """The model cards of a method's P and KVFA."""
    return [ROOT / "assets" / "weights" / f"{name}.card.json" for name in source.method.networks(source.bits)]


def write(folder: Path) -> None:
    """Update all generated parts from the score files of a folder.

    Raises:
        SystemExit: a file without its markers; nothing is written.
    """
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in dict.fromkeys(part.file for part in PARTS)}
    for part in PARTS:
        texts[part.file] = part.replaced(texts[part.file], part.text(folder))
    for file, text in texts.items():
        (ROOT / file).write_text(text, encoding="utf-8")
    (SCORES / TABLES).write_text(full(folder), encoding="utf-8")
    for source, missed in misses(folder).items():
        for path in cards_of(source):
            card = {**json.loads(path.read_text(encoding="utf-8")), "missed": missed}
            if attacked := failed(folder, source.method.name):
                card["attacked"] = attacked
            path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Parse, and print or write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme_tables", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SCORES, help="of score files (assets/scores)")
    parser.add_argument("--full", type=Path, metavar="PATH", help="write every table to this file")
    parser.add_argument("--write", action="store_true", help=f"write README.md, docs/, {TABLES} and the model cards")
    asked = parser.parse_args(arguments)
    if asked.full:
        asked.full.write_text(full(asked.folder), encoding="utf-8")
    if asked.write:
        write(asked.folder)
    else:
        print(summary(asked.folder), end="")


if __name__ == "__main__":
    main()
