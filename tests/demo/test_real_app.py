"""The real app in Chromium, with the committed weights."""

from __future__ import annotations

import sys

import pytest

from demo import examples, words
from kfaar_core.calibration import FOLDER
from kfaar_core.weights import ASSETS
from tests.demo.chromium import MARKS, anonymise, expect, open_tab, serve, visit

pytestmark = MARKS
REAL = [ASSETS / "manifest.json", *FOLDER.glob("lab*.json")]


@pytest.mark.lab
@pytest.mark.skipif(len(REAL) < 2 or not REAL[0].is_file(), reason="the weights of the preset lab are not here")
@pytest.mark.skipif(not examples.photos(), reason="there are no example pictures")
@pytest.mark.parametrize("projector", ["floor", pytest.param("hashed", marks=pytest.mark.slow)])  # hashed: refined
def test_the_real_app_anonymises_and_authenticates(browser, tmp_path, projector):
    command = [sys.executable, "app.py", "--preset", "lab", "--projector", projector, "--port"]
    with serve(command, tmp_path / "log.txt") as app:
        page = visit(browser, app)
        # Fixed keys: in d = 32 dimensions one random key in twenty would open the face.
        page.locator("#key-text textarea").fill("01" * 32)
        anonymise(page, str(examples.FOLDER / "person-1.png"))
        expect(page, "#summary", "Another person|Too close")
        open_tab(page, words.AUTHENTICATE)
        page.wait_for_selector("#auth-original img")
        page.click("#auth-run")
        expect(page, "#auth-answer", "Same person")
        page.locator("#auth-key-text textarea").fill("05" * 32)
        page.click("#auth-run")
        expect(page, "#auth-answer", "Not shown to be the same person")
        page.context.close()
