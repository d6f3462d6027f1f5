"""The command `scores`: what a result of evaluate holds, and the figures of any other score list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kfaar_core.commands.options import Force, Json, show_json

FILES = (
    "a file that evaluate wrote, a score list (Bob, CSV, Parquet, npz), or the genuine and the impostor file of pyeer"
)
OUTPUT = "write the scores to this file instead; --as names the format where its suffix does not"
FORM = "pyeer, bob4, bob5, csv, parquet or npz"
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help=FILES)]


def scores(
    files: Files,
    distances: Annotated[bool, typer.Option("--distances", help="smaller numbers mean the same person")] = False,
    figures: Annotated[bool, typer.Option("--figures", help="EER and operating points of a result file too")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help=OUTPUT)] = None,
    form: Annotated[str | None, typer.Option("--as", metavar="FORMAT", help=FORM)] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Print the populations of a result, or EER and operating points of a score list. Convert score lists."""
    from kfaar_core.report.score_lists import read_scores, write_scores
    from kfaar_core.report.score_table import score_table
    from kfaar_core.report.tables import to_json, to_markdown

    if output is None and not figures and len(files) == 1 and files[0].suffix == ".json":
        show_populations(files[0], as_json)
        return
    listed = read_scores(files, distances=distances)
    if output is not None:
        for path in write_scores(output, listed, form, force=force):
            typer.echo(str(path))
        return
    table = score_table(listed)
    if as_json:
        show_json(json.loads(to_json(table)))
    else:
        typer.echo(to_markdown(table).rstrip("\n"))


def show_populations(result: Path, as_json: bool) -> None:
    """Print number, mean, standard deviation, largest score and failures of each population in a result."""
    from kfaar_core.results import load_result

    listed = [
        {
            "name": entry.name,
            "n": len(entry.values),
            "mean": float(entry.values.mean()) if len(entry.values) else None,
            "sd": float(entry.values.std(ddof=1)) if len(entry.values) > 1 else None,
            "largest": float(entry.values.max()) if len(entry.values) else None,
            "failed": entry.failed,
        }
        for entry in load_result(result).populations
    ]
    if as_json:
        show_json(listed)
        return
    typer.echo(f"{'population':<28} {'n':>7} {'mean':>7} {'sd':>7} {'largest':>7} {'failed':>7}")
    for entry in listed:
        mean, sd, largest = ("-" if entry[name] is None else f"{entry[name]:.3f}" for name in ("mean", "sd", "largest"))
        typer.echo(f"{entry['name']:<28} {entry['n']:>7} {mean:>7} {sd:>7} {largest:>7} {entry['failed']:>7}")
