#!/usr/bin/env bash
# mediapipe 1.x: an Image made of a crop of an array holds other pixels, and nothing says so.
#
# Expected: mp.Image(data=photo[top:bottom, left:right]) holds the crop, or refuses a view as mediapipe 0.10.21 does
#   (TypeError; its docstring asks for data that lies "continuously", both then and now).
# Instead: the binding of 1.x goes through ctypes and takes the address of the first pixel alone. It reads on from
#   there row after row of the whole photo: shape and type are right, the picture is sheared. A transposed array
#   (a photo turned upright) is read untransposed.
# Why it matters here: cutting out a face by slicing and handing it to the Face Landmarker is the most natural two
#   lines of code there are. With 0.10 they raised; after an upgrade they give landmarks of a sheared face, a little or
#   much wrong, and a table of pose errors that measures this. Call numpy.ascontiguousarray first.
# Versions: mediapipe 0.10.21 and 1.2.3. Date of the run: 2026-11-30. Needs Python 3.11 or 3.12 (for 0.10.21).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import sys

import mediapipe as mp
import numpy as np

print("mediapipe", mp.__version__, "numpy", np.__version__)
photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
top, left, height, width = 8, 20, 24, 16
answers = []
for name, view in {
    "whole photo": photo,
    "crop": photo[top : top + height, left : left + width],
    "copy of the crop": np.ascontiguousarray(photo[top : top + height, left : left + width]),
    "transposed": photo.transpose(1, 0, 2),
}.items():
    try:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=view)
        held = image.numpy_view().copy()  # the view shares the image's memory
    except TypeError as error:
        answer = f"TypeError: {str(error).split('.')[0]}"
    else:
        same = np.array_equal(held, view)
        answer = "the same pixels" if same else f"other pixels: {np.mean((held != view).any(axis=2)):.0%} of them"
        if name == "crop" and not same:
            start = (top * photo.shape[1] + left) * 3
            run = photo.ravel()[start : start + held.size]
            answer += f"; one run of the photo's memory: {np.array_equal(held.ravel(), run)}"
    print(f"  {name}: {answer}")
    answers.append(answer.split(":")[0])
old = ["the same pixels", "TypeError", "the same pixels", "TypeError"]
new = ["the same pixels", "other pixels", "the same pixels", "other pixels"]
if answers != (old if mp.__version__.startswith("0.") else new):
    sys.exit("the behaviour has changed")
PYTHON
for release in 0.10.21 1.2.3; do
  "${PYTHON:-python3}" -m venv --without-pip "$folder/$release"
  "${PYTHON:-python3}" -m pip --python "$folder/$release/bin/python" install --quiet --no-compile \
    "mediapipe==$release"
  "$folder/$release/bin/python" "$folder/look.py"
done
echo "as described"
