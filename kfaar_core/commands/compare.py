"""The command `compare`: one photo under several keys, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfaar_core.commands.options import (
    Device,
    Force,
    Json,
    MethodName,
    PresetName,
    Threads,
    load_stages,
    settings_of,
    show_json,
    warn,
)
from kfaar_core.commands.outputs import check_folder, picture_file, refuse_existing
from kfaar_core.errors import BadKey
from kfaar_core.files import write_whole
from kfaar_core.keys import UserKey, read_text
from kfaar_core.mark import FORMATS

if TYPE_CHECKING:
    import numpy as np

MOST_KEYS = 8
TILE, STRIP, GAP, LETTERS = 256, 28, 8, 16  # px


def compare(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="the photo")],
    keys: Annotated[Path, typer.Option("--keys", metavar="FILE", help=f"one HEX key a line, up to {MOST_KEYS}")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="GRID", help="a .png, .jpg or .webp")],
    preset: PresetName = "lab",
    method: MethodName = None,
    device: Device = "auto",
    threads: Threads = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draw the virtual faces of one photo under several keys, side by side with the photo."""
    settings = settings_of(preset, method)
    check_folder(picture_file(output).parent)
    if not force:
        refuse_existing([output])
    tried = keys_in(keys)
    from kfaar_core.image import encoded, open_photo
    from kfaar_core.pipeline import AnonymiseRequest
    from kfaar_core.servers import AnonymisationServer

    picture = open_photo(photo)
    for note in picture.notes:
        warn(note)
    server = AnonymisationServer(load_stages(settings, device, threads))
    faces = [server.anonymise(AnonymiseRequest(photo=picture, key=key)) for key in tried]
    names = [f"key {number}" for number in range(1, len(faces) + 1)]
    tiles = [faces[0].crop.picture, *(face.portrait for face in faces)]
    sheet = encoded(grid(tiles, ["original", *names]), FORMATS[output.suffix.lower()], pasted=True)
    write_whole(output, sheet, force=force)
    if as_json:
        listed = [
            {"name": name, "judge_cosine": round(face.judge_cosine, 6), "anonymous": bool(face.anonymous)}
            for name, face in zip(names, faces, strict=True)
        ]
        show_json(
            {
                "input": str(photo),
                "output": str(output),
                "judge_threshold": round(faces[0].judge_threshold, 6),
                "faces": listed,
            }
        )
        return
    for name, face in zip(names, faces, strict=True):
        word = "anonymous" if face.anonymous else "NOT anonymous"
        typer.echo(f"{name}: {word} (judge {face.judge_cosine:.3f}, limit {face.judge_threshold:.3f})")
    typer.echo(str(output))


def keys_in(path: Path) -> list[UserKey]:
    """Read a file with one key on each line. Empty lines are ignored. Errors give the line number, never its content.

    Raises:
        BadKey: no file, no key or too many, or a line that is not a key.
    """
    keys = []
    for number, line in enumerate(read_text(path, "the file of keys").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            keys.append(UserKey.parse(line))
        except BadKey as error:
            raise BadKey(got=f"line {number} of the file of keys: {error.got}", mend=error.mend) from None
    if not 1 <= len(keys) <= MOST_KEYS:
        raise BadKey(got=f"the file holds {len(keys)} keys", mend=f"give it 1 to {MOST_KEYS}, one a line in hex")
    return keys


def grid(tiles: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Arrange tiles (S, S, 3) uint8 in a nearly square grid, with a name below each: (H, W, 3) uint8."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    across, down = TILE + GAP, TILE + STRIP + GAP
    sheet = Image.new("RGB", (columns * across + GAP, rows * down + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for position, (tile, name) in enumerate(zip(tiles, names, strict=True)):
        x, y = GAP + position % columns * across, GAP + position // columns * down
        sheet.paste(Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.LANCZOS), (x, y))
        draw.text((x + TILE / 2, y + TILE + STRIP / 2), name, fill="black", font=font, anchor="mm")
    return np.asarray(sheet)
