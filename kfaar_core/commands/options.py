"""Options that several commands share, and their evaluation. Heavy modules are imported late: `--help` is fast."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfaar_core import methods
from kfaar_core.cores import PASSIVE, free_cores
from kfaar_core.errors import BadKey
from kfaar_core.keyring import KeyRing, read_ring
from kfaar_core.keys import UserKey, asked, weak_passphrase
from kfaar_core.presets import Preset, get_preset

if TYPE_CHECKING:
    from kfaar_core.assemble import Stages
    from kfaar_core.records import Photo, Posture

KEY_FORMS = (
    "HEX, @FILE, @- (standard input) or pass: (asks. Without a key file all users share one salt, so that one list of "
    "guesses serves against all of them; keygen --passphrase makes a file with a salt of your own)"
)

Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help=f"the key: {KEY_FORMS}")]
NeededKey = Annotated[str, typer.Option("--key", metavar="KEY", help=f"the key: {KEY_FORMS}")]
Person = Annotated[
    str | None, typer.Option("--person", metavar="LABEL", help="the key that --key, as a master key, gives this person")
]
PresetName = Annotated[str, typer.Option("--preset", help="lab, tiny, or paper, whose weights are fetched first")]
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


def ask_passphrase(prompt: str) -> str:
    """What is typed, unseen; a weak passphrase is said."""
    typed = getpass.getpass(prompt)
    weakness = weak_passphrase(typed.strip()) if typed.strip() else None
    if weakness:
        warn(weakness)
    return typed


def ring_of(spec: str) -> KeyRing:
    """The key file that an option names, or a plain key as a ring without people.

    Raises:
        BadKey: see keyring.read_ring.
    """
    return read_ring(spec, ask=ask_passphrase)


def key_of(spec: str, person: str | None = None) -> UserKey:
    """The key that an option names: the master itself, or the derived key of a person.

    Raises:
        BadKey: see keyring.read_ring and keyring.derived_key.
    """
    return ring_of(spec).key(person)


def new_passphrase_ring() -> KeyRing:
    """A ring with a fresh salt, of a passphrase that is asked for twice.

    Raises:
        BadKey: the two differ; see keys.UserKey.from_passphrase.
    """
    typed = asked(ask_passphrase, "New passphrase: ")
    if asked(getpass.getpass, "The same again: ") != typed:
        raise BadKey(got="the two passphrases differ", mend="repeat the command and type the same one twice")
    return KeyRing.of_passphrase(typed)


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
    os.environ.setdefault(*PASSIVE)
    import torch

    from kfaar_core import pipeline

    threads = threads or min(free_cores(), torch.get_num_threads())
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
