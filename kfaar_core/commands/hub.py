"""The command `hub push`: publish what was trained for a preset."""

from __future__ import annotations

from typing import Annotated

import typer

from kfaar_core.commands.options import Json, show_json
from kfaar_core.presets import get_preset

app = typer.Typer(help="Publish weights, thresholds and scores on the Hugging Face Hub.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Publish weights, thresholds and scores on the Hugging Face Hub."""


@app.command()
def push(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="owner/name; it is made if there is none")],
    preset: Annotated[str, typer.Option("--preset", help="lab or paper")] = "paper",
    private: Annotated[bool, typer.Option("--private", help="if the repository is new")] = False,
    as_json: Json = False,
) -> None:
    """Upload weights, cards, thresholds, scores and the preset. Log in with `hf auth login` first."""
    from kfaar_core import publish

    made = publish.push(get_preset(preset), repository, private, lambda sentence: typer.echo(sentence, err=True))
    if as_json:
        show_json({"repository": made})
    else:
        typer.echo(f"KFAAR_HUB_REPO={made}")
