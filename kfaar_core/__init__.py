"""Keyed face anonymisation."""

import sys

# `import openvino` reports itself to Google Analytics through this package; without it, it takes a stub of its own.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
