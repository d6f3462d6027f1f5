"""Work in a thread of its own, followed step by step by whoever iterates over it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Tell = Callable[..., None]


class NobodyListens(Exception):
    """Whoever followed the work has gone."""


class Steps(Generic[Result]):
    """Runs `work(tell)` while it is iterated over: what the work tells comes out as tuples, in order.

    A callback cannot leave a function that answers a page in steps, or that runs in another process; what a generator
    yields does. Whoever stops iterating ends the work: its next `tell` raises NobodyListens.
    """

    result: Result  # what the work returned, once the iteration has ended

    def __init__(self, work: Callable[[Tell], Result]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """
        Raises:
            Exception: what the work raises.
        """
        told: SimpleQueue[Any] = SimpleQueue()
        left = threading.Event()
        failed: list[BaseException] = []

        def tell(*step: Any) -> None:
            if left.is_set():
                raise NobodyListens
            told.put(step)

        def run() -> None:
            try:
                self.result = self._work(tell)
            except BaseException as error:  # is raised where somebody listens
                failed.append(error)
            told.put(None)

        worker = threading.Thread(target=run, name="drawing", daemon=True)
        worker.start()
        try:
            while (step := told.get()) is not None:
                yield step
        finally:
            left.set()
            worker.join()
        if failed:
            raise failed[0]
