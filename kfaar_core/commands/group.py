"""How every command ends: exit code 0, or 1 with one sentence on what is wrong and how to mend it."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from kfaar_core.errors import KfaarError

PROGRAM = "python -m kfaar_core"
PACKAGE = Path(__file__).resolve().parents[1]
INTERRUPTED = 130  # exit code of a program that Ctrl-C stopped
STOPS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class BadCommand(KfaarError):
    """An invalid command line."""


class OneSentence(TyperGroup):
    """The group of all commands. It prints no traceback, no local variable and no word of the command line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        open_streams()
        stop_like_ctrl_c()
        try:
            ended = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.Abort:
            ended = INTERRUPTED
        except Exception as error:
            tell_end(error)
            ended = 1
        if ended == INTERRUPTED:
            typer.echo("Stopped before the end.", err=True)
        sys.exit(ended if isinstance(ended, int) else 0)


def open_streams() -> None:
    """Make standard streams usable: reopen closed ones, and escape characters outside their encoding."""
    while (handle := os.open(os.devnull, os.O_RDWR)) < 3:  # otherwise the next opened file would get its number
        pass
    os.close(handle)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def stop_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end the program like Ctrl-C, with clean-up."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    for number in STOPS:
        if signal.getsignal(number) == signal.SIG_DFL:  # not if it is ignored, as under nohup
            signal.signal(number, stop)


def tell_end(error: Exception) -> None:
    """Print the error that ended a command to standard error."""
    if isinstance(error, OSError) and traceback.extract_tb(error.__traceback__)[-1].name == "echo":
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python tries again at exit
        error = KfaarError(
            got=f"standard output cannot be written ({error.strerror})",
            mend="files that were made are whole; send the output elsewhere and run the same command again to go on",
        )
    typer.echo(str(sentence_of(error)), err=True)


def sentence_of(error: Exception) -> KfaarError:
    """Convert any exception to a KfaarError. Its own message is dropped, because it might contain a key."""
    if isinstance(error, KfaarError):
        return error
    if isinstance(error, usage_error()):
        return misread(error)
    if isinstance(error, MemoryError):
        return KfaarError(
            got="the memory of this machine did not suffice", mend="use a smaller picture, or fewer threads"
        )
    ours = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(PACKAGE)
    ]
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return KfaarError(
        got=f"the program failed in a way that nobody foresaw ({type(error).__name__}{place})",
        mend="report the words in brackets and the command, without its key",
    )


def usage_error() -> type[Exception]:
    """Typer's exception class for invalid command lines; some versions of typer contain click, others import it."""
    base: type[Exception] = typer.BadParameter.__bases__[0]
    return base


def misread(error: Any) -> BadCommand:
    """A usage error without the words of the command line, because one may be a key."""
    context, kind = error.ctx, type(error).__name__
    inside = context is not None and context.parent is not None
    mend = f"see {PROGRAM} {context.info_name} --help" if inside else f"see {PROGRAM} --help"
    named = getattr(error, "param", None)
    name = option_name(named) if named is not None else getattr(error, "option_name", "")
    if kind == "MissingParameter":
        return BadCommand(got=f"{name} is missing", mend=mend)
    if kind == "BadParameter":
        choices = str(getattr(named, "metavar", None) or "").split("|")
        return BadCommand(
            got=f"the value of {name} cannot be used", mend=f"choose {' or '.join(choices)}" if choices[1:] else mend
        )
    if kind == "NoSuchOption":
        near = sorted(error.possibilities or ())
        return BadCommand(got="there is no such option", mend=f"did you mean {' or '.join(near)}" if near else mend)
    if kind == "BadOptionUsage":
        return BadCommand(got=f"the option {name} came without a value, or with one that it does not take", mend=mend)
    if inside:
        return BadCommand(got="there are more words than the command takes", mend=mend)
    commands = context.command.commands if context is not None else {}
    near = [command for command in commands if f"'{command}'" in error.message]
    return BadCommand(got="that is no command", mend=f"did you mean {' or '.join(near)}" if near else mend)


def option_name(parameter: Any) -> str:
    """The name of a parameter: `--key` for an option, `PHOTO` for an argument."""
    options = [name for name in parameter.opts if name.startswith("-")]
    return str(max(options, key=len)) if options else str(parameter.metavar or parameter.name).upper()
