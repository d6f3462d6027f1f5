"""Print the README's section "Measured" from the committed score files: python -m benchmarks.readme_tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from kfaar_core.evaluate.results import load_result
from kfaar_core.tables import table_of

SCORES = Path(__file__).resolve().parent.parent / "assets" / "scores"
PHOTOS = {"another photo": "another photo of the person", "same photo": "the photo itself"}
Rows = Mapping[str, Mapping]


def rows(name: str) -> Rows:
    """The rows of one score or table file by their names."""
    path = SCORES / f"lab-floor-lfw-{name}.json"
    record = json.loads(path.read_text())
    if "rows" in record:
        return {row["name"]: row for row in record["rows"]}
    return {row.name: vars(row) for row in table_of(load_result(path)).rows}


def cell(row: Mapping) -> str:
    """Value and interval."""
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def paper(row: Mapping) -> str:
    """The paper's figure, or a dash."""
    return "-" if row["paper"] is None else f"{row['paper']:.3f}"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *map(list, lines)])


def named(found: Rows, *parts: str) -> str:
    """The one row name that holds all the parts, or the first of them."""
    return next(name for name in found if all(part in name for part in parts))


def authentication() -> str:
    """Table VI."""
    shared, own = rows("vi-shared"), rows("vi-own")
    lines = []
    for photo, words in PHOTOS.items():
        wanted = [named(shared, figure, photo) for figure in ("AUC", "EER")]
        wanted += [named(shared, figure, photo, "dev") for figure in ("CRR", "FAR", "FRR")]
        wanted += [named(shared, "CRR", photo, "0.700 (paper")]
        for name in wanted:
            row = shared[name]
            lines.append((name.replace(photo, words), cell(row), cell(own[name]), paper(row)))
    return table(("figure", "one key for everyone, 8 keys", "a key a person", "paper"), lines)


def scenarios() -> str:
    """Table VII, same photo, shared keys."""
    found, lines = rows("vii-shared"), []
    for number in range(1, 5):
        title = f"Scenario {number} "
        cosine = found[named(found, title, "same photo: cosine")]
        accepted = found[named(found, title, "same photo: accepted", "FMR 1 %" if number == 1 else "dev")]
        lines.append(
            (cosine["name"].split(",  same")[0].replace(": cosine", ""), cell(cosine), cell(accepted), paper(cosine))
        )
    law = found[named(found, "Scenario 3", "same photo: cosine")]["note"].split("; ", 1)[1]
    head = ("scenario", "cosine", "accepted at the threshold in force (1: the judge's, FMR 1 %)", "paper's cosine")
    return table(head, lines) + f"\n\nWrong keys: {law}."


def plain(name: str) -> str:
    """Any table without populations."""
    return table(
        ("figure", "ours", "n", "paper"),
        ((row["name"], cell(row), str(row["n"]), paper(row)) for row in rows(name).values()),
    )


def main() -> None:
    """Print."""
    print("**Authentication (Table VI)**, 100 people.\n\n" + authentication())
    print("\n**Scenarios (Table VII)**, 100 people, shared keys.\n\n" + scenarios())
    print("\n**Posture (Table IV)**, 300 people.\n\n" + plain("posture-shared"))
    print(
        "\n**Anonymity and synchronism (Tables II and III)**, by the judge, 100 people.\n\n" + plain("anonymity-shared")
    )
    print("\n**E and the judge alone**, 327 people, real photos.\n\n" + plain("recognisers-shared"))


if __name__ == "__main__":
    main()
