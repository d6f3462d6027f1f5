"""Options that several commands share, and their evaluation. Heavy modules are imported late: `--help` is fast."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfaar_core import methods
from kfaar_core.keys import UserKey, read_key, weak_passphrase
from kfaar_core.presets import Preset, get_preset

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.records import Photo, Posture

KEY_FORMS = "HEX, @FILE, @- (standard input) or pass: (asks)"

Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help=f"the key: {KEY_FORMS}")]
NeededKey = Annotated[str, typer.Option("--key", metavar="KEY", help=f"the right key: {KEY_FORMS}")]
PresetName = Annotated[str, typer.Option("--preset", help="lab or tiny")]
MethodName = Annotated[
    str | None,
    typer.Option("--method", "--projector", help=f"{', '.join(methods.names())}; by default the preset's"),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 lets the program choose")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Force = Annotated[bool, typer.Option("--force", help="overwrite existing files")]
Virtual = Annotated[Path, typer.Argument(metavar="VIRTUAL", help="a virtual face made by anonymise")]
Original = Annotated[Path, typer.Argument(metavar="ORIGINAL", help="a photo to compare it with")]


def warn(sentence: str) -> None:
    """Print a note to standard error; the exit code does not change."""
    typer.echo(f"Note: {sentence[:1].upper()}{sentence[1:].rstrip('.')}.", err=True)


def key_of(spec: str) -> UserKey:
    """Read the key of an option. Prints a note on a weak passphrase.

    Raises:
        BadKey: see keys.read_key.
    """

    def ask(prompt: str) -> str:
        typed = getpass.getpass(prompt)
        weakness = weak_passphrase(typed.strip()) if typed.strip() else None
        if weakness:
            warn(weakness)
        return typed

    return read_key(spec, ask=ask)


def settings_of(preset: str, method: str | None) -> Preset:
    """The preset of the options --preset and --method.

    Raises:
        BadSetting: an unknown preset or method.
    """
    return methods.with_method(get_preset(preset), method)


def load_stages(preset: Preset, device: str, threads: int) -> Stages:
    """Load every network of a preset.

    Raises:
        BadSetting: an unknown device or method.
        BadWeights: a file is missing or altered.
    """
    import torch

    from kfaar_core import pipeline

    if threads:
        torch.set_num_threads(threads)
    return pipeline.load(preset, device, threads)


def open_both(virtual: Path, original: Path) -> tuple[Photo, Photo]:
    """Open the two pictures of a comparison. Prints notes on their conversion.

    Raises:
        BadPicture: see image.open_photo.
    """
    from kfaar_core.image import open_photo

    photos = open_photo(virtual), open_photo(original)
    for photo in photos:
        for note in photo.notes:
            warn(note)
    return photos


def pose(posture: Posture) -> dict[str, float]:
    """Head pose for JSON: yaw, pitch and roll in degrees."""
    return {"yaw": round(posture.yaw, 3), "pitch": round(posture.pitch, 3), "roll": round(posture.roll, 3)}


def show_json(value: Any) -> None:
    """Print a value as one line of JSON, in ASCII."""
    typer.echo(json.dumps(value))
