"""The tiny preset and small drawn pictures."""

from __future__ import annotations

import numpy as np
import pytest

from kfaar_core import keys, pipeline
from kfaar_core.assemble import Stages
from kfaar_core.records import Photo


@pytest.fixture(scope="session")
def tiny() -> Stages:
    """Every stage of the tiny preset."""
    return pipeline.load("tiny", device="cpu")


def drawn(seed: int, height: int = 70, width: int = 60) -> Photo:
    """Smooth colours, another picture for each seed."""
    y, x = np.mgrid[:height, :width] / min(height, width)
    waves = np.random.default_rng(seed).uniform(1, 6, (3, 3))
    planes = [np.sin(a * x + b * y + c) for a, b, c in waves]
    return Photo(pixels=np.clip(127.5 + 127.5 * np.stack(planes, axis=-1), 0, 255).astype(np.uint8))


@pytest.fixture
def light_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id over little memory; test_keys.py compares what is in force with another implementation."""
    monkeypatch.setattr(keys, "ARGON2_MEMORY_KIB", 8 * keys.ARGON2_LANES)


@pytest.fixture
def photo() -> Photo:
    return drawn(1)


@pytest.fixture
def other_photo() -> Photo:
    return drawn(2)
