"""The command `attack`: what an adversary gets, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfaar_core import attacks
from kfaar_core.commands.evaluate import DATA, PRECISION
from kfaar_core.commands.options import Json, MethodName, PresetName, Threads, show_json
from kfaar_core.commands.progress import step_bar
from kfaar_core.errors import BadOutput, BadSetting
from kfaar_core.presets import get_preset

ALL, LIST = "all", "list"
NAME = f"{', '.join(attacks.names())}; `{ALL}` runs every one, `{LIST}` says what each is"
GALLERY = "number of other people in galleries"
SIMULATE = "make no faces; simulate readings with this cosine to the code (attacks that use nothing else of a face)"
REFINE = "refine faces, as anonymise does; without, faces are made several times as fast and read less reliably"


def attack(
    name: Annotated[str, typer.Argument(metavar="NAME", help=NAME)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="the folder of result files")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="PATH|HUB-ID", help=DATA)] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=2, metavar="PEOPLE", help="number of people")] = None,
    gallery: Annotated[int, typer.Option("--gallery", min=1, metavar="PEOPLE", help=GALLERY)] = 2000,
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help=REFINE)] = True,
    simulate: Annotated[float | None, typer.Option("--simulate", metavar="COSINE", help=SIMULATE)] = None,
    preset: PresetName = "lab",
    method: MethodName = None,
    precision: Annotated[str | None, typer.Option("--precision", help=PRECISION)] = None,
    seed: Annotated[int, typer.Option("--seed", help="of people, keys and bootstrap")] = 0,
    threads: Threads = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="processes, one core each; with 1, see --threads")] = 1,
    as_json: Json = False,
) -> None:
    """Attack virtual faces made for this purpose, and write what the adversary gets. An interrupted run is resumed."""
    if name == LIST:
        show_list(as_json)
        return
    chosen = attacks.every() if name == ALL else (attacks.get(name),)
    if output is None:
        raise BadSetting(got="no folder for the results", mend="give one with -o DIR")
    if output.exists() and not output.is_dir():
        raise BadOutput(got=f"the output {output.name!r} is a file", mend="name a folder, which may be a new one")
    from kfaar_core.attacks.run import AttackRun, run
    from kfaar_core.evaluate.runner import settings

    asked = AttackRun(
        data=data,
        preset=settings(get_preset(preset), method, None, precision),
        refine=refine,
        simulate=simulate,
        limit=limit,
        gallery=gallery,
        seed=seed,
        threads=threads,
        jobs=jobs,
    )
    with step_bar() as progress:
        paths = run(chosen, asked, output, progress)
    if as_json:
        show_json([str(path) for path in paths])
    else:
        typer.echo("\n".join(map(str, paths)))


def show_list(as_json: bool) -> None:
    """Print each attack: what the adversary holds, and what he wants to learn."""
    if as_json:
        show_json([{"name": a.name, "code": a.code, "holds": a.holds, "learns": a.learns} for a in attacks.every()])
        return
    for one in attacks.every():
        typer.echo(f"{one.code:<4} {one.name:<14} {one.title}. He holds {one.holds}; he wants to learn {one.learns}.")
