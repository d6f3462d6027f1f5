"""Benchmark: time and memory of anonymising one face. Prints JSON.

python -m benchmarks.anonymise [--photo FILE] [--runs 30] [--threads 2] [--quick] [--wheel RANDOM_FACE.whl]

With --quick the face is not refined. With --wheel, the wheel's unmodified OpenVINO file renders at 1024 px with the
same threads, alternating with `anonymise` (512 px), and the ratio of the two times is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLD = """
import time; started = time.perf_counter()
import resource, sys
from pathlib import Path
from kfaar_core import image, pipeline, servers
from kfaar_core.keys import UserKey
stages = pipeline.load("lab", threads=int(sys.argv[2]))
photo, refine = image.open_photo(Path(sys.argv[1])), sys.argv[3] == "True"
request = pipeline.AnonymiseRequest(photo=photo, key=UserKey(bytes(32)), refine=refine)
servers.AnonymisationServer(stages).anonymise(request)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median (p50) and 95th percentile (p95), in the unit of the input."""
    ordered = sorted(seconds)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, q * len(ordered) // 100)], 4) for q in (50, 95)}


def wheel_render(wheel: Path, threads: int):  # type: ignore[no-untyped-def]
    """A function that renders one face at 1024 px with the OpenVINO file of the wheel random-face."""
    import numpy as np
    import openvino

    folder = Path(tempfile.mkdtemp())
    with zipfile.ZipFile(wheel) as archive:
        for name in ("SynthesisNetwork.xml", "SynthesisNetwork.bin"):
            (folder / name).write_bytes(archive.read(f"random_face/data/{name}"))
    graph = openvino.Core().compile_model(folder / "SynthesisNetwork.xml", "CPU", {"INFERENCE_NUM_THREADS": threads})
    style = np.random.default_rng(0).standard_normal((1, 512), dtype=np.float32) * 0.5
    return lambda: graph([style])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=None)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--wheel", type=Path, default=None)
    asked = parser.parse_args()
    photo_path = asked.photo or sorted((ROOT / "assets/examples").glob("*.png"))[0]

    import torch

    torch.set_num_threads(asked.threads)
    from kfaar_core import image, pipeline, servers
    from kfaar_core.keys import UserKey

    cold = subprocess.run(
        [sys.executable, "-c", COLD, str(photo_path), str(asked.threads), str(not asked.quick)],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    photo = image.open_photo(photo_path)
    server = servers.AnonymisationServer(pipeline.load("lab", threads=asked.threads))
    request = pipeline.AnonymiseRequest(photo=photo, key=UserKey(bytes(32)), refine=not asked.quick)
    render = wheel_render(asked.wheel, asked.threads) if asked.wheel else None
    whole, wheel, stages = [], [], {}
    for run in range(asked.runs + 2):
        started = time.perf_counter()
        answer = server.anonymise(request)
        middle = time.perf_counter()
        if render:
            render()
        if run < 2:  # warm-up
            continue
        whole.append(middle - started)
        wheel.append(time.perf_counter() - middle)
        for name, seconds in answer.seconds.items():
            stages.setdefault(name, []).append(seconds)
    measured = {
        "runs": asked.runs,
        "threads": asked.threads,
        "refined": not asked.quick,
        "photo_px": list(photo.pixels.shape[1::-1]),
        "out_px": answer.portrait.shape[0],
        "whole_s": quantiles(whole),
        "stages_s": {name: quantiles(seconds) for name, seconds in stages.items()},
        "process_start_to_first_result_s": round(float(cold.stdout.split()[0]), 2),
        "peak_memory_mb": round(float(cold.stdout.split()[1])),  # of that process: loading and one face
    }
    if render:
        measured["wheel_render_1024_s"] = quantiles(wheel)
        measured["ratio_to_wheel_render_p50"] = round(quantiles(whole)["p50"] / quantiles(wheel)["p50"], 2)
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
