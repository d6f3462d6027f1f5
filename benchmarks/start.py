"""Benchmark: seconds from the start of the app to its first answer, and for its first virtual face. Prints JSON.

python -m benchmarks.start [--runs 3]

The first run may be slower, because files are not in the disk cache yet.
"""

from __future__ import annotations

import argparse
import json
import os
import time

from gradio_client import Client, handle_file

from benchmarks.serving import APP, ROOT, serving

KEY = "01" * 32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    photo = str(ROOT / "assets/examples/person-1.png")
    ready, first = [], []
    for _ in range(asked.runs):
        with serving(APP) as app:
            ready.append(round(app.ready_s, 2))
            client = Client(app.address, verbose=False)
            started = time.perf_counter()
            client.predict(handle_file(photo), KEY, "portrait", api_name="/anonymise")
            first.append(round(time.perf_counter() - started, 2))
    measured = {
        "cores": os.cpu_count(),
        "runs": asked.runs,
        "start_to_ready_s": ready,
        "first_anonymise_s": first,  # as a client sees it: upload, queue, picture
        "ready_under_15_s": all(seconds < 15 for seconds in ready[1:] or ready),
        "first_anonymise_under_5_s": all(seconds < 5 for seconds in first),
    }
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
