"""Chromium for the tests: an app on a free port, a visitor on its page, and what visitors do.

The tests of a module share an app and, where they can, a page: loading one takes longer than most tests.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).resolve().parents[2]
STAND_IN = [sys.executable, "-m", "tests.demo.stand_in"]
STAGE_SECONDS = "0.04"  # of the stand-in, so that there is something to cancel
LONG = "fd" * 32  # the stand-in takes ten minutes for this key
WAIT = 30.0  # s at least that a page may take to answer
STARTS = 2  # and as many times as long as the app took to start, which a slow or busy machine makes long as well

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(900),  # only for what hangs: waits follow the machine
]


class Served(NamedTuple):
    """A running app."""

    address: str
    wait: float  # ms that one of its answers may take


@contextmanager
def serve(command: list[str], log: Path) -> Iterator[Served]:
    """Run an app on a free port of this machine, and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "STAND_IN_SECONDS": STAGE_SECONDS}
    settings |= {"OMP_NUM_THREADS": "1"}
    with log.open("w") as out:
        running = subprocess.Popen([*command, str(port)], cwd=ROOT, env=settings, stdout=out, stderr=out)
        address = f"http://127.0.0.1:{port}/"
        try:
            begun, answers = time.monotonic(), False
            while not answers:
                try:
                    urllib.request.urlopen(address, timeout=20).close()
                    answers = True
                except OSError:
                    assert running.poll() is None, log.read_text()
                    time.sleep(0.25)
            wait = 1000 * max(WAIT, STARTS * (time.monotonic() - begun))
            playwright.expect.set_options(timeout=wait)
            yield Served(address, wait)
        finally:
            running.terminate()
            running.wait(20)


@contextmanager
def launched():
    """A Chromium with a false camera."""
    flags = ["--no-sandbox", "--disable-background-networking", "--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--use-fake-ui-for-media-stream"])
        yield chromium
        chromium.close()


def visit(browser, app: Served, *, width: int = 1400, dark: bool = False, **settings):
    """A new visitor on the page, ready."""
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **settings)
    page = context.new_page()
    page.set_default_timeout(app.wait)
    page.goto(f"{app.address}?__theme={'dark' if dark else 'light'}")
    page.wait_for_function("document.querySelector('#key-text textarea')?.value.length == 64")
    return page


def give(page, where: str, *files: str) -> None:
    page.locator(f"{where} input[type=file]").first.set_input_files(list(files))


def show(page, photo: str) -> None:
    """Give a photo to anonymise, and wait until its faces have been looked for."""
    give(page, "#photo", photo)
    page.wait_for_selector(f"#photo img[src$='{Path(photo).name}']")
    expect(page, "#seen", "found")


def press(page) -> None:
    """Press Anonymise; what an earlier run has left of the button is taken away first."""
    page.evaluate("document.getElementById('anonymise-run').removeAttribute('aria-busy')")
    page.click("#anonymise-run")


def anonymise(page, photo: str) -> None:
    """Give a photo, press the button, wait for a face that may be saved."""
    show(page, photo)
    press(page)
    ended(page)
    assert page.locator("#saving").is_visible(), page.locator("#summary").inner_text()


def ended(page) -> None:
    """Wait until the face has come, or why there is none."""
    page.wait_for_selector("#anonymise-run[aria-busy=false]")


def expect(page, where: str, text: str) -> None:
    playwright.expect(page.locator(where)).to_contain_text(re.compile(text))


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def key_of(page, where: str = "#key-text") -> str:
    return page.locator(f"{where} textarea").input_value()


def saved(page, button: str, to: Path) -> tuple[str, Path]:
    """(name, file) of a download."""
    with page.expect_download() as download:
        page.click(button)
    path = to / download.value.suggested_filename
    download.value.save_as(path)
    return download.value.suggested_filename, path
