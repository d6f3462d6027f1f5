from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kfaar_core.data.cache import ArrayCache
from kfaar_core.errors import BadKey
from kfaar_core.evaluate import jobs
from kfaar_core.evaluate.context import Real, Virtual


def test_only_what_the_cache_lacks_is_asked_for(context, monkeypatch):
    reports, fresh = [], replace(context, progress=lambda done, of: reports.append((done, of)))
    jobs.fill(fresh, [Real(0)])
    reports.clear()
    jobs.fill(fresh, [Real(0), Real(1), Real(1)])
    assert reports == [(1, 2), (2, 2)]
    monkeypatch.setattr(context.server, "anonymise", None)  # nothing is made any more
    jobs.fill(fresh, [Real(0), Real(1)])
    assert reports[2:] == [(2, 2)]


def test_an_error_of_another_process_is_told_by_its_kind_and_sentences(context, monkeypatch):
    def refused(request):
        raise BadKey(got="a key", mend="take another one")

    monkeypatch.setattr(jobs, "_here", [context])
    monkeypatch.setattr(type(context), "ask", lambda self, request: refused(request))
    assert jobs._answer(Real(0)) == ("BadKey", "a key", "take another one")


@pytest.mark.slow
def test_two_processes_see_what_one_sees(context, tmp_path, monkeypatch):
    asked = [Real(0), Real(3), Virtual(0, "shared 0", 256), Virtual(2, "shared 1", 8)]
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path))
    apart = replace(context, config=replace(context.config, jobs=2), cache=ArrayCache(tmp_path / "evaluate"))
    jobs.fill(apart, asked)
    for request in asked:
        assert apart.cache.has(apart.name_of(request))
        for name, values in context.ask(request).items():
            np.testing.assert_allclose(apart.ask(request)[name], values, atol=1e-5)


ROOT = Path(__file__).resolve().parents[3]
RUN = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from kfaar_core.evaluate.jobs import _end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        pool.submit(print, "open", flush=True).result()
        time.sleep(60)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_process_behind(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.Popen([sys.executable, script], env=settings, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "open\n"
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=20)  # until every process that can write to it has ended
