"""Train what the `lab` preset carries:

python -m kfaar_core.train {renders,recogniser,geometry,posture,floor,identity,second,projector,kvfa,examples,ablation}

`make weights` re-makes every weight of ours with them, in order. A command that trains prints its configuration, logs
each loss with the time left, resumes after a kill, and writes a model card beside the weights.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor

from kfaar_core import runtime, weights
from kfaar_core.data.photos import locate
from kfaar_core.data.split import TEST
from kfaar_core.data.synthetic import write_examples
from kfaar_core.errors import BadSetting, KfaarError
from kfaar_core.evaluate.context import EvaluationConfig
from kfaar_core.evaluate.runner import write_table
from kfaar_core.files import cache_folder
from kfaar_core.methods.bits import KEY_LENGTHS, bits_net
from kfaar_core.methods.hashed import hashed_net
from kfaar_core.pipeline import load
from kfaar_core.presets import LAB, get_preset
from kfaar_core.quantised import quantised
from kfaar_core.results import safe_command
from kfaar_core.scenarios import pairs
from kfaar_core.train import ablate_kvfa, ablate_projector
from kfaar_core.train import floor as floor_fit
from kfaar_core.train import geometry as geometry_fit
from kfaar_core.train import posture as posture_fit
from kfaar_core.train import projector as projector_fit
from kfaar_core.train import recogniser as recogniser_fit
from kfaar_core.train.identity import identity_report
from kfaar_core.train.live import LiveRoad
from kfaar_core.train.loop import Plan
from kfaar_core.train.photos import LabelledPhotos, load_photos
from kfaar_core.train.renders import (
    Renders,
    Samples,
    bits_styles,
    code_styles,
    load_renders,
    mixed_styles,
    posed_styles,
    render_cache,
)
from kfaar_core.train.road import Road
from kfaar_core.train.settings import LAB_TRAINING, Training, with_settings
from kfaar_core.train.teachers import load_mobilefacenet

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_show_locals=False)
DataOption = Annotated[str, typer.Option("--data", help="LFW: a parquet file, or a name in KFAAR_DATA")]
OutOption = Annotated[Path, typer.Option("-o", "--out", help="folder of the weights")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="go on from the checkpoint")]
SetOption = Annotated[list[str], typer.Option("--set", help="name=value, for any number of train.settings")]
PresetOption = Annotated[str, typer.Option("--preset", help="only lab has networks to train")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu (stand-ins), cuda (through the generator) or auto")]
CPU = torch.device("cpu")
ASSETS = Path("assets/weights")
LARGE = ("net.texture_axes", "net.hidden.3.weight", "net.hidden.6.weight")  # weights of F that are kept as bytes


@app.command()
def renders(
    kind: Annotated[
        str, typer.Argument(help="mixed (any style), posed (as the floor makes them), draft, hashed or bits-N")
    ] = "mixed",
    workers: Annotated[int, typer.Option(help="processes that share the work; start each with its own --worker")] = 1,
    worker: int = 0,
    data: DataOption = "lfw",
    out: OutOption = ASSETS,
    settings: SetOption = [],  # noqa: B006
    device: DeviceOption = "cpu",
    preset: PresetOption = LAB.name,
) -> None:
    """Render and label faces into the cache."""
    _check_form(kind, "mixed", "posed", "draft", "hashed")
    place = _device(device, preset)
    training = with_settings(LAB_TRAINING, settings)
    road = _road(training, data, place)
    generator = road.generator
    torch.set_num_threads(1)
    shards = {
        "mixed": road.unseen("mixed")[1],
        "posed": training.posed_shards,
        **{form: road.unseen(form)[1] for form in ("draft", "hashed")},
    }

    def sample(rng: np.random.Generator, count: int) -> Samples:
        if kind in ("draft", "hashed"):
            folder = cache_folder("projector/draft") if kind == "draft" else out
            state = load_file(folder / "projector_hashed.safetensors")
            hashed = hashed_net(state, len(state["identity.map"]))
            return code_styles(hashed, road.space, training.look_size, road.fitted.step, rng, count)
        if kind.startswith("bits"):
            bits, truncation = _bits(kind), training.bits_truncation
            net = bits_net(load_file(out / f"projector_bits_{bits}.safetensors"), bits)
            return bits_styles(net, generator, truncation, road.people, bits, road.fitted.step, rng, count)
        if kind == "mixed":
            return mixed_styles(generator, rng, count)
        return posed_styles(road.fitted.directions, road.fitted.step, rng, count)

    render_cache(generator, kind, sample, shards.get(kind, training.bits_shards), training.seed, worker, workers)


@app.command()
def recogniser(
    data: DataOption = "lfw",
    out: OutOption = ASSETS,
    resume: ResumeOption = False,
    settings: SetOption = [],  # noqa: B006
    device: DeviceOption = "cpu",
    preset: PresetOption = LAB.name,
) -> None:
    """Distil the judge."""
    place = _device(device, preset)
    training = with_settings(LAB_TRAINING, settings)
    _print(training)
    lesson = recogniser_fit.prepare(locate(data), "train", training.mixed_shards)
    plan = Plan(steps=training.judge_steps, rate=training.rate, decay=training.judge_decay)
    folder, teacher = cache_folder("judge/run"), load_mobilefacenet()
    net = recogniser_fit.distil(lesson, teacher, plan, training.judge_batch, training.seed, folder, resume, place)
    state = {f"net.{name}": tensor.contiguous() for name, tensor in net.state_dict().items()}
    state["mean"] = recogniser_fit.mean_feature(net, lesson.crops[: lesson.photos])
    unseen = recogniser_fit.prepare(locate(data), "dev", 0)
    _save(out / "judge.safetensors", state, training, recogniser_fit.report(net, teacher, unseen.crops))


@app.command()
def geometry(
    data: DataOption = "lfw",
    out: OutOption = ASSETS,
    resume: ResumeOption = False,
    tune: Annotated[bool, typer.Option("--tune", help="go on with posed renders, from the weights in OUT")] = False,
) -> None:
    """Train the geometry network: first on photos and mixed renders, then (--tune) with posed renders as well."""
    training = LAB_TRAINING
    _print(training)
    lfw, path = locate(data), out / "geometry.safetensors"
    seen: list[LabelledPhotos | Renders] = [
        load_photos(lfw, "train"),
        load_renders("mixed", training.mixed_shards),
    ]
    if tune:
        plan = Plan(steps=training.tune_steps, rate=training.tune_rate, decay=training.geometry_decay)
        faces = geometry_fit.labelled(*seen, load_renders("posed", training.posed_shards))
        folder, start = cache_folder("geometry/tune"), load_file(path)
    else:
        plan = Plan(steps=training.geometry_steps, rate=training.rate, decay=training.geometry_decay)
        faces, folder, start = geometry_fit.labelled(*seen), cache_folder("geometry/run"), None
    net = geometry_fit.learn(faces, plan, training.batch, training.seed + tune, folder, resume, start)
    found = {part: geometry_fit.report(net, geometry_fit.labelled(load_photos(lfw, part))) for part in ("dev", "test")}
    _save(path, dict(net.state_dict()), training, found)


@app.command()
def posture(data: DataOption = "lfw", out: OutOption = ASSETS) -> None:
    """Fit the gain of the latent posture correction, and the rows that tell a posture from a latent."""
    found, gain = Road(LAB_TRAINING, locate(data)).run_time_gain()
    report = posture_fit.report(found, gain)
    for file, name, values in (("posture", "gain", gain), ("posture_rows", "rows", found.rows)):
        state = {name: torch.from_numpy(values.astype(np.float32))}
        _save(out / f"{file}.safetensors", state, LAB_TRAINING, report)


@app.command()
def floor(data: DataOption = "lfw", out: OutOption = ASSETS) -> None:
    """Fit the linear floor: identity map, payload directions, reader."""
    training = LAB_TRAINING
    road = Road(training, locate(data))
    fitted = road.fitted
    posed = load_renders("posed", training.posed_shards)
    floor_fit.check_posed(fitted, posed, training.seed)
    seen = road.features(posed, "renders-posed")
    kept = np.arange(len(seen)) % 8 > 0  # one render in eight tests the reader
    reader = floor_fit.fit_reader(seen[kept], posed.payload[kept], training.reader_ridge)
    state = {**fitted.identity, **floor_fit.directions_state(fitted.directions), **reader}
    found = floor_fit.report(reader, seen[~kept], posed.payload[~kept])
    _save(
        out / "floor.safetensors",
        {name: tensor.half() for name, tensor in state.items()},
        training,
        found,
        ["nuisance"],
    )


@app.command()
def identity(data: DataOption = "lfw", out: OutOption = ASSETS) -> None:
    """Fit u of `hashed`: who a photo shows."""
    lfw = locate(data)
    road, unseen = Road(LAB_TRAINING, lfw), load_photos(lfw, "dev")
    state = road.photo_identity
    seen = road.pair_features(unseen, "lfw-dev")
    found = identity_report(state, seen, unseen.people, road.rarer_side(seen, unseen.people))
    alone = identity_report(road.identity, road.features(unseen, "lfw-dev"), unseen.people)
    found |= {f"of_e_alone_{name}": value for name, value in alone.items()}  # what P learned with
    _save(out / "identity.safetensors", {name: tensor.float() for name, tensor in state.items()}, LAB_TRAINING, found)


@app.command()
def second(data: DataOption = "lfw", out: OutOption = ASSETS) -> None:
    """Fit u of the second recogniser alone, to which faces are refined."""
    lfw = locate(data)
    road, unseen = Road(LAB_TRAINING, lfw), load_photos(lfw, "dev")
    state = road.second_identity
    found = identity_report(state, road.second_features(unseen, "lfw-dev"), unseen.people)
    _save(out / "second.safetensors", {name: tensor.float() for name, tensor in state.items()}, LAB_TRAINING, found)


@app.command()
def projector(
    form: Annotated[str, typer.Argument(help="draft, hashed, bits-8, bits-128 or bits-256")] = "hashed",
    data: DataOption = "lfw",
    out: OutOption = ASSETS,
    resume: ResumeOption = False,
    settings: SetOption = [],  # noqa: B006
    device: DeviceOption = "cpu",
    preset: PresetOption = LAB.name,
) -> None:
    """Train P (Eq. 6-10)."""
    _check_form(form, "draft", "hashed")
    place = _device(device, preset)
    training = with_settings(LAB_TRAINING, settings)
    _print(training)
    road = _road(training, data, place)
    folder = cache_folder(f"projector/{form}")
    proxy = road.proxy(drafted=form == "hashed")
    if form in ("draft", "hashed"):
        torch.manual_seed(training.seed)
        channel = road.channel(None, "mixed") if form == "draft" else road.channel(road.styles_reader(), "draft")
        axes = projector_fit.payload_axes(channel, training.code_dimension)
        hashed = projector_fit.start(training.code_dimension, axes, training)
        projector_fit.train_hashed(road.people, hashed, proxy, channel, training, folder, resume, place.type)
        state = {**_under("net.", hashed.state_dict()), **road.natural, **road.identity}
        state["look.size"] = torch.tensor(training.look_size)
    else:
        channel = road.channel(road.reader(out), "mixed")
        lesson = projector_fit.train_bits(
            road.people, _bits(form), road.generator, proxy, channel, training, folder, resume, place.type
        )
        save_file(lesson.reader.state_dict(), folder / "reader.safetensors")
        net, people = lesson.net, road.people
        state = {**_under("net.", net.state_dict()), "truncation": torch.tensor(training.bits_truncation)}
        state |= {"feature.mean": people.feature_mean, "feature.scale": people.feature_scale}
    if form == "draft":
        save_file(
            {name: tensor.contiguous() for name, tensor in state.items()}, folder / "projector_hashed.safetensors"
        )
        return
    _save(out / f"projector_{form.replace('-', '_')}.safetensors", state, training, _last_losses(folder))


@app.command()
def kvfa(
    form: Annotated[str, typer.Argument(help="styles, hashed (F's lessons), code (h alone), bits-N")],
    data: DataOption = "lfw",
    out: OutOption = ASSETS,
    resume: ResumeOption = False,
    settings: SetOption = [],  # noqa: B006
    threads: Annotated[int, typer.Option(help="of the CPU")] = 1,
    device: DeviceOption = "cpu",
    preset: PresetOption = LAB.name,
) -> None:
    """Train KVFA (Eq. 17-24)."""
    _check_form(form, "styles", "hashed", "code")
    place = _device(device, preset)
    torch.set_num_threads(threads)
    training = with_settings(LAB_TRAINING, settings)
    _print(training)
    road, folder = _road(training, data, place), cache_folder(f"kvfa/{form}")
    if form == "styles":
        typer.echo(json.dumps(road.teach_styles(folder, resume), indent=2))
    elif form == "hashed":
        net, found = road.teach_code(folder, resume)
        code, read = road.fit_code(net)
        _save(out / "kvfa.safetensors", {**_under("net.", net.state_dict()), **code}, training, found | read, LARGE)
    elif form == "code":
        net, card = road.reader(out), json.loads((out / "kvfa.card.json").read_text())
        code, read = road.fit_code(net)
        found = card["metrics"] | read | {"F was taught by": card["metrics"].get("F was taught by", card["command"])}
        _save(out / "kvfa.safetensors", {**_under("net.", net.state_dict()), **code}, training, found, LARGE)
    else:
        keyed, found = road.teach_keyed(out, _bits(form), folder, resume)
        _save(out / f"kvfa_{form.replace('-', '_')}.safetensors", dict(keyed.state_dict()), training, found)


@app.command()
def examples(out: Annotated[Path, typer.Option("-o", "--out")] = Path("assets/examples")) -> None:
    """Render the synthetic example photos of the app."""
    for path in write_examples(load("lab"), out, LAB_TRAINING.example_seeds):
        typer.echo(path)


@app.command()
def ablation(
    part: Annotated[str, typer.Argument(help="projector (Table IX) or kvfa (Table X)")],
    data: DataOption = "lfw",
    weights_folder: Annotated[Path, typer.Option("--weights", help="folder of the weights, for F")] = ASSETS,
    out: Annotated[Path, typer.Option("-o", "--out", help="folder of the result")] = Path("assets/scores"),
    resume: Annotated[bool, typer.Option("--resume", help="go on from the checkpoints")] = False,
    settings: SetOption = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each variant")] = 3,
    limit: Annotated[int, typer.Option(min=2, metavar="PEOPLE", help="projector: test people")] = 30,
    keys: Annotated[int, typer.Option(min=2, help="projector: keys that everyone shares")] = 2,
    bits: Annotated[int, typer.Option(help="kvfa: length of the keys")] = 8,
    jobs: Annotated[int, typer.Option(min=1, help="projector: processes that make faces")] = 1,
) -> None:
    """Leave out each loss of P or of KVFA in turn, train again, and compare."""
    if part not in ("projector", "kvfa"):
        raise BadSetting(got=f"the part {part!r} is unknown", mend="choose projector or kvfa")
    _check_form(f"bits-{bits}")
    torch.set_num_threads(1)
    training = with_settings(LAB_TRAINING, settings)
    _print(training)
    road = Road(training, locate(data))
    if part == "projector":
        bench = ablate_projector.bench_of(road)
        del road  # and all the pictures that it holds
        context = EvaluationConfig(replace(LAB, method="floor"), data, limit, threads=1, jobs=jobs).open()
        people = pairs.people(context.data.samples, context.data.identities_of(TEST), limit=limit)
        table = ablate_projector.table_ix(bench, context, people, training, seeds=seeds, keys=keys, resume=resume)
        stem = f"{LAB.name}-hashed-{context.data.name}-ix-shared"
    else:
        sights, payload = road.keyed_sights(road.reader(weights_folder), bits)
        held, triplets = ablate_kvfa.split(ablate_kvfa.triplets_of(sights, payload, road.people), training.seed)
        draw = road.keyed_draw(sights, bits, weights_folder, road.people.without(held))
        scaling, fixed = road.stand_in(bits), LAB.match_threshold
        table = ablate_kvfa.table_x(
            triplets, draw, scaling, training, bits=bits, fixed=fixed, seeds=seeds, resume=resume
        )
        stem = f"{LAB.name}-bits-{bits}-renders-x"
    typer.echo(write_table(out / stem, table))


def _device(name: str, preset: str) -> torch.device:
    """Where to train: `cpu` is the road of train.road, `cuda` that of train.live.

    Raises:
        BadSetting: an unknown device or preset, `cuda` where there is none, or a preset that is not trained here.
    """
    if get_preset(preset).name != LAB.name:
        raise BadSetting(got=f"the preset {preset!r} has nothing to train", mend=f"use {LAB.name}")
    found = runtime.device(name)
    if name == "auto":  # the roads differ, so the choice must be seen
        typer.echo(f"device: {found.type}", err=True)
    return found


def _road(training: Training, data: str, device: torch.device) -> Road:
    lfw = locate(data)
    return Road(training, lfw) if device.type == "cpu" else LiveRoad(training, lfw, device)


def _bits(form: str) -> int:
    """`bits-8` -> 8."""
    return int(form.removeprefix("bits-"))


def _check_form(form: str, *others: str) -> None:
    """
    Raises:
        BadSetting: neither one of the others nor `bits` for a key length that has networks.
    """
    known = (*others, *(f"bits-{length}" for length in KEY_LENGTHS))
    if form not in known:
        raise BadSetting(got=f"the form {form!r} is unknown", mend=f"choose one of {', '.join(known)}")


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def _last_losses(folder: Path) -> dict[str, float]:
    """The last line of a run's log: each term, unweighted, over its last steps."""
    with (folder / "log.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    return {name: float(value) for name, value in last.items()}


def _print(training: Training) -> None:
    typer.echo(json.dumps(asdict(training), indent=2))


def _save(
    path: Path, state: dict[str, Tensor], training: Training, metrics: dict, as_bytes: Collection[str] = ()
) -> None:
    """Weights as float16 where they are large, with a model card beside them; `convert manifest` pins them.

    Args:
        as_bytes: weights that are kept as 8-bit levels.
    """
    small: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in as_bytes:
            small |= quantised(name, tensor)
        else:
            small[name] = tensor.half() if tensor.numel() > 4096 else tensor
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in small.items()}, path)
    card = {
        "command": safe_command(["python", "-m", "kfaar_core.train", *sys.argv[1:]]),
        "data": "LFW-train identities (split by sha256 of the name) and generated faces; see NOTICE",
        "training": asdict(training),
        "metrics": metrics,
        "limits": weights.entry(path.stem).limits,
    }
    path.with_suffix(".card.json").write_text(json.dumps(card, indent=2) + "\n")
    typer.echo(json.dumps(metrics, indent=2))


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
