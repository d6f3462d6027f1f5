"""A tool for privacy tells nobody that it was started."""

from __future__ import annotations

import subprocess
import sys

SEEN = """
import kfaar_core
import openvino
from openvino.tools.ovc import telemetry_stub, telemetry_utils
assert telemetry_utils.tm is telemetry_stub, telemetry_utils.tm
"""


def test_openvino_reports_nothing():
    """In a fresh process, because OpenVINO reports when it is first imported."""
    subprocess.run([sys.executable, "-c", SEEN], check=True, timeout=100)
