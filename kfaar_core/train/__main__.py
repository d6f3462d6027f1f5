"""Train what the presets `lab` and `paper` need, one artefact a command; `all` runs them in order.

`make weights` does so for `lab`. A command that trains prints its settings, logs each loss with the time left,
continues from its checkpoint with --resume, and writes a model card beside the weights.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import torch
import typer

from kfaar_core import cast, runtime
from kfaar_core.data.photos import locate
from kfaar_core.data.synthetic import write_examples
from kfaar_core.errors import BadSetting, KfaarError
from kfaar_core.files import scope_cache
from kfaar_core.manifest import write_manifest
from kfaar_core.pipeline import load
from kfaar_core.presets import LAB, PAPER, get_preset, one_of
from kfaar_core.train import bits, floor, geometry, hashed, identity, judge, ksame, looks, posture, reader
from kfaar_core.train.recipe import Recipe, RenderKind, Run, mixed_sampler
from kfaar_core.train.renders import render_cache
from kfaar_core.train.settings import LAB_TRAINING, with_settings

RENDERS: Mapping[str, RenderKind] = {
    "mixed": RenderKind(mixed_sampler, lambda run: run.data.held_out("mixed")[1]),
    "posed": RenderKind(floor.posed_sampler, lambda run: run.training.posed_shards),
    "draft": RenderKind(hashed.bootstrap_sampler, lambda run: run.data.held_out("draft")[1]),
    "hashed": RenderKind(hashed.projector_sampler, lambda run: run.data.held_out("hashed")[1]),
    **{
        name: RenderKind(partial(bits.projector_sampler, name=name), lambda run: run.training.bits_shards)
        for name in bits.NAMES
    },
}
PROJECTORS: Mapping[str, Recipe] = {
    "draft": hashed.train_bootstrap,
    "hashed": hashed.train_projector,
    **{name: partial(bits.train_projector, name=name) for name in bits.NAMES},
}
KVFAS: Mapping[str, Recipe] = {
    "styles": reader.train_styles,
    "hashed": reader.train_kvfa,
    "code": reader.refit_code,
    **{name: partial(bits.train_kvfa, name=name) for name in bits.NAMES},
}
CLOSED_FORMS: Mapping[str, Recipe] = {
    "posture": posture.fit_posture,
    "floor": floor.fit_floor,
    "identity": identity.fit_identity,
    "second": identity.fit_auxiliary,
    "ksame": ksame.make_gallery,
    "looks": looks.fit_looks,
}

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_show_locals=False)
Data = Annotated[str, typer.Option("--data", help="LFW: a parquet file, or a name in KFAAR_DATA")]
Out = Annotated[Path, typer.Option("-o", "--out", help="folder of the weights")]
Resume = Annotated[bool, typer.Option("--resume", help="continue from the checkpoint")]
Settings = Annotated[list[str], typer.Option("--set", help="name=value, for any number of train.settings")]
PresetName = Annotated[str, typer.Option("--preset", help="lab, or paper, for whose networks a GPU is needed")]
Device = Annotated[str, typer.Option("--device", help="cpu (surrogate models), cuda (renders while it trains) or auto")]
ASSETS = Path("assets/weights")
Named = TypeVar("Named")


@app.command()
def renders(
    kind: Annotated[str, typer.Argument(help=", ".join(RENDERS))] = "mixed",
    workers: Annotated[int, typer.Option(help="processes that share the work; start each with its own --worker")] = 1,
    worker: int = 0,
    data: Data = "lfw",
    out: Out = ASSETS,
    settings: Settings = [],  # noqa: B006
    device: Device = "cpu",
    preset: PresetName = LAB.name,
) -> None:
    """Render and label faces into the cache."""
    recipe = _of(RENDERS, "kind", kind)
    run = _run(data, out, settings=settings, device=device, preset=preset)
    torch.set_num_threads(1)
    shards = range(worker, recipe.shards(run), workers)
    render_cache(run.data.generator, kind, recipe.sampler(run), shards, run.training.seed)


@app.command("recogniser", hidden=True)  # its earlier name, which the committed model card has
@app.command("judge")
def judge_command(
    data: Data = "lfw",
    out: Out = ASSETS,
    resume: Resume = False,
    settings: Settings = [],  # noqa: B006
    device: Device = "cpu",
    preset: PresetName = LAB.name,
) -> None:
    """Distil the judge."""
    _train(judge.train_judge, _run(data, out, resume, settings, device, preset))


@app.command("geometry")
def geometry_command(
    data: Data = "lfw",
    out: Out = ASSETS,
    resume: Resume = False,
    settings: Settings = [],  # noqa: B006
    tune: Annotated[bool, typer.Option("--tune", help="continue with posed renders, from the weights in OUT")] = False,
) -> None:
    """Train the geometry network: first on photos and mixed renders, then (--tune) with posed renders as well."""
    _train(geometry.tune_geometry if tune else geometry.train_geometry, _run(data, out, resume, settings))


@app.command()
def projector(
    method: Annotated[str, typer.Argument(help=", ".join(PROJECTORS))] = "hashed",
    data: Data = "lfw",
    out: Out = ASSETS,
    resume: Resume = False,
    settings: Settings = [],  # noqa: B006
    device: Device = "cpu",
    preset: PresetName = LAB.name,
) -> None:
    """Train P (Eq. 6-10); `draft` is the bootstrap P of `hashed`."""
    _train(_of(PROJECTORS, "method", method), _run(data, out, resume, settings, device, preset))


@app.command()
def kvfa(
    method: Annotated[str, typer.Argument(help=", ".join(KVFAS))],
    data: Data = "lfw",
    out: Out = ASSETS,
    resume: Resume = False,
    settings: Settings = [],  # noqa: B006
    threads: Annotated[int, typer.Option(help="of the CPU")] = 1,
    device: Device = "cpu",
    preset: PresetName = LAB.name,
) -> None:
    """Train KVFA (Eq. 17-24): F on `styles`, then on the code of `hashed`; `code` fits h alone; bits-N: its MLP."""
    recipe = _of(KVFAS, "method", method)
    torch.set_num_threads(threads)
    _train(recipe, _run(data, out, resume, settings, device, preset))


@dataclass(frozen=True)
class Step:
    """One step of `all`: a kind of renders, or a recipe."""

    name: str  # as on the command line
    does: Recipe | RenderKind
    settings: tuple[str, ...] = ()  # besides those of the command
    shared: bool = False  # with the other presets: made for `lab` alone


SHORT = "styled_shards=32"  # fewer renders than F's first training had
STEPS = (
    Step("renders mixed", RENDERS["mixed"]),
    Step("judge", judge.train_judge, shared=True),
    Step("geometry", geometry.train_geometry, shared=True),
    Step("renders posed", RENDERS["posed"]),
    Step("geometry --tune", geometry.tune_geometry, shared=True),
    Step("floor", floor.fit_floor),
    Step("identity", identity.fit_identity),
    Step("second", identity.fit_auxiliary, shared=True),
    Step("ksame", ksame.make_gallery, shared=True),
    Step("looks", looks.fit_looks, shared=True),
    Step("projector draft", PROJECTORS["draft"]),
    Step("renders draft", RENDERS["draft"]),
    Step("kvfa styles", KVFAS["styles"]),
    Step("projector hashed", PROJECTORS["hashed"], (SHORT, "draft_shards=0")),
    Step("renders hashed", RENDERS["hashed"]),
    Step("posture", posture.fit_posture),
    Step("kvfa hashed", KVFAS["hashed"]),
    *(
        step
        for name in bits.NAMES
        for step in (
            Step(f"projector {name}", PROJECTORS[name], (SHORT,)),
            Step(f"renders {name}", RENDERS[name]),
            Step(f"kvfa {name}", KVFAS[name], (SHORT,)),
        )
    ),
)


@app.command("all")
def all_command(
    data: Data = "lfw",
    out: Out = ASSETS,
    resume: Resume = False,
    settings: Settings = [],  # noqa: B006
    device: Device = "auto",
    preset: PresetName = LAB.name,
) -> None:
    """Train everything that a preset needs, in order, and pin it. A run that was stopped continues with --resume."""
    run = _run(data, out, resume, settings, device, preset)
    steps = [step for step in STEPS if run.preset == LAB or not step.shared]
    for number, step in enumerate(steps, 1):
        typer.echo(f"{number}/{len(steps)} {step.name}", err=True)
        own = replace(run, training=with_settings(run.training, step.settings))
        if isinstance(step.does, RenderKind):
            kind, shards = step.name.split()[1], range(step.does.shards(own))
            render_cache(own.data.generator, kind, step.does.sampler(own), shards, own.training.seed)
        else:
            typer.echo(json.dumps({step.name: step.does(own)}))
    out.mkdir(parents=True, exist_ok=True)
    typer.echo(write_manifest(out))


@app.command()
def examples(out: Annotated[Path, typer.Option("-o", "--out")] = Path("assets/examples")) -> None:
    """Render the synthetic example photos of the app."""
    for path in write_examples(load("lab"), out):
        typer.echo(path)


def _closed_form(name: str, recipe: Recipe) -> None:
    """Add the command of a recipe that trains no network."""

    def fit(data: Data = "lfw", out: Out = ASSETS, settings: Settings = []) -> None:  # noqa: B006
        _train(recipe, _run(data, out, settings=settings))

    app.command(name, help=recipe.__doc__)(fit)


for _name, _recipe in CLOSED_FORMS.items():
    _closed_form(_name, _recipe)


def _of(recipes: Mapping[str, Named], what: str, name: str) -> Named:
    """
    Raises:
        BadSetting: there is no recipe of that name.
    """
    return recipes[one_of(what, name, recipes)]


def _run(
    data: str,
    out: Path,
    resume: bool = False,
    settings: list[str] | None = None,
    device: str = "cpu",
    preset: str = LAB.name,
) -> Run:
    """What the options of a command ask for.

    Raises:
        BadSetting: an unknown setting, device or preset, `cuda` where there is none, or a preset that is not trained
            here. DataMissing: no LFW.
    """
    training, place = with_settings(LAB_TRAINING, settings or []), _device(device, preset)
    chosen = get_preset(preset)
    if chosen != LAB:
        scope_cache(chosen.name)
        out = out / chosen.name
    return Run(training, locate(data), out, resume, place, tuple(sys.argv[1:]), chosen)


def _device(name: str, preset: str) -> torch.device:
    """Where to train: `cpu` with surrogate models (train.data), `cuda` with renders (train.live)."""
    if get_preset(preset).name not in (LAB.name, PAPER.name):
        raise BadSetting(got=f"the preset {preset!r} has nothing to train", mend=f"use {LAB.name}")
    cast.check_present(get_preset(preset))
    found = runtime.device(name)
    if name == "auto":  # the results differ, so the choice must be seen
        typer.echo(f"device: {found.type}", err=True)
    return found


def _train(recipe: Recipe, run: Run) -> None:
    """Print the settings, train, print the metrics."""
    typer.echo(json.dumps(asdict(run.training), indent=2))
    typer.echo(json.dumps(recipe(run), indent=2))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or 1 with one sentence on standard error where a setting, a file or data is at fault."""
    try:
        app(arguments)
    except KfaarError as error:
        typer.echo(str(error), err=True)
        return 1
    except SystemExit as done:
        return int(done.code or 0)
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sys.exit(main())
