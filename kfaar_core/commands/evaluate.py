"""The commands `evaluate` and `report`: make result files, and print them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfaar_core.commands.options import Force, Json, MethodName, PresetName, Threads, show_json
from kfaar_core.commands.progress import step_bar
from kfaar_core.errors import BadOutput, BadSetting
from kfaar_core.presets import get_preset
from kfaar_core.scenarios.populations import OWN, SHARED, TRIALS

if TYPE_CHECKING:
    from kfaar_core.evaluate.runner import Done

TABLES = (
    "II to XII but IX and X (see ablation); anonymity, posture, quality, wild, lengths, keys, identification, groups, "
    "robustness, mask, recognisers, observers, person, enrolled, looks, thresholds, enrolment; "
    "several with commas; or all"
)
DATA = "photos of people; `synthetic` for synthetic people"
TWICE = "number of people in scenario 1 of Table VII, which anonymises twice"
PRECISION = "bf16 (the preset's), or f32: slower, with nearly the same scores on every CPU"
PAGE = "write one printable web page with tables, figures, hashes and command"
AGAINST = "the same file of another run, for paired differences; once for each result"
SPHEREFACE = "judge by SphereFace with these weights (sphere20a); thresholds and results get its name"
ResultFiles = Annotated[list[Path], typer.Argument(metavar="RESULT.json...", help="files that evaluate wrote")]


def evaluate(
    table: Annotated[str, typer.Option("--table", help=TABLES)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="the folder of result files")],
    data: Annotated[str | None, typer.Option("--data", metavar="PATH|HUB-ID", help=DATA)] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="PEOPLE", help="number of people")] = None,
    shared_key: Annotated[bool, typer.Option("--shared-key/--own-key", help="one key for all, or one for each")] = True,
    preset: PresetName = "lab",
    method: MethodName = None,
    key_bits: Annotated[int | None, typer.Option("--key-bits", help="length of the keys, if not the preset's")] = None,
    precision: Annotated[str | None, typer.Option("--precision", help=PRECISION)] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, metavar="KEYS", help="number of shared keys")] = TRIALS,
    threads: Threads = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="processes, one core each; with 1, see --threads")] = 1,
    engine: Annotated[str, typer.Option("--engine", help="processes, or ray: a cluster (RAY_ADDRESS)")] = "processes",
    gpus: Annotated[float, typer.Option("--gpus", min=0, help="ray: GPUs of each of the --jobs workers")] = 0,
    judge_weights: Annotated[Path | None, typer.Option("--judge-weights", metavar="PATH", help=SPHEREFACE)] = None,
    twice: Annotated[int | None, typer.Option("--twice", min=1, metavar="PEOPLE", help=TWICE)] = None,
    dev: Annotated[bool, typer.Option("--dev", help="dev people in place of test people, to choose by")] = False,
    as_json: Json = False,
) -> None:
    """Evaluate one table on photos of people. An interrupted run is resumed."""
    chosen = get_preset(preset)
    if judge_weights is not None:
        chosen = replace(chosen, judge="sphereface")
    if output.exists() and not output.is_dir():
        raise BadOutput(got=f"the output {output.name!r} is a file", mend="name a folder, which may be a new one")
    from kfaar_core.evaluate.runner import Done, Evaluation, run, run_all, settings, tables_of

    with step_bar() as progress:
        asked = [
            Evaluation(
                table=name,
                data=data,
                preset=settings(chosen, each, key_bits, precision),
                key_mode=SHARED if shared_key else OWN,
                repetitions=trials,
                limit=limit,
                twice=twice,
                threads=threads,
                jobs=jobs,
                engine=engine,
                gpus=gpus,
                dev=dev,
                judge_weights=judge_weights,
            )
            for each in (method or chosen.method).split(",")
            for name in tables_of(table)
        ]
        if len(asked) == 1:
            done = [Done(asked[0].table, "", run(asked[0], output, progress))]
        else:
            done = run_all(asked, output, progress, lambda one: typer.echo(said(one), err=True))
    if as_json and len(done) == 1:
        show_json({"table": table, "result": str(done[0].path)})
    elif as_json:
        show_json([{**vars(one), "path": one.path and str(one.path)} for one in done])
    else:
        typer.echo("\n".join(str(one.path) for one in done if one.path))


def said(done: Done) -> str:
    """A table that is ready or skipped, in one line."""
    end = "ready" if done.path else f"skipped: {done.reason}"
    return f"{done.method}, table {done.table}: {end}"


def report(
    results: ResultFiles,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="PAGE.html", help=PAGE)] = None,
    against: Annotated[list[Path] | None, typer.Option("--against", metavar="RESULT.json", help=AGAINST)] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Print the tables of result files as Markdown, or write a page with tables, figures, hashes and command."""
    from kfaar_core.files import write_whole
    from kfaar_core.report.page import page, read_run
    from kfaar_core.report.tables import read_table, to_json, to_markdown

    if against and (output is None or len(against) != len(results)):
        raise BadSetting(
            got=f"{len(results)} results against {len(against)}", mend="name one for each, in the same order, and -o"
        )
    if output is not None:
        runs, others = ([read_run(path) for path in paths] for paths in (results, against or []))
        write_whole(output, page(runs, others).encode(), force=force)
        typer.echo(str(output))
        return
    tables = [read_table(path) for path in results]
    if as_json:
        show_json([json.loads(to_json(table)) for table in tables])
    else:
        typer.echo("\n".join(to_markdown(table) for table in tables).rstrip("\n"))
