"""The commands `keygen` and `derive`: a new key, and the key of one person to hand over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfaar_core.commands.options import Force, Json, NeededKey, new_passphrase_ring, ring_of, show_json
from kfaar_core.commands.outputs import refuse_existing
from kfaar_core.errors import BadKey, BadSetting
from kfaar_core.keyring import KeyRing, checked_label
from kfaar_core.keys import MAX_BITS, MIN_BITS, UserKey
from kfaar_core.presets import LAB


def keygen(
    bits: Annotated[int, typer.Option("--bits", help=f"{MIN_BITS} to {MAX_BITS}, in steps of 8")] = LAB.key_bits,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="a new file, mode 0600; a .json also remembers people"),
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="ask for one; FILE gets a random salt, and no key that can be stolen")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Generate a key from the system's random source. It is printed, or saved to a file."""
    if passphrase:
        return salted(output, force, as_json)
    key = UserKey.generate(bits)
    if output is not None:
        KeyRing(key).save(output, force) if output.suffix.lower() == ".json" else key.save(output, force)
        if as_json:
            show_json({"bits": key.bits, "output": str(output)})
        else:
            typer.echo(f"{output}: a key of {key.bits} bits; whoever has it can undo what it hides")
    elif as_json:
        show_json({"bits": key.bits, "key": key.text()})
    else:
        typer.echo(key.text())


def salted(output: Path | None, force: bool, as_json: bool) -> None:
    """A key file of a passphrase: a fresh salt, without the key."""
    if output is None:
        raise BadSetting(got="the salt of a passphrase needs a file", mend="name one with -o")
    if not force:
        refuse_existing([output])
    ring = new_passphrase_ring()
    ring.save(output, force=force)
    if as_json:
        show_json({"bits": ring.master.bits, "output": str(output)})
    else:
        typer.echo(f"{output}: the salt of your passphrase; without this file the passphrase opens nothing")


def derive(
    key: NeededKey,
    person: Annotated[str, typer.Option("--person", metavar="LABEL", help="whose key")],
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="a new file, mode 0600")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Give the key of one person, to hand over in place of the master key; it is printed when no file is named.

    Nobody can get from it to the master key or to another person's.
    """
    ring = ring_of(key)
    label = checked_label(person)
    if any(other.label is not None for other in ring.people) and label not in ring.labels():
        raise BadKey(got="the key file lists nobody of this label", mend="write it as the key file does")
    one = ring.key(label)
    if output is not None:
        one.save(output, force=force)
    if as_json:
        show_json(
            {"bits": one.bits, "person": label, **({"key": one.text()} if output is None else {"output": str(output)})}
        )
    else:
        typer.echo(one.text() if output is None else f"{output}: the key of {label!r}, of {one.bits} bits")
