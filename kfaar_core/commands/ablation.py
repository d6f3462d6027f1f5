"""The command `ablation`: train P or KVFA without each of its losses, and compare."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from kfaar_core.presets import LAB, one_of

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
    seeds: Annotated[int, typer.Option(min=1, help="training runs of each variant")] = 3,
    limit: Annotated[int, typer.Option(min=2, metavar="PEOPLE", help="projector: test people")] = 30,
    keys: Annotated[int, typer.Option(min=2, help="projector: keys that everyone shares")] = 2,
    bits: Annotated[int, typer.Option(help="kvfa: length of the keys")] = 8,
    jobs: Annotated[int, typer.Option(min=1, help="projector: processes that generate faces")] = 1,
) -> None:
    """Train P or KVFA without each of its losses, and compare. Needs the caches of kfaar_core.train."""
    import torch

    from kfaar_core.data.photos import locate
    from kfaar_core.data.split import TEST
    from kfaar_core.evaluate import ablate_kvfa, ablate_projector
    from kfaar_core.evaluate.ablation import Repeats
    from kfaar_core.evaluate.context import EvaluationConfig
    from kfaar_core.evaluate.runner import write_table
    from kfaar_core.scenarios import pairs
    from kfaar_core.train import bits as recipe
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.settings import LAB_TRAINING, with_settings

    one_of("part", part, PARTS)
    name = one_of("method", f"bits-{bits}", recipe.NAMES)
    torch.set_num_threads(1)
    training = with_settings(LAB_TRAINING, settings)
    typer.echo(json.dumps(asdict(training), indent=2))
    repeats = Repeats(training, seeds, resume)
    training_data = TrainingData(training, locate(data))
    if part == "projector":
        bench = ablate_projector.bench_of(training_data)
        del training_data  # frees its pictures
        context = EvaluationConfig(replace(LAB, method="floor"), data, limit, threads=1, jobs=jobs).open()
        people = pairs.people(context.data.samples, context.data.identities_of(TEST), limit=limit)
        table = ablate_projector.table_ix(bench, context, people, repeats, keys=keys)
        stem = f"{LAB.name}-hashed-{context.data.name}-ix-shared"
    else:
        examples = recipe.keyed_examples(training_data, training_data.reader(weights), name)
        held, unseen = ablate_kvfa.split(ablate_kvfa.triplets_of(examples, training_data.people), training.seed)
        draw = recipe.draw_of(training_data, examples, name, weights, training_data.people.without(held))
        scaling, fixed = recipe.projector_reader(name), LAB.match_threshold
        table = ablate_kvfa.table_x(unseen, draw, scaling, repeats, bits=bits, fixed=fixed)
        stem = f"{LAB.name}-{name}-renders-x"
    typer.echo(str(write_table(output / stem, table)))
