"""Several processes that fill the cache of an evaluation; one core each, since a face is made on one almost as fast."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import torch

from kfaar_core import errors
from kfaar_core.errors import KfaarError
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext, Request

CHUNK = 4  # requests that a process takes at a time
_here: list[EvaluationContext] = []  # of a process of the pool, opened once


def fill(context: EvaluationContext, requests: Iterable[Request]) -> None:
    """Answer all requests that the cache lacks. A run that was stopped goes on where it was.

    Raises:
        KfaarError: whatever is no lack of a face, such as a key of a length that the method does not know.
    """
    asked = list(dict.fromkeys(requests))
    missing = [request for request in asked if not context.cache.has(context.name_of(request))]
    done, jobs = len(asked) - len(missing), min(context.config.jobs, len(missing))

    def report(count: int) -> None:
        if context.progress:
            context.progress(count, len(asked))

    report(done)
    if jobs <= 1:
        for count, request in enumerate(missing, start=done + 1):
            context.ask(request)
            report(count)
        return
    config = replace(context.config, threads=1, jobs=1)
    fresh = multiprocessing.get_context("spawn")  # a fork would copy the locks of torch's threads
    with ProcessPoolExecutor(jobs, mp_context=fresh, initializer=_open, initargs=(config,)) as pool:
        for count, error in enumerate(pool.map(_answer, missing, chunksize=CHUNK), start=done + 1):
            if error:
                raise getattr(errors, error[0])(got=error[1], mend=error[2])
            report(count)


def _open(config: EvaluationConfig) -> None:
    _end_with_parent()
    torch.set_num_threads(1)
    _here.append(config.open())


def _end_with_parent() -> None:
    """A run that is killed leaves no process behind that waits for work for ever, and holds its networks."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a process of the pool

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _answer(request: Request) -> tuple[str, str, str] | None:
    """None, or the kind and the sentences of an error, which does not travel between processes by itself."""
    try:
        _here[0].ask(request)
    except KfaarError as error:
        return type(error).__name__, error.got, error.mend
    return None
