"""ablation: train P or KVFA without each of its losses in turn, and compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfaar_core.presets import LAB, one_of

if TYPE_CHECKING:
    from kfaar_core.report.tables import Table
    from kfaar_core.train.data import TrainingData

PARTS = ("projector", "kvfa")


def ablation(
    part: Annotated[str, typer.Argument(metavar="|".join(PARTS), help="Table IX or Table X")],
    data: Annotated[str, typer.Option("--data", help="LFW: a parquet file, or a name in KFAAR_DATA")] = "lfw",
    weights: Annotated[Path, typer.Option("--weights", help="folder of the weights, for F")] = Path("assets/weights"),
    output: Annotated[Path, typer.Option("-o", "--output", "--out", help="folder of the result")] = Path(
        "assets/scores"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="continue from the checkpoints")] = False,
    settings: Annotated[list[str], typer.Option("--set", help="name=value, for any number of train.settings")] = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each variant")] = 3,
    limit: Annotated[int, typer.Option(min=2, metavar="PEOPLE", help="projector: test people")] = 30,
    keys: Annotated[int, typer.Option(min=2, help="projector: keys that everyone shares")] = 2,
    bits: Annotated[int, typer.Option(help="kvfa: length of the keys")] = 8,
    jobs: Annotated[int, typer.Option(min=1, help="projector: processes that generate faces")] = 1,
) -> None:
    """Train P or KVFA without each of its losses in turn, and compare; needs the caches of kfaar_core.train."""
    import torch

    from kfaar_core.data.photos import locate
    from kfaar_core.evaluate.runner import write_table
    from kfaar_core.train.bits import NAMES
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.settings import LAB_TRAINING, with_settings

    one_of("part", part, PARTS)
    name = one_of("method", f"bits-{bits}", NAMES)
    torch.set_num_threads(1)
    training = with_settings(LAB_TRAINING, settings)
    typer.echo(json.dumps(asdict(training), indent=2))
    training_data, ask = TrainingData(training, locate(data)), Ask(data, seeds, limit, keys, jobs, resume)
    if part == "projector":
        stem, table = _projector(training_data, ask)
    else:
        stem, table = _kvfa(training_data, ask, name, weights)
    typer.echo(str(write_table(output / stem, table)))


@dataclass(frozen=True)
class Ask:
    """What both parts are asked for."""

    data: str
    seeds: int
    limit: int
    keys: int
    jobs: int
    resume: bool


def _projector(training_data: TrainingData, ask: Ask) -> tuple[str, Table]:
    """The name of the file and Table IX."""
    from kfaar_core.data.split import TEST
    from kfaar_core.evaluate.ablate_projector import bench_of, table_ix
    from kfaar_core.evaluate.context import EvaluationConfig
    from kfaar_core.scenarios import pairs

    bench = bench_of(training_data)
    config = EvaluationConfig(replace(LAB, method="floor"), ask.data, ask.limit, threads=1, jobs=ask.jobs)
    context = config.open()
    people = pairs.people(context.data.samples, context.data.identities_of(TEST), limit=ask.limit)
    table = table_ix(bench, context, people, training_data.training, seeds=ask.seeds, keys=ask.keys, resume=ask.resume)
    return f"{LAB.name}-hashed-{context.data.name}-ix-shared", table


def _kvfa(training_data: TrainingData, ask: Ask, name: str, weights: Path) -> tuple[str, Table]:
    """The name of the file and Table X."""
    from kfaar_core.evaluate.ablate_kvfa import split, table_x, triplets_of
    from kfaar_core.train.bits import NAMES, draw_of, keyed_examples, projector_reader

    training, people = training_data.training, training_data.people
    examples = keyed_examples(training_data, training_data.reader(weights), name)
    held, unseen = split(triplets_of(examples, people), training.seed)
    draw = draw_of(training_data, examples, name, weights, people.without(held))
    table = table_x(
        unseen,
        draw,
        projector_reader(name),
        training,
        bits=NAMES[name],
        fixed=LAB.match_threshold,
        seeds=ask.seeds,
        resume=ask.resume,
    )
    return f"{LAB.name}-{name}-renders-x", table
