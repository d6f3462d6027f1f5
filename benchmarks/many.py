"""Peak memory and time for many people and many scores.

python -m benchmarks.many [--photos 20000] [--scores 1000000]

A parquet file of as many drawn photos, 10,000 people with two each, is indexed: opened, hashed, its test people and
pairs listed, and a hundred photos read. A score list of Bob with as many rows is read and drawn as the tab ROC does.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

GROUP = 1000  # rows of a row group
SIDE = 96  # px of a drawn photo: noise, so that a file has about 10 kB, as in LFW

INDEX = """
from kfaar_core.data.photos import open_dataset
from kfaar_core.scenarios import pairs
data = open_dataset(PATH)
data.sha256
people = pairs.people(data.samples, data.identities_of("test"))
pairs.impostors(people, 0)
for index in range(0, len(data), len(data) // 100):
    data.read(index)
found = {"photos": len(data), "people": len(people)}
"""
SCORES = """
from demo.tabs.score_lists import Lists, on_lists
began = time.process_time(), time.perf_counter()
first = next(on_lists(Lists([PATH], False)))
found = {"cpu_s": time.process_time() - began[0], "wall_s": time.perf_counter() - began[1]}
found["figure_kB"] = len(first.roc["value"].to_json()) / 1000
"""
MEASURED = """
import json, resource, time
start = time.perf_counter()
CODE
found.setdefault("wall_s", time.perf_counter() - start)
found["peak_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(json.dumps(found))
"""


def drawn_photos(path: Path, photos: int) -> None:
    """A parquet file of photos, two of each person, in row groups of GROUP."""
    rng = np.random.default_rng(0)
    schema = arrow.schema(
        {"image": arrow.struct({"bytes": arrow.binary(), "path": arrow.string()}), "identity": arrow.string()}
    )
    with parquet.ParquetWriter(path, schema) as file:
        for start in range(0, photos, GROUP):
            rows = range(start, min(start + GROUP, photos))
            images = [{"bytes": drawn(rng), "path": f"{row:06d}.jpg"} for row in rows]
            people = [f"person {row // 2:06d}" for row in rows]
            file.write_table(arrow.table({"image": images, "identity": people}, schema=schema))


def drawn(rng: np.random.Generator) -> bytes:
    """A photo of noise."""
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def drawn_scores(path: Path, scores: int) -> None:
    """A file of Bob with 4 columns; one in fifty is genuine."""
    rng = np.random.default_rng(0)
    people = rng.integers(0, 2000, (scores, 2))
    people[::50, 1] = people[::50, 0]
    values = rng.normal(size=scores) + 3.0 * (people[:, 0] == people[:, 1])
    lines = (f"{a} {b} t{i} {v:.6f}\n" for i, ((a, b), v) in enumerate(zip(people.tolist(), values, strict=True)))
    path.write_text("".join(lines))


def measured(code: str, path: Path) -> dict[str, float]:
    """What a program of its own finds, with its peak memory."""
    program = MEASURED.replace("CODE", code.replace("PATH", repr(str(path))))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(arguments: list[str] | None = None) -> None:
    """Measure both, and print JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--scores", type=int, default=1_000_000)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        photos, scores = Path(folder) / "photos.parquet", Path(folder) / "scores-dev"
        drawn_photos(photos, asked.photos)
        drawn_scores(scores, asked.scores)
        found = {
            "photos_MB": photos.stat().st_size / 1e6,
            "index": measured(INDEX, photos),
            "scores_MB": scores.stat().st_size / 1e6,
            "tab_roc": measured(SCORES, scores),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
