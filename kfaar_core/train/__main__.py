"""Train what the `lab` preset carries: python -m kfaar_core.train {renders,recogniser,geometry,posture,floor}.

In this order `make weights` re-makes every weight of ours. Each command prints its configuration, logs each loss with
the time left, resumes after a kill, and writes a model card beside the weights.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor

from kfaar_core import weights
from kfaar_core.evaluate.data import locate
from kfaar_core.evaluate.results import safe_command
from kfaar_core.files import cache_folder
from kfaar_core.nets.dlib_resnet import DlibResnet
from kfaar_core.pipeline import load
from kfaar_core.stages.assemble import recogniser as build_recogniser
from kfaar_core.stages.encode import DLIB
from kfaar_core.stages.generate import OpenVinoGenerator
from kfaar_core.train import floor as floor_fit
from kfaar_core.train import geometry as geometry_fit
from kfaar_core.train import posture as posture_fit
from kfaar_core.train import recogniser as recogniser_fit
from kfaar_core.train.examples import write_examples
from kfaar_core.train.features import features
from kfaar_core.train.loop import Plan
from kfaar_core.train.photos import LabelledPhotos, load_photos
from kfaar_core.train.renders import Renders, Samples, load_renders, mixed_styles, posed_styles, render_cache
from kfaar_core.train.settings import LAB_TRAINING, Training

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_show_locals=False)
DataOption = Annotated[str, typer.Option("--data", help="LFW: a parquet file, or a name in KFAAR_DATA")]
OutOption = Annotated[Path, typer.Option("-o", "--out", help="folder of the weights")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="go on from the checkpoint")]
CPU = torch.device("cpu")
ASSETS = Path("assets/weights")


@app.command()
def renders(
    kind: Annotated[str, typer.Argument(help="mixed (any style) or posed (as the floor makes them)")] = "mixed",
    workers: Annotated[int, typer.Option(help="processes that share the work; start each with its own --worker")] = 1,
    worker: int = 0,
    data: DataOption = "lfw",
) -> None:
    """Render and label faces into the cache."""
    training = LAB_TRAINING
    generator = OpenVinoGenerator(weights.load("mobile_stylegan"), precision="bf16", threads=1)
    torch.set_num_threads(1)
    shards = {"mixed": training.mixed_shards, "posed": training.posed_shards}[kind]

    def sample(rng: np.random.Generator, count: int) -> Samples:
        if kind == "mixed":
            return mixed_styles(generator, rng, count)
        fitted = _fitted(training, data)
        return posed_styles(fitted.directions, fitted.posture, fitted.gain, fitted.targets, rng, count)

    render_cache(generator, kind, sample, shards, training.seed, worker, workers)


@app.command()
def recogniser(data: DataOption = "lfw", out: OutOption = ASSETS, resume: ResumeOption = False) -> None:
    """Distil the judge."""
    training = LAB_TRAINING
    _print(training)
    lesson = recogniser_fit.prepare(locate(data, False), "train", training.mixed_shards)
    plan = Plan(steps=training.judge_steps, rate=training.rate, decay=training.judge_decay)
    folder = cache_folder("judge/run")
    net = recogniser_fit.distil(lesson, plan, training.batch, training.seed, folder, resume)
    photos = len(load_photos(locate(data, False), "train").pictures)
    state = {f"net.{name}": tensor.contiguous() for name, tensor in net.state_dict().items()}
    state["mean"] = recogniser_fit.mean_feature(net, lesson.crops[:photos])
    unseen = recogniser_fit.prepare(locate(data, False), "dev", 0)
    _save(out / "judge.safetensors", state, training, recogniser_fit.report(net, unseen))


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
    lfw, path = locate(data, False), out / "geometry.safetensors"
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
    """Fit the gain of the latent posture correction."""
    fitted = _fitted(LAB_TRAINING, data)
    gain = floor_fit.priced_gain(fitted.posture, fitted.noise, LAB_TRAINING.correction)
    state = {"gain": torch.from_numpy(gain.astype(np.float32))}
    _save(out / "posture.safetensors", state, LAB_TRAINING, posture_fit.report(fitted.posture, gain))


@app.command()
def floor(data: DataOption = "lfw", out: OutOption = ASSETS) -> None:
    """Fit the linear floor: identity map, payload directions, reader."""
    training = LAB_TRAINING
    fitted = _fitted(training, data)
    posed = load_renders("posed", training.posed_shards)
    floor_fit.check_posed(fitted, posed, training.seed)
    seen = _features(posed, "renders-posed")
    kept = np.arange(len(seen)) % 8 > 0  # one render in eight tests the reader
    reader = floor_fit.fit_reader(seen[kept], posed.payload[kept], training.reader_ridge)
    state = {**fitted.identity, **floor_fit.directions_state(fitted.directions), **reader}
    found = floor_fit.report(reader, seen[~kept], posed.payload[~kept])
    _save(out / "floor.safetensors", {name: tensor.half() for name, tensor in state.items()}, training, found)


@app.command()
def examples(out: Annotated[Path, typer.Option("-o", "--out")] = Path("assets/examples")) -> None:
    """Render the synthetic example photos of the app."""
    for path in write_examples(load("lab"), out, LAB_TRAINING.example_seeds):
        typer.echo(path)


def _fitted(training: Training, data: str) -> floor_fit.Fitted:
    """Posture rows, gain, identity map and payload directions: closed forms over the mixed renders and LFW-train."""
    faces = load_renders("mixed", training.mixed_shards)
    photos = load_photos(locate(data, False), "train")
    return floor_fit.fit_all(training, faces, _features(faces, "renders-mixed"), photos, _features(photos, "lfw-train"))


def _features(faces: LabelledPhotos | Renders, name: str) -> np.ndarray:
    encoder = build_recogniser(DlibResnet(), DLIB, weights.load("dlib_resnet"), CPU, flip=False)
    return features(encoder, faces, name)


def _print(training: Training) -> None:
    typer.echo(json.dumps(asdict(training), indent=2))


def _save(path: Path, state: dict[str, Tensor], training: Training, metrics: dict) -> None:
    """Weights as float16 where they are large, with a model card beside them and the manifest renewed."""
    small = {name: tensor.half() if tensor.numel() > 4096 else tensor for name, tensor in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in small.items()}, path)
    card = {
        "command": safe_command(["python", "-m", "kfaar_core.train", *sys.argv[1:]]),
        "data": "LFW-train identities (split by sha256 of the name) and generated faces; see NOTICE",
        "training": asdict(training),
        "metrics": metrics,
    }
    path.with_suffix(".card.json").write_text(json.dumps(card, indent=2) + "\n")
    typer.echo(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    app()
