#!/usr/bin/env bash
# OpenCV: warpAffine and remap round every place to 1/32 px in 4.12, and in 5.1 only for Lanczos.
#
# Expected: INTER_LINEAR reads a picture at the place that the matrix names, in every version, and INTER_LANCZOS4, the
#   slowest, is the most exact.
# Instead: in 4.12 the fraction of a place is rounded to 1/32 px before any weights are made: a shift of 0.01 px
#   is no shift, one of 0.02 px is one of 0.031 px. In 5.1 the linear and the cubic kernel read at the exact place,
#   Lanczos still at the rounded one, so that the "best" kernel is now the coarsest. The call is the same, the pixels
#   of an aligned face are others.
# Why it matters here: aligned crops are what face recognisers see. Templates that were enrolled with 4.x and photos
#   that are compared with 5.x went through two different crops, and a numerical gradient through a 4.x crop is zero
#   for steps under 1/64 px.
# Versions: opencv-python-headless 4.12.0.88 with numpy 2.2.6, opencv-contrib-python 5.1.0.95 with numpy 2.4.6,
#   x86-64. Date of the run: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import sys
from pathlib import Path

import cv2
import numpy as np

print("opencv", cv2.__version__, "numpy", np.__version__)
SHIFTS = (0.01, 0.02, 0.04, 0.1)
KERNELS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos4": cv2.INTER_LANCZOS4}
ramp = np.tile(np.arange(64, dtype=np.float32), (8, 1))
old = cv2.__version__.startswith("4.")
wrong = False


def warped(shift, kernel):
    return cv2.warpAffine(ramp, np.float32([[1, 0, -shift], [0, 1, 0]]), (64, 8), flags=kernel)[4, 30] - 30


def remapped(shift, kernel):
    y, x = np.mgrid[:8, :64].astype(np.float32)
    return cv2.remap(ramp, x + np.float32(shift), y, kernel)[4, 30] - 30


for name, kernel in KERNELS.items():
    for function in (warped, remapped):
        seen = [float(function(shift, kernel)) for shift in SHIFTS]
        # Whatever a kernel makes of a ramp: do 0.02 and 0.04 px give the same, as places on a 1/32 px grid do?
        rounded = abs(seen[0]) < 1e-5 and abs(seen[1] - seen[2]) < 1e-5
        print(f"  {name:8s} {function.__name__:8s} shifts {SHIFTS} px move a ramp by {np.round(seen, 4).tolist()}"
              f"{', a grid of 1/32 px' if rounded else ''}")
        wrong |= rounded != (old or name == "lanczos4")
        if name == "linear" and not old:
            wrong |= not np.allclose(seen, SHIFTS, atol=1e-4)

# A drawn head with hair, through the usual 112 px crop.
y, x = np.mgrid[:256, :256].astype(np.float32)
head = 90 + 60 * np.tanh(60 - np.hypot((x - 128) * 1.2, y - 128)) + 40 * np.sin(x * 1.1) * (y < 100)
photo = np.clip(head, 0, 255).astype(np.uint8)
matrix = cv2.getRotationMatrix2D((128, 128), 7, 0.8) + [[0, 0, -72], [0, 0, -72]]
crop = cv2.warpAffine(photo, matrix, (112, 112), flags=cv2.INTER_LINEAR).astype(int)
kept = Path(sys.argv[1])
if old:
    np.save(kept, crop)
else:
    gap = np.abs(crop - np.load(kept))
    print(f"  the crop of 4.12 and of 5.1: {np.mean(gap > 0):.0%} of the pixels differ, by up to {gap.max()} levels")
    wrong |= gap.max() < 1
sys.exit("the behaviour has changed" if wrong else 0)
PYTHON
look() { # at the packages that are named
  rm -rf "$folder/venv"
  "${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
  "${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile "$@"
  "$folder/venv/bin/python" "$folder/look.py" "$folder/crop.npy"
}
look opencv-python-headless==4.12.0.88 numpy==2.2.6
look opencv-contrib-python==5.1.0.95 numpy==2.4.6
echo "as described"
