"""Benchmark: one refined face while other programs use the same cores. Prints JSON.

python -m benchmarks.shared_cores [--busy 2]

Each setting is a process of its own, which first draws a face to warm up. `wall_s` is what a visitor waits, `cpu_s`
what it costs: a thread that spins while it waits costs time and gets nothing done. `ours` is what the app and the
command line do: passive waiting, and as many threads as cores are free.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks.serving import ROOT

SETTINGS = {  # name -> waiting, threads
    "spinning, all cores": ("ACTIVE", os.cpu_count() or 1),
    "passive, all cores": ("PASSIVE", os.cpu_count() or 1),
    "passive, one thread": ("PASSIVE", 1),
    "ours": (None, 0),
}
PROBE = """
import json, os, sys, time
from kfaar_core.cores import PASSIVE, free_cores
os.environ.setdefault(*PASSIVE)
import torch
from kfaar_core import image, pipeline, servers
from kfaar_core.keys import UserKey
threads = int(sys.argv[1]) or free_cores()
torch.set_num_threads(threads)
server = servers.AnonymisationServer(pipeline.load("lab", device="cpu", threads=threads))
photo = image.open_photo("assets/examples/person-1.png")
asked = dict(photo=photo, key=UserKey.parse("01" * 32))
server.anonymise(pipeline.AnonymiseRequest(**asked, refine=False))
cpu, wall = time.process_time(), time.perf_counter()
server.anonymise(pipeline.AnonymiseRequest(**asked))
print(json.dumps({
    "threads": threads, "wall_s": round(time.perf_counter() - wall, 1), "cpu_s": round(time.process_time() - cpu, 1)
}))
"""
BUSY = "while True: pass"


def face(waiting: str | None, threads: int) -> dict[str, float]:
    """Wall and CPU seconds of one face in a process with these settings."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    if waiting:
        settings["OMP_WAIT_POLICY"] = waiting
    command = [sys.executable, "-c", PROBE, str(threads)]
    ran = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def main() -> None:
    """Keep cores busy, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1, help="processes that never rest")
    asked = parser.parse_args()
    with ExitStack() as stack:
        for _ in range(asked.busy):
            running = subprocess.Popen([sys.executable, "-c", BUSY])
            stack.callback(running.wait)
            stack.callback(running.terminate)
        time.sleep(1)
        load = os.getloadavg()[0]
        measured = {name: face(*settings) for name, settings in SETTINGS.items()}
    found = {"cores": os.cpu_count(), "busy": asked.busy, "load_before": round(load, 1), "faces": measured}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
