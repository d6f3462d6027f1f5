"""A real local Ray with two workers, one of which is killed while it works; skipped where Ray is not installed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kfaar_core.data.cache import ArrayCache
from kfaar_core.errors import BadKey, BadSetting, KfaarError
from kfaar_core.evaluate import cluster, jobs
from kfaar_core.evaluate.context import Real, Virtual

ASKED = [
    *(Real(index) for index in range(8)),
    *(Virtual(index, f"shared {number}", 256) for index in range(4) for number in range(4)),
]


def test_an_error_travels_as_text():
    again = cluster.raised(cluster.told(BadKey(got="a key", mend="take another one")))
    assert type(again) is BadKey and (again.got, again.mend) == ("a key", "take another one")


def workers_of(process: int) -> list[int]:
    """Ray's workers below a process that are at work."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = (entry / "cmdline").read_bytes()
            parents, at = [], int(entry.name)
            while at > 1:
                at = int((Path("/proc") / str(at) / "stat").read_text().rpartition(")")[2].split()[1])
                parents.append(at)
        except (OSError, ValueError):
            continue  # it has ended
        if name.startswith(b"ray::Worker") and process in parents:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are found in /proc")
def test_two_workers_of_which_one_is_killed_give_the_bytes_of_one_process(context, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # by default 15: on a busy machine workers would hardly run
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "workers"))
    killed = []

    def kill_one(done: int, of: int) -> None:
        if done == 3 and not killed:
            killed.extend(workers_of(os.getpid())[:1])
            os.kill(killed[0], signal.SIGKILL)

    config = replace(context.config, preset=replace(context.config.preset, precision="f32"), threads=1)
    apart = replace(
        config.open(kill_one),
        config=replace(config, jobs=2, engine="ray"),
        cache=ArrayCache(tmp_path / "driver"),
    )
    jobs.fill(apart, ASKED)
    assert killed
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "alone"))
    alone = config.open()
    for request in ASKED:
        ours, theirs = apart.cache.get(apart.name_of(request)), alone.ask(request)
        assert ours is not None and set(ours) == set(theirs)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours), request


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_error_of_the_earliest_request_is_raised(context, tmp_path, monkeypatch):
    """Later requests fail sooner, and another error is raised only if there is no earlier one."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # by default 15: on a busy machine workers would hardly run
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "workers"))
    config = replace(context.config, threads=1, jobs=2, engine="ray")
    asked = [Real(0), Virtual(0, "shared 0", 256), Virtual(1, "shared 0", 1024), Virtual(1, "shared 0", 4)]
    done = []
    with pytest.raises(KfaarError) as caught:
        for request, _ in cluster.answers(config, asked):
            done.append(request)
    with pytest.raises(KfaarError) as expected:
        config.open().ask(asked[2])
    assert type(caught.value) is type(expected.value) and str(caught.value) == str(expected.value)
    assert set(done) == set(asked[:2])


def test_without_ray_the_engine_says_what_to_install(context, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(BadSetting, match="Ray is not installed"):
        list(cluster.answers(replace(context.config, jobs=2, engine="ray"), [Real(0)]))
