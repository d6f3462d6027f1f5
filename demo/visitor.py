"""What one visitor holds, in a gr.State of their own: nothing here is shared, written or logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import gradio as gr

from kfaar_core.evaluate.results import Result
from kfaar_core.records import Photo

TIME_TO_LIVE = 1800  # s after the last change, then the state is deleted


class Stop:
    """A visitor's wish to stop what is running. A plain flag, because gradio copies the first state."""

    def __init__(self) -> None:
        self.asked = False


class Stopped(Exception):
    """The visitor pressed Stop."""


@dataclass(frozen=True)
class Outcome:
    """One scenario of section V-C-2 on the visitor's own pictures."""

    number: str  # "1" to "4"
    cosine: float
    by_recogniser: bool = False  # judged by FR at FR's own threshold, not by KVFA


@dataclass(frozen=True)
class Visitor:
    """The state between two clicks."""

    stop: Stop = field(default_factory=Stop, repr=False)
    original: Photo | None = field(default=None, repr=False)  # of the last anonymisation
    step: int = 0  # of the six of section III-B, the furthest reached
    outcomes: tuple[Outcome, ...] = ()  # of the last run of the scenarios
    measured: Result | None = field(default=None, repr=False)  # on the visitor's own photos


def state() -> gr.State:
    """A new visitor; forgotten when the page closes, or after a while without a click."""
    return gr.State(Visitor(), time_to_live=TIME_TO_LIVE, delete_callback=forget)


def forget(visitor: Visitor) -> None:
    """Stop what still runs for a visitor who has left; the rest goes with the record."""
    visitor.stop.asked = True


def reporter(bar: gr.Progress, stop: Stop, words: Callable[[str], str]) -> Callable[[str, int, int], None]:
    """The core's progress callback: moves the visitor's bar, and ends the work when the visitor asked to stop."""

    def report(stage: str, done: int, of: int) -> None:
        if stop.asked:
            raise Stopped
        bar((done, of), desc=words(stage))

    return report
