"""The command `ablation`: train P or KVFA without each of its losses, and compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfaar_core.presets import LAB, one_of

if TYPE_CHECKING:
    from kfaar_core.evaluate.ablation import Variant
    from kfaar_core.report.tables import Table

PARTS = ("projector", "kvfa")


@dataclass(frozen=True)
class Ablation:
    """What is trained and compared, see the options of the command."""

    part: str
    data: str
    weights: Path
    settings: tuple[str, ...]
    seeds: int
    resume: bool = False
    limit: int = 30
    keys: int = 2
    bits: int = 8
    jobs: int = 1
    variants: tuple[Variant, ...] = ()  # empty: those of Table IX or X


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
    from kfaar_core.evaluate.runner import write_table

    asked = Ablation(part, data, weights, tuple(settings), seeds, resume, limit, keys, bits, jobs)
    table, name = table_of(asked)
    typer.echo(str(write_table(output / name, table)))


def table_of(asked: Ablation) -> tuple[Table, str]:
    """Train all variants and compare them: the table, and the name of its file.

    Raises:
        BadSetting: an unknown part, setting or key length.
        DataMissing: a cache of the training is missing.
    """
    import torch

    from kfaar_core.data.photos import locate
    from kfaar_core.data.split import DEV, TEST
    from kfaar_core.evaluate import ablate_kvfa, ablate_projector
    from kfaar_core.evaluate.ablation import Repeats
    from kfaar_core.evaluate.context import EvaluationConfig
    from kfaar_core.scenarios import pairs
    from kfaar_core.train import bits as recipe
    from kfaar_core.train.data import TrainingData
    from kfaar_core.train.settings import LAB_TRAINING, with_settings

    one_of("part", asked.part, PARTS)
    name = one_of("method", f"bits-{asked.bits}", recipe.NAMES)
    torch.set_num_threads(1)
    training = with_settings(LAB_TRAINING, asked.settings)
    typer.echo(json.dumps(asdict(training), indent=2))
    repeats = Repeats(training, asked.seeds, asked.resume, asked.variants)
    training_data = TrainingData(training, locate(asked.data))
    if asked.part == "projector":
        bench = ablate_projector.bench_of(training_data)
        del training_data  # frees its pictures
        context = EvaluationConfig(
            replace(LAB, method="floor"), asked.data, asked.limit, threads=1, jobs=asked.jobs
        ).open()
        # Weights are chosen by Fig. 9b and Fig. 10, as in the paper; test people choose nothing.
        people = pairs.people(
            context.data.samples, context.data.identities_of(DEV if asked.variants else TEST), limit=asked.limit
        )
        table = ablate_projector.table_ix(bench, context, people, repeats, keys=asked.keys)
        return table, f"{LAB.name}-hashed-{context.data.name}-ix-shared"
    examples = recipe.keyed_examples(training_data, training_data.reader(asked.weights), name)
    held, unseen = ablate_kvfa.split(ablate_kvfa.triplets_of(examples, training_data.people), training.seed)
    draw = recipe.draw_of(training_data, examples, name, asked.weights, training_data.people.without(held))
    scaling, fixed = recipe.projector_reader(name), LAB.match_threshold
    table = ablate_kvfa.table_x(unseen, draw, scaling, repeats, bits=asked.bits, fixed=fixed)
    return table, f"{LAB.name}-{name}-renders-x"
