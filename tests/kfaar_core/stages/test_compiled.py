"""Compiled networks leave cores and signals to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from openvino import Model
from openvino import opset13 as ops

from kfaar_core.stages.compiled import Compiler

ROOT = Path(__file__).resolve().parents[3]


def doubling() -> Model:
    x = ops.parameter([1, 4], np.float32)
    return Model([ops.multiply(x, ops.constant(np.float32(2)))], [x], "doubling")


def test_a_process_leaves_it_to_the_system_on_which_core_it_renders():
    """Each would choose the first ones, and several processes wait for each other there."""
    compiled = Compiler()(doubling())
    assert not compiled.get_property("ENABLE_CPU_PINNING")
    np.testing.assert_array_equal(compiled([np.ones((1, 4), np.float32)])[0], np.full((1, 4), 2))


STOPPED = """
import gc, signal
from kfaar_core.stages.compiled import Compiler
from tests.kfaar_core.stages.test_compiled import doubling
first, second = Compiler()(doubling()), Compiler()(doubling())
del first
del second  # in this order
gc.collect()
try:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("heard")
"""


def test_ctrl_c_is_heard_after_compiled_networks_have_gone():
    done = subprocess.run([sys.executable, "-c", STOPPED], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
