"""The stand-in core as a fixture, and pictures for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.demo.stand_in import StandInCore


@pytest.fixture
def core() -> StandInCore:
    return StandInCore()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[np.ndarray, str], str]:
    """Writes pixels as a PNG and answers its path, as gradio hands an upload over."""

    def write(pixels: np.ndarray, name: str) -> str:
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        return str(path)

    return write


@pytest.fixture
def photo(save: Callable[[np.ndarray, str], str], rng: np.random.Generator) -> str:
    return save(rng.integers(0, 256, (80, 60, 3), dtype=np.uint8), "photo")


@pytest.fixture
def plain(save: Callable[[np.ndarray, str], str]) -> str:
    """A picture without a face."""
    return save(np.full((80, 60, 3), 90, dtype=np.uint8), "plain")
