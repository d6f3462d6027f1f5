"""The generated part of docs/security.md: what each attack gets, from the result files in assets/scores/attacks."""

from __future__ import annotations

from pathlib import Path

from kfaar_core import attacks
from kfaar_core.attacks.base import Figure
from kfaar_core.attacks.result import AttackResult, load_all, shown

FOLDER = "attacks"  # below the score files
MEASURED = "what comes of it"
NONE = "No attack has been run yet.\n"


def security(folder: Path) -> str:
    """Tables of all results of a folder of score files: who can learn what, known pairs, and missed targets."""
    results = load_all(folder / FOLDER)
    if not results:
        return NONE
    parts = [who(results), *(pairs(result) for result in results if result.attack == "known-pairs"), missed(results)]
    left = [f"{attack.code} ({attack.title.lower()})" for attack in attacks.every() if not of(results, attack.name)]
    if left:
        parts.append(f"Built, and not run yet: {', '.join(left)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def of(results: tuple[AttackResult, ...], name: str) -> list[AttackResult]:
    """The results of one attack."""
    return [result for result in results if result.attack == name]


def who(results: tuple[AttackResult, ...]) -> str:
    """One line a result."""
    lines = [f"| attack | he holds | faces | {MEASURED} |", "|---|---|---|---|"]
    for result in results:
        made = f"{result.faces}; {result.people} people of {result.dataset}"
        lines.append(f"| {result.code} {result.title} | {result.holds} | {made} | {result.words} |")
    return "\n".join(lines)


def pairs(result: AttackResult) -> str:
    """Rank-1 of A1 against the number of known pairs."""
    curves = [figure for figure in result.figures if figure.series.endswith(": rank-1")]
    places = list(dict.fromkeys(figure.at for figure in curves))
    lines = [
        f"Known pairs (A1), {result.faces}, {result.people} people: share of the others who are named first, with the "
        "95 % interval.",
        "",
        "| condition | " + " | ".join(f"{at:g}" for at in places if at is not None) + " |",
        "|---|" + "---|" * len(places),
    ]
    for series in dict.fromkeys(figure.series for figure in curves):
        found = {figure.at: figure for figure in curves if figure.series == series}
        lines.append(f"| {series.removesuffix(': rank-1')} | " + " | ".join(cell(found[at]) for at in places) + " |")
    return "\n".join(lines)


def cell(figure: Figure) -> str:
    """A figure and its interval."""
    return f"{shown(figure.value)}<br>{shown(figure.low)} to {shown(figure.high)}"


def failed(folder: Path, method: str) -> list[str]:
    """One sentence for each target of an attack that a method misses, for its model cards."""
    return [
        f"{result.code} ({result.title.lower()}; {result.faces}, {result.people} people of {result.dataset}): "
        f"{check.series}{'' if check.at is None else f' at {check.at:g}'}, target {check.bound}"
        for result in load_all(folder / FOLDER)
        for check in result.checks
        if result.method == method and not check.met
    ]


def missed(results: tuple[AttackResult, ...]) -> str:
    """Every target that is missed."""
    lines = []
    for result in results:
        for check in result.checks:
            if check.met:
                continue
            figures = [f for f in result.figures if f.series == check.series and check.at in (None, f.at)]
            got = max((figure.value for figure in figures), default=float("nan"))
            at = "" if check.at is None else f" at {check.at:g}"
            lines.append(f"| {result.code} | {result.faces} | {check.series}{at} | {check.bound} | {shown(got)} |")
    met = sum(check.met for result in results for check in result.checks)
    every = sum(len(result.checks) for result in results)
    head = f"Targets met: {met} of {every}. "
    if not lines:
        return head.strip()
    return (
        head + "Missed:\n\n| attack | faces | figure | target | measured |\n|---|---|---|---|---|\n" + "\n".join(lines)
    )
