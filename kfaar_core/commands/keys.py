"""The command `keygen`: a new key, printed or saved to a file that only its owner can read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfaar_core.commands.options import Force, Json, show_json
from kfaar_core.keys import MAX_BITS, MIN_BITS, UserKey
from kfaar_core.presets import LAB


def keygen(
    bits: Annotated[int, typer.Option("--bits", help=f"{MIN_BITS} to {MAX_BITS}, in steps of 8")] = LAB.key_bits,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="a new file, mode 0600")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate a key from the system's random source. It is printed, or saved to a file."""
    key = UserKey.generate(bits)
    if output is not None:
        key.save(output, force=force)
        if as_json:
            show_json({"bits": key.bits, "output": str(output)})
        else:
            typer.echo(f"{output}: a key of {key.bits} bits; whoever has it can undo what it hides")
    elif as_json:
        show_json({"bits": key.bits, "key": key.text()})
    else:
        typer.echo(key.text())
