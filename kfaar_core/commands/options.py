"""Options that several commands share, and what stands behind them. Imports stay light: `--help` answers at once."""

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
    typer.Option("--method", "--projector", help=f"{', '.join(methods.names())}; the preset's if not given"),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="threads of the CPU; 0 lets the program choose")]
Json = Annotated[bool, typer.Option("--json", help="answer in JSON, for machines")]
Force = Annotated[bool, typer.Option("--force", help="write over what exists")]
Virtual = Annotated[Path, typer.Argument(metavar="VIRTUAL", help="a virtual face that anonymise made")]
Original = Annotated[Path, typer.Argument(metavar="ORIGINAL", help="a photo of the person it may stand for")]


def warn(sentence: str) -> None:
    """One remark on standard error, which leaves the exit code as it is."""
    typer.echo(f"Note: {sentence[:1].upper()}{sentence[1:].rstrip('.')}.", err=True)


def key_of(spec: str) -> UserKey:
    """The key that an option names; a weak passphrase is said.

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
    """The preset with the method that the options name.

    Raises:
        BadSetting: an unknown preset or method.
    """
    return methods.with_method(get_preset(preset), method)


def load_stages(preset: Preset, device: str, threads: int) -> Stages:
    """Every network of a preset.

    Raises:
        BadSetting: unknown device or method.
        BadWeights: a file is missing or altered.
    """
    import torch

    from kfaar_core import pipeline

    if threads:
        torch.set_num_threads(threads)
    return pipeline.load(preset, device, threads)


def open_both(virtual: Path, original: Path) -> tuple[Photo, Photo]:
    """The two pictures of an authentication; what was done to them is said."""
    from kfaar_core.image import open_photo

    photos = open_photo(virtual), open_photo(original)
    for photo in photos:
        for note in photo.notes:
            warn(note)
    return photos


def pose(posture: Posture) -> dict[str, float]:
    """Degrees, as JSON has them."""
    return {"yaw": round(posture.yaw, 3), "pitch": round(posture.pitch, 3), "roll": round(posture.roll, 3)}


def show_json(value: Any) -> None:
    """One line on standard output, in ASCII, which no terminal or pipe spoils."""
    typer.echo(json.dumps(value))
