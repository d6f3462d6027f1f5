"""The stand-in core as a fixture, and pictures for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


# ---- for the tests in Chromium, which import tests.demo.chromium themselves


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the app prints."""
    return tmp_path_factory.mktemp("app") / "log.txt"


@pytest.fixture(scope="session")
def app(log: Path) -> Iterator[Any]:
    """An app with the stand-in core; its start takes longer than most tests."""
    from tests.demo.chromium import STAND_IN, serve

    with serve(STAND_IN, log) as served:
        yield served


@pytest.fixture(scope="module")  # not longer: while it lives, no other test can run an event loop
def browser() -> Iterator[Any]:
    from tests.demo.chromium import launched

    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def page(browser: Any, app: Any) -> Iterator[Any]:
    """A visitor, who stays for the tests of a module."""
    from tests.demo.chromium import visit

    page = visit(browser, app, width=1320)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Photos for the stand-in by name: `one`, `other` and `third` show different people, `two` two, `plain` nobody."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(4)
    paths = {}
    for name, size in (("one", (80, 64)), ("other", (80, 64)), ("third", (80, 64)), ("two", (200, 400))):
        paths[name] = str(folder / f"{name}.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(paths[name])
    paths["plain"] = str(folder / "plain.png")
    Image.new("RGB", (80, 64), "gray").save(paths["plain"])
    return paths
