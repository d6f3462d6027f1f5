#!/usr/bin/env bash
# OpenVINO: `import openvino` alone sends an event to Google Analytics, in every process that imports it.
#
# Expected: importing a library for inference talks to nobody. Tools that convert models are known to ask for consent.
# Instead: the import loads the model converter, which reports ("ov", "import", "general_import") through the package
#   openvino-telemetry, which pip installs as well. A process of its own sends the request to google-analytics.com. No
#   model is converted, and nobody is asked: consent is presumed until `opt_in_out --opt_out` is run. Without that
#   package the import takes a stub and all of it works as before.
# Why it matters to face anonymisation: a local tool promises that nothing leaves the machine. This leaves, with an
#   identifier that is kept in the home folder, at every start, and from every worker of an evaluation.
# Versions: openvino 2026.4.1, openvino-telemetry 2025.2.0. Date of the run: 2026-12-01.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
"${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile \
  openvino==2026.4.1 openvino-telemetry==2025.2.0 numpy==2.4.6
cat > "$folder/seen.py" <<'PYTHON'
"""Collect what an import would send; nothing is sent. With `stub` the telemetry package is hidden."""

import sys

sent = []
if sys.argv[1] == "stub":
    sys.modules["openvino_telemetry"] = None
else:
    from openvino_telemetry.utils.sender import TelemetrySender

    TelemetrySender.send = lambda self, backend, message: sent.append((backend.backend_url.split("?")[0], message))
import numpy as np
import openvino
from openvino import opset13 as ops

x = ops.parameter([1, 2], np.float32)
compiled = openvino.Core().compile_model(openvino.Model([ops.relu(x)], [x], "relu"), "CPU")
assert compiled(np.array([[-1, 2]], dtype=np.float32))[0].tolist() == [[0, 2]]
print(sys.argv[1], openvino.__version__, *sent)
raise SystemExit(0 if len(sent) == int(sys.argv[2]) else "the behaviour has changed")
PYTHON
for case in "package 1" "stub 0"; do
  # shellcheck disable=SC2086
  env -u CI HOME="$folder" "$folder/venv/bin/python" "$folder/seen.py" $case
done
echo "as described"
