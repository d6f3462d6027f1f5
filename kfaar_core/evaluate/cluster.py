"""Answer the requests of an evaluation on a Ray cluster: many machines, or the processes of one.

Needed is the extra `cluster` (Ray). RAY_ADDRESS names the cluster; without it a local one starts and ends with the run.
Every worker opens the context once. Answers come back through Ray's object store and go into this process's cache, so
that no folder needs to be shared. A worker that dies is started again, and its request with it. Answers are
content-addressed, and of several errors the one of the earliest request is raised: neither the number of workers nor
their speed changes a result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from kfaar_core import errors
from kfaar_core.errors import BadSetting, KfaarError

if TYPE_CHECKING:
    from kfaar_core.evaluate.context import Arrays, EvaluationConfig, Request

Told = tuple[str, str, str]  # type and sentences of an error; errors with keyword arguments do not pickle
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would otherwise report to its makers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # its coming default; without it Ray warns
    "RAY_raylet_start_wait_time_s": "180",  # by default 30 s, which a busy machine exceeds, as it does these:
    "RAY_agent_register_timeout_ms": "180000",
    "RAY_worker_register_timeout_seconds": "300",
}
STORE = 2**28  # bytes of a local cluster's object store; an answer has some kilobytes


class Worker:
    """The actor: one open context, which answers one request after the other."""

    def __init__(self, config: EvaluationConfig) -> None:
        torch.set_num_threads(max(1, config.threads))
        self._context = config.open()

    def answer(self, request: Request) -> tuple[Arrays, Told | None]:
        """The arrays of a request, empty without a face; or none and an error."""
        try:
            return self._context.ask(request), None
        except KfaarError as error:
            return {}, told(error)


def told(error: KfaarError) -> Told:
    """An error as plain text, to be sent to another process."""
    return type(error).__name__, error.got, error.mend


def raised(error: Told) -> KfaarError:
    """The error that `told` made text of."""
    kind, got, mend = error
    found: KfaarError = getattr(errors, kind)(got=got, mend=mend)
    return found


def answers(config: EvaluationConfig, requests: Sequence[Request]) -> Iterator[tuple[Request, Arrays]]:
    """Compute requests on the cluster.

    Args:
        config: of the evaluation; `jobs` workers with `threads` CPUs and `gpus` GPUs each.
        requests: frozen records.

    Yields:
        Each request with its arrays, as they come.

    Raises:
        KfaarError: of the earliest request that has one, after all requests before it have been answered.
        BadSetting: Ray is missing, or a worker could not open the context.
    """
    alone = replace(config, threads=max(1, config.threads), jobs=1, engine="processes")
    needs = {"num_cpus": alone.threads, "num_gpus": config.gpus, "max_restarts": -1, "max_task_retries": -1}
    with connected(config) as ray:
        actor = ray.remote(Worker).options(**needs)
        idle = [actor.remote(alone) for _ in range(min(config.jobs, len(requests)))]
        running: dict[Any, tuple[int, Any]] = {}  # what will be answered: position of the request, worker
        failed: tuple[int, Told] | None = None
        position = 0
        while True:
            end = len(requests) if failed is None else failed[0]  # what stands behind an error is not begun
            while idle and position < end:
                worker = idle.pop()
                running[worker.answer.remote(requests[position])] = position, worker
                position += 1
            if not any(place < end for place, _ in running.values()):
                break
            (first,), _ = ray.wait(list(running), num_returns=1)
            place, worker = running.pop(first)
            arrays, error = answer_of(ray, first)
            idle.append(worker)
            if error is None:
                yield requests[place], arrays
            elif failed is None or place < failed[0]:
                failed = place, error
    if failed is not None:
        raise raised(failed[1])


def answer_of(ray: Any, answer: Any) -> tuple[Arrays, Told | None]:
    """What a worker answered.

    Raises:
        BadSetting: the worker is lost, because it could not open the context.
    """
    try:
        found: tuple[Arrays, Told | None] = ray.get(answer)
        return found
    except ray.exceptions.RayError as error:
        raise BadSetting(
            got=f"a worker of the cluster failed ({type(error).__name__})",
            mend="give every machine this version of the program, its weights and the data at the same path",
        ) from error


@contextmanager
def connected(config: EvaluationConfig) -> Iterator[Any]:
    """Ray, connected to the cluster of RAY_ADDRESS, or to a local one that ends with the block.

    Raises:
        BadSetting: Ray is not installed, or the cluster does not answer.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)  # read when Ray is imported
    try:
        import ray
    except ImportError as error:
        raise BadSetting(got="the engine ray, but Ray is not installed", mend="pip install 'ray>=2.50,<3'") from error
    ours = not ray.is_initialized()
    if ours:
        local = {
            "num_cpus": config.jobs * max(1, config.threads),
            "object_store_memory": STORE,
            "include_dashboard": False,
        }
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **({} if os.environ.get("RAY_ADDRESS") else local))
        except (ConnectionError, OSError, ValueError) as error:
            raise BadSetting(
                got="the Ray cluster of RAY_ADDRESS does not answer", mend="start it, or unset RAY_ADDRESS"
            ) from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
