#!/usr/bin/env bash
# OpenVINO: a bias and a noise map of 1 MB become one constant of 64 MB when a model is compiled.
#
# Expected: a StyleGAN layer adds a bias (1, C, 1, 1) and a fixed noise map (1, 1, H, W). Written as two additions one
#   after the other, the compiled model holds C + H x W numbers.
# Instead: the compiler adds the two constants to each other first, whether or not they stand together in the model,
#   and keeps their sum at full size, C x H x W numbers: C times the noise map, for every layer. The saved model does
#   not show it: it stays at 1 MB. ("Folding constants" sounds like something that can only save.)
# Why it matters here: a face generator has such a layer at every size up to 512 or 1024 px. Ours grew by 480 MB and
#   became slower, since the large constants stream through memory for every face. The strength of the noise as an
#   input of the model (always 1) keeps the two apart.
# Versions: openvino 2026.4.1, numpy 2.4.6. Date of the run: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
"${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile \
  openvino==2026.4.1 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops

print("openvino", openvino.__version__, "numpy", np.__version__)
folder, channels, side = Path(sys.argv[1]), 64, 512
rng = np.random.default_rng(0)
bias = rng.standard_normal((1, channels, 1, 1)).astype(np.float32)
noise = rng.standard_normal((1, 1, side, side)).astype(np.float32)


def layer(strength_as_input):
    x = ops.parameter([1, channels, side, side], np.float32, name="x")
    strength = ops.parameter([1], np.float32, name="strength")
    drawn = ops.multiply(ops.constant(noise), strength) if strength_as_input else ops.constant(noise)
    y = ops.add(ops.add(x, ops.constant(bias)), drawn)
    return openvino.Model([y], [x, strength] if strength_as_input else [x], "layer")


largest = []
for about, strength_as_input in (("noise as a constant", False), ("strength of the noise as an input", True)):
    model = layer(strength_as_input)
    openvino.save_model(model, folder / "layer.xml", compress_to_fp16=False)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    constants = [
        list(op.output(0).shape)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["layerType"].astype(str) == "Const"
    ]
    largest.append(max(int(np.prod(shape)) for shape in constants) * 4 / 2**20)
    on_disk = (folder / "layer.bin").stat().st_size / 2**20
    print(f"{about}: {on_disk:.1f} MB saved; constants of the compiled model {constants}")
    x = rng.standard_normal((1, channels, side, side)).astype(np.float32)
    y = compiled([x, np.ones(1, np.float32)] if strength_as_input else [x])[0]
    assert np.allclose(y, x + bias + noise, atol=1e-4)
print(f"largest constant: {largest[0]:.0f} MB and {largest[1]:.0f} MB")
raise SystemExit(0 if largest[0] == 64 and largest[1] <= 1 else "the behaviour has changed")
PYTHON
echo "as described"
