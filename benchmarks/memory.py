"""Benchmark: resident memory of the app over many requests. Prints JSON. Linux only (/proc).

python -m benchmarks.memory [--requests 200] [--every 20]

One client anonymises all example photos in turn, each time with another key, and authenticates each virtual face.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
from gradio_client import Client, handle_file

from benchmarks.serving import APP, ROOT, serving

WARM = 20  # warm-up requests, until every network has run and every cache is full


def slope(requests: Sequence[int], memory: Sequence[float]) -> float:
    """Slope of the memory in MB per 100 requests, by least squares after the warm-up."""
    points = [(at, mb) for at, mb in zip(requests, memory, strict=True) if at >= WARM]
    if len(points) < 2:
        return float("nan")
    at, mb = np.array(points).T
    return float(np.polyfit(at, mb, 1)[0] * 100)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--every", type=int, default=20)
    asked = parser.parse_args()
    photos = sorted(str(path) for path in (ROOT / "assets/examples").glob("person-*.png"))
    rng = np.random.default_rng(0)
    with serving(APP) as app:
        client = Client(app.address, verbose=False)
        counts, memory = [0], [app.memory_mb()]
        for done in range(1, asked.requests + 1):
            photo, key = handle_file(photos[done % len(photos)]), rng.bytes(32).hex()
            if done % 2:
                virtual, _ = client.predict(photo, key, "portrait", api_name="/anonymise")
            else:  # the face of the previous request, with a wrong key
                client.predict(handle_file(virtual), photo, key, api_name="/authenticate")
            if done % asked.every == 0 or done == asked.requests:
                counts.append(done)
                memory.append(app.memory_mb())
    measured = {
        "requests": asked.requests,
        "start_mb": round(memory[0]),
        "by_requests_mb": {str(at): round(mb) for at, mb in zip(counts[1:], memory[1:], strict=True)},
        "end_mb": round(memory[-1]),
        "slope_mb_per_100_requests": round(slope(counts, memory), 2),  # after the first 20
    }
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
