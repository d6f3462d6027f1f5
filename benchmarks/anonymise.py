"""Benchmark: time and memory of anonymising one face. Prints JSON.

python -m benchmarks.anonymise [--photo FILE] [--method NAME] [--runs 30] [--threads 2] [--quick] [--isa avx2]
                               [--wheel RANDOM_FACE.whl] [-o FILE]

With --quick the face is not refined. With --isa avx2 the libraries use no newer instructions than AVX2, and no
bfloat16, as on a CPU that has neither. With --wheel, the wheel's unmodified OpenVINO file renders at 1024 px with the
same threads, alternating with `anonymise` (512 px), and the ratio of the two times is printed. The README's times come
from assets/benchmarks/anonymise.json and anonymise-avx2.json, written by -o.
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
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# No newer instructions: oneDNN's and OpenVINO's limit, and that of torch's own kernels.
CAPS = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
COLD = """
import time; started = time.perf_counter()
import resource, sys
from dataclasses import replace
from pathlib import Path
from kfaar_core import image, pipeline, servers
from kfaar_core.keys import UserKey
from kfaar_core.presets import LAB
path, method, precision, threads, refine = sys.argv[1:]
stages = pipeline.load(replace(LAB, method=method, precision=precision), threads=int(threads))
photo = image.open_photo(Path(path))
request = pipeline.AnonymiseRequest(photo=photo, key=UserKey(bytes(32)), refine=refine == "True")
servers.AnonymisationServer(stages).anonymise(request)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median (p50) and 95th percentile (p95), in the unit of the input."""
    ordered = sorted(seconds)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, q * len(ordered) // 100)], 4) for q in (50, 95)}


def processor() -> str:
    """The CPU's own name, as OpenVINO reads it."""
    from kfaar_core.runtime import openvino_core

    return str(openvino_core().get_property("CPU", "FULL_DEVICE_NAME"))


def wheel_render(wheel: Path, threads: int):  # type: ignore[no-untyped-def]
    """A function that renders one face at 1024 px with the OpenVINO file of the wheel random-face."""
    import numpy as np

    from kfaar_core.runtime import openvino_core

    folder = Path(tempfile.mkdtemp())
    with zipfile.ZipFile(wheel) as archive:
        for name in ("SynthesisNetwork.xml", "SynthesisNetwork.bin"):
            (folder / name).write_bytes(archive.read(f"random_face/data/{name}"))
    graph = openvino_core().compile_model(folder / "SynthesisNetwork.xml", "CPU", {"INFERENCE_NUM_THREADS": threads})
    style = np.random.default_rng(0).standard_normal((1, 512), dtype=np.float32) * 0.5
    return lambda: graph([style])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=None)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--method", default=None, help="of kfaar_core.methods (the default method)")
    parser.add_argument("--isa", choices=CAPS, default=None, help="newest instructions that the libraries may use")
    parser.add_argument("--wheel", type=Path, default=None)
    parser.add_argument("-o", "--output", type=Path, default=None, help="write the JSON to this file as well")
    asked = parser.parse_args()
    cap = CAPS.get(asked.isa, {})
    if any(os.environ.get(name) != value for name, value in cap.items()):  # they are read when a library is loaded
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.anonymise", *sys.argv[1:]], {**os.environ, **cap})
    photo_path = asked.photo or sorted((ROOT / "assets/examples").glob("*.png"))[0]

    import torch

    torch.set_num_threads(asked.threads)
    from kfaar_core import image, pipeline, servers
    from kfaar_core.keys import UserKey
    from kfaar_core.presets import LAB
    from kfaar_core.runtime import has_bfloat16

    halves = asked.isa is None and has_bfloat16(torch.device("cpu"))
    preset = replace(LAB, method=asked.method or LAB.method, precision="bf16" if halves else "f32")
    settings = [str(photo_path), preset.method, preset.precision, str(asked.threads), str(not asked.quick)]
    cold = subprocess.run([sys.executable, "-c", COLD, *settings], check=True, capture_output=True, text=True, cwd=ROOT)
    photo = image.open_photo(photo_path)
    server = servers.AnonymisationServer(pipeline.load(preset, threads=asked.threads))
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
        "cpu": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "capped": asked.isa is not None,
        "precision": preset.precision,
        "method": preset.method,
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
    print(text := json.dumps(measured, indent=2))
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
