"""The command line: `python -m kfaar_core COMMAND`. The commands are in kfaar_core.commands.

The exit code is 0 on success, whatever the verdict. Otherwise it is 1, and standard error says what is wrong and how to
mend it.
"""

from __future__ import annotations

import typer

from kfaar_core.commands import (
    ablation,
    anonymise,
    attack,
    authenticate,
    compare,
    evaluate,
    figure,
    hub,
    keys,
    scores,
    weights,
)
from kfaar_core.commands.group import OneSentence

app = typer.Typer(
    cls=OneSentence,
    help="Keyed face anonymisation: a photo and a key in, a virtual face out, identity back with the key.",
    add_completion=False,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)

for command in (
    keys.keygen,
    keys.derive,
    anonymise.anonymise,
    authenticate.authenticate,
    authenticate.scenarios,
    compare.compare,
    evaluate.evaluate,
    scores.scores,
    figure.figure,
    evaluate.report,
    ablation.ablation,
    attack.attack,
    weights.weights,
    weights.info,
):
    app.command()(command)

app.add_typer(hub.app, name="hub")

if __name__ == "__main__":
    app(prog_name="python -m kfaar_core")
