"""Regression test: compare faces and tables with those of another commit.

python -m benchmarks.golden BEFORE [--photos N]

Checks out the commit BEFORE and runs both versions on this machine, in float32. Two synthetic photos with each method
must give the same VirtualFace (pictures within one grey level, cosines within 1e-4). The committed score files must
give the same tables, byte for byte. Prints JSON; the exit code is 1 if anything differs. It is not a part of the
default tests, because it takes minutes and an intended change of results must fail it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from kfaar_core import methods

ROOT = Path(__file__).resolve().parent.parent
LEVELS = 1  # largest difference of pictures, grey levels
COSINES = 1e-4  # largest difference of cosines
METHODS = methods.readable()
PHOTOS = ("person-1.png", "person-4.png")
ANOTHER = {"person-1.png": "person-1-again.png"}  # another photo to compare with KVFA

# Runs in both versions, so it supports every API since commit b6816a2.
PROBE = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from kfaar_core import image, pipeline, presets
from kfaar_core.keys import UserKey
try:
    from kfaar_core import servers
except ImportError:
    servers = pipeline
method, name, another, out = sys.argv[1:]
field = "method" if hasattr(presets.LAB, "method") else "projector"
stages = pipeline.load(replace(presets.LAB, precision="f32", **{field: method}), device="cpu", threads=1)
examples = Path("assets/examples")
photo = image.open_photo(examples / name)
key, wrong = UserKey(bytes(range(32))), UserKey(bytes(range(1, 33)))
fas, asked = servers.AnonymisationServer(stages), {"photo": photo, "key": key, "mode": "paste"}
face = fas.anonymise(pipeline.AnonymiseRequest(**asked)) if servers is not pipeline else fas.anonymise(**asked)
virtual = image.from_array(face.portrait)
vfas = servers.AuthenticationServer(stages)
cosines = [face.judge_cosine, face.look_distance]
for verdict in (face.reading, face.keyless):
    cosines.append(0.0 if verdict is None else verdict.cosine)
for original in filter(None, (name, another)):
    compare = getattr(vfas, 'compare', None) or vfas.readout
    compared = compare(virtual, image.open_photo(examples / original))
    cosines += [compared.with_key(key).cosine, compared.with_key(wrong).cosine, compared.without_key().cosine]
angles = [getattr(posture, angle) for posture in (face.posture_original, face.posture_before, face.posture_after)
          for angle in ("yaw", "pitch", "roll")]
np.savez(out, picture=face.picture, portrait=face.portrait, draft=face.draft, crop=face.crop.picture,
         latent=face.latent, cosines=np.array(cosines), angles=np.array(angles),
         flags=np.array([face.anonymous, face.detected, face.rekeyed]))
"""


def face_of(tree: Path, method: str, name: str, out: Path) -> dict[str, np.ndarray]:
    """The arrays of a VirtualFace by the code of a working tree."""
    probe = [sys.executable, "-c", PROBE, method, name, ANOTHER.get(name, ""), str(out)]
    # One thread: with two, the order of sums varies between runs, and refinement amplifies the rounding.
    subprocess.run(probe, cwd=tree, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    with np.load(out) as arrays:
        return dict(arrays)


def tables_of(tree: Path, scores: Path, out: Path) -> str:
    """All tables of the score files by the code of a working tree."""
    command = [sys.executable, "-m", "benchmarks.readme_tables", str(scores), "--full", str(out)]
    subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    return out.read_text(encoding="utf-8")


def differences(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest absolute difference of each array; infinite if the shapes differ."""
    return {
        name: float(np.abs(before[name].astype(np.float64) - after[name].astype(np.float64)).max())
        if before[name].shape == after[name].shape
        else float("inf")
        for name in before
    }


def same(largest: dict[str, float]) -> bool:
    """Whether the largest differences are within the limits."""
    pictures = all(largest[name] <= LEVELS for name in ("picture", "portrait", "draft", "crop"))
    return pictures and largest["cosines"] <= COSINES and largest["angles"] <= 0.01 and largest["flags"] == 0


def main() -> None:
    """Parse, run both builds, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden", description=__doc__.splitlines()[0])
    parser.add_argument("before", help="the commit to compare with")
    parser.add_argument("--photos", type=int, default=len(PHOTOS), help="photos for each method")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    asked = parser.parse_args()
    report: dict[str, object] = {"before": asked.before}
    good = True
    with tempfile.TemporaryDirectory() as folder:
        tree, out = Path(folder) / "before", Path(folder) / "out.npz"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, asked.before], cwd=ROOT, check=True)
        try:
            tables = [tables_of(root, ROOT / "assets" / "scores", Path(folder) / "tables") for root in (tree, ROOT)]
            report["tables"] = "the same" if tables[0] == tables[1] else "differ"
            good &= tables[0] == tables[1]
            for method in asked.methods:
                for name in PHOTOS[: asked.photos]:
                    largest = differences(*(face_of(root, method, name, out) for root in (tree, ROOT)))
                    report[f"{method}, {name}"] = {**largest, "same": same(largest)}
                    good &= same(largest)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)
    print(json.dumps({**report, "same": good}, indent=2))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
