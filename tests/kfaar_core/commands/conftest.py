"""The command line as a function, and synthetic photos. Every test runs in an empty folder, on the preset tiny."""

from __future__ import annotations

import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from kfaar_core.__main__ import app

KEY = "00112233445566778899aabbccddeeff"
WRONG = "ff" * 16


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light_argon2: None) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def heard() -> Iterator[None]:
    """Signals that end a program do so here too, although nohup and background jobs of a shell ignore them."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def kfaar() -> Callable[..., Result]:
    """Run a command; what it says never holds the keys of these tests."""

    def run(*words: object, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words], input=input)
        for secret in (KEY, WRONG):
            assert secret not in result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def tiny(kfaar: Callable[..., Result]) -> Callable[..., Result]:
    """The same with the preset tiny, for a command that must succeed."""

    def run(*words: object, input: str | None = None) -> Result:
        result = kfaar(*words, "--preset", "tiny", input=input)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def refused(kfaar: Callable[..., Result]) -> Callable[..., str]:
    """Run a command that must fail with code 1, silent but for one line on standard error; answers that line."""

    def run(*words: object, input: str | None = None) -> str:
        result = kfaar(*words, input=input)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert result.stderr.endswith(".\n") and result.stderr.count("\n") == 1, result.stderr
        assert ". " in result.stderr  # what came, and how to mend it
        return result.stderr

    return run


@pytest.fixture
def pixels() -> np.ndarray:
    """(120, 100, 3) smooth patches and noise: to the tiny detector, a face."""
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(40, 220, (6, 5, 3), dtype=np.uint8)).resize(
        (100, 120), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(coarse).astype(int) + rng.integers(-8, 9, (120, 100, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def photo(folder: Path, pixels: np.ndarray) -> Path:
    path = folder / "me.jpg"
    Image.fromarray(pixels).save(path, quality=95)
    return path


@pytest.fixture
def files(folder: Path) -> Callable[[], set[str]]:
    """Names of everything in the test's folder."""
    return lambda: {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def opened() -> Callable[[Path], Image.Image]:
    """A picture that was read to its end, its file closed."""

    def read(path: Path) -> Image.Image:
        with Image.open(path) as picture:
            picture.load()
        return picture

    return read


@pytest.fixture
def source_type() -> Callable[[Image.Image], str]:
    """What a picture says about its origin: the end of the IPTC term in its XMP packet, which has nothing else."""

    def read(picture: Image.Image) -> str:
        (about,) = ElementTree.fromstring(picture.info["xmp"]).iter(
            "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
        )
        said = dict(about.attrib)
        assert said.pop("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about") == "" and len(about) == 0
        ((name, term),) = said.items()
        assert name == "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
        folder, _, last = term.rpartition("/")
        assert folder == "http://cv.iptc.org/newscodes/digitalsourcetype"
        return last

    return read
