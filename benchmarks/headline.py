"""The two tables of the README: four figures of the default method and of the paper, and the list of methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.score_files import DATA, Column, Source, interval, markdown
from benchmarks.summary import FIGURES, Figure, chosen, measured_sources, value_words
from kfaar_core import methods, weights
from kfaar_core.presets import LAB
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.report.targets import target

ROWS: Mapping[str, str] = {  # figure of the summary -> explanation
    "anonymity, FMR 1 %": "a face recogniser takes photo and virtual face for two people (anonymity)",
    "synchronism EER": "errors in telling that two photos under one key are one virtual person (synchronism EER)",
    "CRR, another photo": "right decisions with the right key, another photo of the person (CRR)",
    "FAR": "other people accepted with the right key (FAR)",
}


def headline(folder: Path) -> str:
    """Four rows: the default method and the paper on both data sets; a dash for figures without a file."""
    head = ["", *(f"{words}, {whose}" for words in DATA.values() for whose in ("ours", "paper"))]
    files = {data: of_default(folder, data) for data in DATA}
    lines = [[ROWS[figure.words], *row(figure, files)] for name in ROWS for figure in FIGURES if figure.words == name]
    return markdown(head, lines) + "\n"


def of_default(folder: Path, data: str) -> tuple[Source, Mapping[str, Column]] | None:
    """The default method and its files (table -> file); None without files."""
    measured = measured_sources(folder, data).items()
    return next(((source, files) for source, files in measured if source.method.name == LAB.method), None)


def row(figure: Figure, files: Mapping[str, tuple[Source, Mapping[str, Column]] | None]) -> list[str]:
    """Our figure and the paper's for each data set."""
    cells = []
    for data, ours in files.items():
        best = chosen(figure, *ours) if ours else None
        cell = "-"
        if best is not None:
            below = ", ".join(part for part in (interval(best[0]), f"n {best[0].n}") if part)
            aim = target(figure.name, data, LAB.method)  # for the number of digits
            cell = f"**{value_words(best[0], aim, float('nan'))}**<br>{below}"
        paper = paper_figure(*figure.paper, data) if figure.paper else None
        cells += [cell, "-" if paper is None else f"{paper:.3f}"]
    return cells


def weights_list() -> str:
    """What was checked of each weight: the real file, or its format alone."""
    methods.registered()  # registers their weights
    listed = {
        checked: ", ".join(f"`{weight.name}`" for weight in weights.WEIGHTS.values() if weight.checked is checked)
        for checked in (True, False)
    }
    return (
        f"- Checked on the real file: {listed[True]}.\n"
        f"- Format checked; the file was not reachable where this was built: {listed[False]}."
    )


def methods_table() -> str:
    """A row for each method that reads a person back, from the object METHOD in its file, and one for the others."""
    lines = [
        [
            f"`{method.name}`" + (" (default)" if method.name == LAB.method else ""),
            method.about,
            " or ".join(map(str, method.key_lengths)) or "any",
            "a random direction" if method.random_directions else "no promise",
            f"[methods/{method.name}.py](kfaar_core/methods/{method.name}.py)",
        ]
        for method in methods.registered()
        if method.readable
    ]
    compared = ", ".join(f"`{method.name}`" for method in methods.registered() if not method.readable)
    lines.append([compared, "to compare with: nobody is read back", "-", "-", "[docs/compared.md](docs/compared.md)"])
    return markdown(["`--method`", "what it is", "key bits", "what a wrong key reads", "file"], lines) + "\n"
