"""What one visitor holds, in a gr.State of their own: nothing of it is shared, written or logged.

Beside it stands one thing for all: which pages have been left, so that nobody waits for somebody who has gone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo import browser, controls, words
from demo.core import Result
from demo.pace import share
from demo.records import Outputs, flat
from kfaar_core.records import Photo

TIME_TO_LIVE = 1800  # s after the last change, then the state is deleted
MOST_LEFT = 10_000  # pages that have been left and are remembered


class Stopped(Exception):
    """The visitor pressed Stop, or has left."""


class Left:
    """The pages that have been closed or reloaded, by gradio's session; the newest ones."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, request: gr.Request) -> None:
        """A page has gone: what runs for it ends at its next step, what waits will not start."""
        with self._lock:
            self._sessions[str(request.session_hash)] = None
            while len(self._sessions) > MOST_LEFT:
                self._sessions.popitem(last=False)

    def has(self, request: gr.Request | None) -> bool:
        """Whether the page that asked has gone; programs have no page."""
        return request is not None and getattr(request, "session_hash", None) in self._sessions


LEFT = Left()


class Stop:
    """A visitor's wish to stop what is running. Plain and mutable, because gradio copies the first state."""

    def __init__(self) -> None:
        self._run = 0

    def ask(self) -> None:
        """End the run that is going on."""
        self._run += 1

    def begin(self, request: gr.Request | None = None) -> Callable[[], None]:
        """A new run, which ends an earlier one. Answers what a run calls at every step.

        The call raises Stopped when this run shall end.
        """
        self._run += 1
        mine = self._run

        def check() -> None:
            if self._run != mine or LEFT.has(request):
                raise Stopped

        check()
        return check


@dataclass(frozen=True)
class Outcome:
    """One scenario of section V-C-2 on the visitor's own pictures."""

    number: str  # "1" to "4"
    cosine: float
    by_judge: bool = False  # judged by FR at FR's own threshold, not by KVFA


@dataclass(frozen=True)
class Place:
    """Which scores: of which data, made how, with whose keys."""

    dataset: str
    form: str  # preset and method, as "lab-floor"
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
    return gr.State(Visitor(), time_to_live=TIME_TO_LIVE, delete_callback=ask_to_stop)


def ask_to_stop(visitor: Visitor) -> None:
    """Ask what runs for this visitor to end at its next step."""
    visitor.stop.ask()


def stop_button(
    run: Any, visitor: gr.State, button: gr.Button, answer: type[Outputs], outputs: list[Any], runs: tuple[str, str]
) -> None:
    """Make `button` stop a long event: if it waits, it leaves the queue; if it runs, it ends at its next step.

    It is said after the browser has given up `run`: a late step of it would stand over what is said before.

    Args:
        run: the event to stop, as gradio's `.click(...)` returned it.
        visitor: the state through which the running work learns that it shall end.
        answer: the record type of the event's results; its `trouble` is the message that it was stopped.
        outputs: the components that show these results, in the order of the record's fields.
        runs: HTML ids of the button that began the event, and of the element that shows its progress.
    """

    def said() -> Any:
        return flat(answer.trouble(words.STOPPED_TITLE, words.STOPPED))

    quick = {"queue": False, **controls.LIGHT}
    asked = button.click(ask_to_stop, [visitor], None, js=browser.ended(*runs), cancels=[run], **quick)
    asked.then(said, None, outputs, **quick)


def reporter(bar: gr.Progress, check: Callable[[], None], name: str = "") -> Callable[[str, int, int], None]:
    """The core's progress callback: moves the visitor's bar, and ends the work when the visitor asked to stop.

    Args:
        check: from Stop.begin.
        name: of what is drawn, before the name of the stage.
    """

    def report(stage: str, done: int, of: int) -> None:
        check()
        bar(share(stage, done, of), desc=f"{name}{words.stage(stage, done, of)}")

    return report
