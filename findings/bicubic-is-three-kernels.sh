#!/usr/bin/env bash
# "Bicubic" is three kernels, two of them inside Pillow and two inside torch.
#
# Expected: one library means one thing by BICUBIC, so moving a picture by half a pixel gives the same pixels whether
#   it is done by Image.transform or by Image.resize with a box; and torch's antialias=True changes only pictures that
#   become smaller.
# Instead: the cubic convolution kernel has a free parameter a (Keys, 1981). Pillow's resize takes a = -0.5, Pillow's
#   transform and rotate take a = -1.0 under the same constant Image.Resampling.BICUBIC. torch's grid_sample takes
#   a = -0.75, its interpolate takes -0.75 as well, but -0.5 as soon as antialias=True, also for enlarging.
#   Only a = -0.5 reproduces a straight ramp: the others also move it by another amount than was asked for.
# Why it matters here: a face is cut out by one function, worked on, and put back by another. An aligned crop from
#   Pillow's transform is sharper than the photo, its contours overshoot twice as far as resize's, and a torch copy of
#   the same geometry cannot reproduce it: a gradient or a test "through the same crop" is through another one.
# Versions: pillow 12.3.0, torch 2.13.0, numpy 2.4.6. Date of the run: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
"${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile \
  pillow==12.3.0 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import PIL
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample, interpolate

print("pillow", PIL.__version__, "torch", torch.__version__, "numpy", np.__version__)
CUBIC, SIDE = Image.Resampling.BICUBIC, 32


def transform(x, shift):  # the picture at x + shift, Pillow's Image.transform
    return np.asarray(Image.fromarray(x).transform((SIDE, SIDE), Image.Transform.AFFINE, (1, 0, shift, 0, 1, 0), CUBIC))


def resize(x, shift):  # the same with Image.resize and a box as large as the answer
    side = SIDE - 1
    return np.asarray(Image.fromarray(x).resize((side, SIDE), CUBIC, box=(shift, 0, side + shift, SIDE)))


def grid(x, shift):
    move = torch.tensor([[[1, 0, 2 * shift / SIDE], [0, 1, 0]]])
    places = affine_grid(move, (1, 1, SIDE, SIDE), align_corners=False)
    return grid_sample(torch.from_numpy(x)[None, None], places, "bicubic", align_corners=False)[0, 0].numpy()


def doubled(antialias):  # torch's interpolate to twice the width, every other column: the picture at x + 0.25
    def move(x, shift):
        assert shift == 0.25
        return interpolate(
            torch.from_numpy(x)[None, None], (SIDE, 2 * SIDE), mode="bicubic", antialias=antialias
        )[0, 0].numpy()[:, 1::2]

    return move


point = np.zeros((SIDE, SIDE), dtype=np.float32)
point[:, 16] = 1
ramp = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))


def weight(a):  # what the kernel gives a neighbour 1.25 px away
    return a * (1.25**3 - 5 * 1.25**2 + 8 * 1.25 - 4)


wrong = 0
print("function                       a     ramp asked to move 0.25 px moves by")
for name, move, a in (
    ("Pillow resize", resize, -0.5),
    ("Pillow transform", transform, -1.0),
    ("torch grid_sample", grid, -0.75),
    ("torch interpolate", doubled(False), -0.75),
    ("torch interpolate, antialias", doubled(True), -0.5),
):
    seen = move(point, 0.25)[8, 17] / weight(1.0)  # column 17 stands at 17.25, that is 1.25 px from the point
    moved = move(ramp, 0.25)[8, 12] - 12
    print(f"{name:28s} {seen:6.3f}  {moved:.4f}")
    wrong += abs(seen - a) > 0.003 or (abs(moved - 0.25) < 0.001) != (a == -0.5)

# A drawn head on a dark ground, in grey levels, at half a pixel.
y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
head = np.clip(10 - np.hypot((x - 15.5) * 1.2, y - 15.5), 0, 1) * 180 + 30
ways = {"resize": resize, "transform": transform, "grid_sample": grid}
rows = {name: move(head, 0.5)[4:28, 4:28] for name, move in ways.items()}
for name, row in rows.items():
    gap = np.abs(row - rows["resize"])
    print(f"head by {name}: levels {row.min():.1f} to {row.max():.1f} (30 to 210 asked), from resize {gap.max():.1f}")
wrong += np.abs(rows["transform"] - rows["resize"]).max() < 5
raise SystemExit("the behaviour has changed" if wrong else 0)
PYTHON
echo "as described"
