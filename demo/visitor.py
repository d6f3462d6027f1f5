"""What one visitor holds, in a gr.State of their own: nothing here is shared, written or logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo import controls
from kfaar_core.records import Photo
from kfaar_core.results import Result

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
class Place:
    """Which scores: of which data, made how, with whose keys."""

    dataset: str
    form: str  # preset and projector, as "lab-floor"
    keys: str  # "shared" or "own"


@dataclass(frozen=True)
class Measurement:
    """An evaluation on the visitor's own photos."""

    place: Place
    result: Result = field(repr=False)


@dataclass(frozen=True)
class Visitor:
    """The state between two clicks."""

    stop: Stop = field(default_factory=Stop, repr=False)
    original: Photo | None = field(default=None, repr=False)  # of the last anonymisation
    step: int = 0  # of the six of section III-B, the furthest reached
    outcomes: tuple[Outcome, ...] = ()  # of the last run of the scenarios
    measured: Measurement | None = None  # on the visitor's own photos


def state() -> gr.State:
    """A new visitor; forgotten when the page closes, or after a while without a click."""
    return gr.State(Visitor(), time_to_live=TIME_TO_LIVE, delete_callback=forget)


def forget(visitor: Visitor) -> None:
    """Stop what still runs for a visitor who has left; the rest goes with the record."""
    visitor.stop.asked = True


def ask_to_stop(visitor: Visitor) -> None:
    """Ask what runs for this visitor to end at its next step."""
    visitor.stop.asked = True


def stop_button(run: Any, visitor: gr.State, button: gr.Button) -> None:
    """Let a button end the event `run`: one that waits leaves the queue, one that runs ends at its next step."""
    button.click(ask_to_stop, [visitor], None, cancels=[run], queue=False, **controls.LIGHT)


def reporter(bar: gr.Progress, stop: Stop, words: Callable[[str], str]) -> Callable[[str, int, int], None]:
    """The core's progress callback: moves the visitor's bar, and ends the work when the visitor asked to stop."""

    def report(stage: str, done: int, of: int) -> None:
        if stop.asked:
            raise Stopped
        bar((done, of), desc=words(stage))

    return report
