#!/usr/bin/env bash
# pillow-heif: "lossless" HEIC is not, neither by its quality nor with the chroma that its documentation adds.
#
# Expected: quality=-1, "lossless quality" by the documentation of pillow_heif.options, gives every pixel back; at the
#   latest with chroma=444, which the same note asks for "also for lossless encoding".
# Instead: quality=-1 alone halves the colour's resolution first (4:2:0) and then codes that without loss: colours are
#   off by tens of levels. With chroma=444 about a third of the values are still off by one, because RGB is
#   turned into rounded YCbCr. Only matrix_coefficients=0 on top, which keeps RGB as it is, gives the pixels back.
# Why it matters here: HEIC is what phones hand in. Whoever keeps test photos or virtual faces in "lossless" HEIC
#   measures on other pixels than were made, colours most of all, and a test for equality fails by one level for
#   no visible reason.
# Versions: pillow-heif 1.8.1, pillow 13.0.0, numpy 2.4.6. Date of the run: 2026-12-01.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
"${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile \
  pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io

import numpy as np
import PIL
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
print("pillow-heif", pillow_heif.__version__, "libheif", pillow_heif.libheif_version(), "pillow", PIL.__version__)

# A drawn face: skin that shades off, red lips, blue eyes.
y, x = np.mgrid[:256, :256].astype(np.float64)
photo = np.stack([200 - y / 4 + x / 8, 150 - y / 5 + 20 * np.sin(x / 9), 120 + x / 6 - y / 7], axis=2)
photo[np.hypot(x - 128, 3 * (y - 190)) < 40] = 190, 30, 50
photo[np.minimum(np.hypot(x - 88, y - 100), np.hypot(x - 168, y - 100)) < 12] = 30, 70, 190
photo = np.clip(photo, 0, 255).astype(np.uint8)


def largest_gap(**options):
    kept = io.BytesIO()
    Image.fromarray(photo).save(kept, "HEIF", quality=-1, **options)
    gap = np.abs(np.asarray(Image.open(kept).convert("RGB")).astype(int) - photo)
    print(f"  quality=-1 {options}: {np.mean(gap > 0):.0%} of the values are off, by up to {gap.max()} levels")
    return int(gap.max())


plain, fine, exact = largest_gap(), largest_gap(chroma=444), largest_gap(chroma=444, matrix_coefficients=0)
raise SystemExit(0 if plain >= 10 and fine == 1 and exact == 0 else "the behaviour has changed")
PYTHON
echo "as described"
