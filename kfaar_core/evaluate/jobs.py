"""Fill the cache of an evaluation: with several processes, one core each, or on a Ray cluster (cluster.py).

More cores hardly speed up a single face. Work is a list of requests, and answers are content-addressed: whoever answers
them, and in whatever order, the same cache entries come of it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import torch

from kfaar_core.errors import KfaarError
from kfaar_core.evaluate import cluster
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext, Request

PROCESSES, RAY = "processes", "ray"
ENGINES = (PROCESSES, RAY)
CHUNK = 4  # requests that are sent to a process at a time
_here: list[EvaluationContext] = []  # the context of this worker process


def fill(context: EvaluationContext, requests: Iterable[Request]) -> None:
    """Compute all requests that are not in the cache. An interrupted run is resumed.

    Raises:
        KfaarError: for any reason but a missing face, such as an unsupported key length.
    """
    asked = list(dict.fromkeys(requests))
    missing = [request for request in asked if not context.cache.has(context.name_of(request))]
    done, jobs = len(asked) - len(missing), min(context.config.jobs, len(missing))

    def report(count: int) -> None:
        if context.progress:
            context.progress(count, len(asked))

    report(done)
    if context.config.engine == RAY and missing:
        for count, (request, arrays) in enumerate(cluster.answers(context.config, missing), start=done + 1):
            entry = context.name_of(request)
            if not context.cache.has(entry):  # the worker may have written to the same folder
                context.cache.put(entry, **arrays)
            report(count)
        return
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
                raise cluster.raised(error)
            report(count)


def _open(config: EvaluationConfig) -> None:
    _end_with_parent()
    torch.set_num_threads(1)
    _here.append(config.open())


def _end_with_parent() -> None:
    """End this worker process when its parent is killed; it would otherwise wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a process of the pool

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _answer(request: Request) -> cluster.Told | None:
    """Compute a request; None, or an error as text."""
    try:
        _here[0].ask(request)
    except KfaarError as error:
        return cluster.told(error)
    return None
