"""Benchmark: milliseconds of P and of KVFA, and of one pass of the face encoder E for comparison. Prints JSON.

python -m benchmarks.keyed [--method hashed] [--runs 100] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.anonymise import quantiles

PHOTO = Path(__file__).resolve().parent.parent / "assets/examples/person-1.png"


def timed(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Median (p50) and 95th percentile (p95) of the run time in milliseconds, after two warm-up calls."""
    seconds = []
    for run in range(runs + 2):
        started = time.perf_counter()
        work()
        if run > 1:
            seconds.append(1000 * (time.perf_counter() - started))
    return quantiles(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="hashed")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    asked = parser.parse_args()

    import torch

    torch.set_num_threads(asked.threads)
    from kfaar_core import image, weights
    from kfaar_core.assemble import assemble
    from kfaar_core.keys import UserKey
    from kfaar_core.presets import LAB
    from kfaar_core.stages.encode import EncoderPair
    from kfaar_core.stages.identify import FaceReader

    stages = assemble(replace(LAB, method=asked.method), "cpu", asked.threads)
    photo, key = image.open_photo(PHOTO), UserKey(bytes(range(32)))
    points = stages.locator.locate(photo).landmarks
    feature, features = stages.encoder.embed(photo.pixels, points), stages.features(photo.pixels, points)
    reference = stages.identifier.original(features)
    pair = stages.encoder if isinstance(stages.encoder, EncoderPair) else None
    e = pair.main if pair else stages.encoder
    measured: dict[str, object] = {
        "method": asked.method,
        "threads": asked.threads,
        "runs": asked.runs,
        "encoder_pass_ms": timed(lambda: e.embed(photo.pixels, points), asked.runs),
        "P_ms": timed(lambda: stages.projector(feature, key), asked.runs),
        "KVFA_verdict_ms": timed(lambda: stages.identifier.virtual(features, key) @ reference, asked.runs),
    }
    if pair:
        measured["auxiliary_pass_ms"] = timed(lambda: pair.auxiliary.embed(photo.pixels, points), asked.runs)
    if stages.reader is not None:  # F alone, without E's pass over the masked face
        reader = FaceReader(weights.load("kvfa"), stages.device)
        measured["KVFA_F_ms"] = timed(lambda: reader(photo.pixels, points), asked.runs)
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
