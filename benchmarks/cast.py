"""Benchmark: the paper's networks at full size with random weights, stage by stage. Prints JSON.

python -m benchmarks.cast [--device cpu] [--precision f32] [--batch 1] [--repeats 1] [--only stylegan2 facevid2vid]

Seconds and memory do not depend on the weights. What the pictures look like does: nothing here says that they are good.
Memory is the highest that the process (CPU) or the device (GPU) has held up to the end of the stage.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kfaar_core.nets.cast.arcface import ArcFace
from kfaar_core.nets.cast.facenet import FaceNet, inception_resnet
from kfaar_core.nets.cast.facevid2vid import FaceVid2Vid
from kfaar_core.nets.cast.liveportrait import LivePortrait
from kfaar_core.nets.cast.stylegan2 import StyleGan2

# Stage -> network, and the shapes of what it takes, without the batch.
STAGES: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "facenet": (lambda: FaceNet(inception_resnet()), ((3, 160, 160),)),
    "stylegan2": (StyleGan2, ((18, 512),)),
    "facevid2vid": (FaceVid2Vid, ((3, 256, 256), (3, 256, 256))),
    "liveportrait": (LivePortrait, ((3, 256, 256), (3, 256, 256))),
    "arcface": (ArcFace, ((3, 112, 112),)),
}


def memory_mb(device: torch.device) -> float:
    """The highest memory so far, MB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def timed(run: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """Seconds of one run, until the device has finished, and what it answers."""
    start = time.perf_counter()
    found = run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, found


def measured(stage: str, device: torch.device, dtype: torch.dtype, batch: int, repeats: int) -> dict[str, object]:
    """Seconds of building, of the first run and of the best of the others, and memory, of one stage."""
    build, shapes = STAGES[stage]
    start = time.perf_counter()
    torch.manual_seed(0)
    net = build().to(device, dtype).eval().requires_grad_(False)
    built = time.perf_counter() - start
    inputs = [torch.rand(batch, *shape, device=device, dtype=dtype) * 2 - 1 for shape in shapes]
    with torch.inference_mode():
        first, found = timed(lambda: net(*inputs), device)
        later = [timed(lambda: net(*inputs), device)[0] for _ in range(repeats)]
    return {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "output": list(found.shape),
        "build_s": round(built, 3),
        "first_s": round(first, 4),
        "best_s": round(min(later, default=first), 4),
        "memory_mb": round(memory_mb(device)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    asked = parser.parse_args()
    device = torch.device(asked.device)
    dtype = torch.bfloat16 if asked.precision == "bf16" else torch.float32
    found = {stage: measured(stage, device, dtype, asked.batch, asked.repeats) for stage in asked.only}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    about = {"device": name, "torch": torch.__version__, "precision": asked.precision, "batch": asked.batch}
    print(json.dumps({"weights": "random", **about, "stages": found}, indent=2))


if __name__ == "__main__":
    main()
