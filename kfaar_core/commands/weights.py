"""The commands `weights` and `info`: list weights, settings and versions, and check them."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfaar_core.commands.options import (
    Device,
    Json,
    MethodName,
    PresetName,
    Threads,
    load_stages,
    settings_of,
    show_json,
)
from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.presets import get_preset

if TYPE_CHECKING:
    from kfaar_core.weights import Pin

PACKAGES = ("kfaar", "torch", "openvino", "facenet-pytorch", "numpy", "pillow", "gradio")


def weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="names of weights; all by default")
    ] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="those that this preset needs")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="download from the Hub those that are not here")] = False,
    pin: Annotated[str | None, typer.Option("--pin", metavar="SHA256", help="accept another file of one NAME")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="fail if the hash of one differs")] = False,
    as_json: Json = False,
) -> None:
    """List the weights with state, size, hash and licence; download those of the preset `paper`."""
    from kfaar_core import cast, methods
    from kfaar_core import weights as registry

    methods.registered()  # registers their weights
    if preset is not None:
        names = [*(names or ()), *cast.needed(get_preset(preset))]
    if pin is not None:
        if names is None or len(names) != 1:
            raise BadSetting(got="--pin without the name of one file of weights", mend="give one NAME beside it")
        registry.pin(names[0], pin)
    if fetch:
        registry.fetch(names or cast.needed(get_preset("paper")), say=lambda sentence: typer.echo(sentence, err=True))
    statuses = registry.rows(names or None)
    if as_json:
        show_json([as_record(status) for status in statuses])
    else:
        for status in statuses:
            size = registry.told_size([status.weight]) if status.weight.foreign else told(status.pin)
            sha = status.pin.sha256[:12] if status.pin else "-"
            typer.echo(
                f"{status.weight.name:<16} {status.state:<16} {size:>12}  sha256 {sha:<12}  "
                f"{status.weight.licence_weights}" + (f"\n    {status.mend}" if status.mend else "")
            )
    if verify:
        for status in statuses:
            registry.verify(status.weight.name)


def told(pin: Pin | None) -> str:
    """The size of a pinned file."""
    return f"{pin.size / 1e6:.1f} MB" if pin and pin.size else "-"


def as_record(status: Any) -> dict[str, Any]:
    """One entry of `weights --json`."""
    weight, pin = status.weight, status.pin
    return {
        "name": weight.name,
        "file": weight.file,
        "state": status.state,
        "path": None if status.path is None else str(status.path),
        "sha256": None if pin is None else pin.sha256,
        "size": None if pin is None else pin.size,
        "licence_code": weight.licence_code,
        "licence_weights": weight.licence_weights,
        "licence_data": weight.licence_data,
        "citation": weight.citation,
        "noncommercial": weight.noncommercial,
        "checked": weight.checked,
        "mend": status.mend,
    }


def info(
    preset: PresetName = "lab",
    method: MethodName = None,
    device: Device = "auto",
    threads: Threads = 0,
    as_json: Json = False,
) -> None:
    """Print preset, device, weights, versions and thresholds. Loads every network, to report problems."""
    settings = settings_of(preset, method)
    import torch

    from kfaar_core import methods, runtime
    from kfaar_core import weights as registry

    methods.registered()  # registers their weights
    record: dict[str, Any] = {
        "preset": asdict(settings),
        "device": str(runtime.device(device)),
        "threads": threads or torch.get_num_threads(),
        "weights": {status.weight.name: status.state for status in registry.rows()},
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
        "dimension": None,
        "thresholds": None,
        "problem": None,
    }
    try:
        stages = load_stages(settings, device, threads)
    except BadWeights as error:
        record["problem"] = str(error)
    else:
        record["dimension"] = stages.identifier.dimension
        record["thresholds"] = {
            "kvfa": float(stages.kvfa_threshold),
            "kvfa_in_force": settings.threshold_in_force,
            "kvfa_paper": settings.match_threshold,
            "kvfa_dev": stages.calibration.kvfa_dev,
            "judge_fmr_1": stages.calibration.judge_fmr_1,
            "judge_fmr_01": stages.calibration.judge_fmr_01,
        }
    if as_json:
        show_json(record)
        return
    for line in lines(record):
        typer.echo(line)


def lines(record: dict[str, Any]) -> list[str]:
    """The lines of `info` for the terminal."""
    thresholds = record["thresholds"] or {}
    return [
        f"preset      {record['preset']['name']}: {record['preset']['generator']}, {record['preset']['encoder']}, "
        f"method {record['preset']['method']}, {record['preset']['side']} px",
        f"device      {record['device']}, {record['threads']} threads",
        f"dimension   {record['dimension'] if record['dimension'] is not None else '-'}",
        "thresholds  "
        + (", ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in thresholds.items()) or "-"),
        "weights     " + ", ".join(f"{name} {state}" for name, state in record["weights"].items()),
        "versions    " + ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        *([f"problem     {record['problem']}"] if record["problem"] else []),
    ]


def version_of(package: str) -> str:
    """The version of an installed package; `from source` for this project without installation."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "from source" if package == "kfaar" else "not installed"
