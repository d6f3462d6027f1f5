"""What many tests share."""

from __future__ import annotations

import zlib

import numpy as np
import pytest


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A random stream of this test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
