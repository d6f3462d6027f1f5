"""The tab with curves in Chromium: menus, a moving threshold, photos of one's own. Served with a stand-in core."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from demo import words
from tests.demo.chromium import MARKS, expect, give, open_tab, visit

pytestmark = MARKS


def test_menus_of_the_curves_and_the_moving_threshold(page):
    open_tab(page, words.CURVES)
    expect(page, "#curves-figures", "AUC")
    page.wait_for_selector("#curves-roc .js-plotly-plot")
    before = page.locator("#curves-confusion").inner_text()
    number = page.locator("#curves-threshold input[type=number]")
    number.fill("0.05")
    number.press("Tab")
    page.wait_for_function(f"document.querySelector('#curves-confusion').innerText != {before!r}")
    figures = page.locator("#curves-figures").inner_text()
    pick(page, "keys", words.OWN_KEY)
    page.wait_for_function(f"document.querySelector('#curves-figures').innerText != {figures!r}")
    pick(page, "photo", words.SAME_PHOTO)
    pick(page, "form", "lab, bits")
    expect(page, "#curves-source", "lab, bits")
    assert options(page, "keys") == [words.OWN_KEY]  # bits were measured with own keys alone
    pick(page, "form", "lab, floor")
    expect(page, "#curves-source", "lab, floor")
    assert options(page, "keys") == [words.SHARED_KEY, words.OWN_KEY]
    for name in (words.DET, words.HISTOGRAMS, words.RATES):
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_selector(".js-plotly-plot >> visible=true")
    with page.expect_download() as saved:
        page.get_by_text(words.TABLE_TWIN).locator("visible=true").click()
        page.get_by_role("button", name=words.CSV).locator("visible=true").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert lines[0] == '"threshold","CRR","FAR","FRR"' and len(lines) == 77


def pick(page, menu: str, option: str) -> None:
    """Choose in one of the menus of the curves."""
    page.locator(f"#curves-{menu} input").click()
    page.get_by_role("option", name=option).click()
    closed(page)


def closed(page) -> None:
    """Wait until the list of the last menu has faded away."""
    page.wait_for_function("document.querySelectorAll('[role=option]').length === 0")


def options(page, menu: str) -> list[str]:
    """What such a menu offers."""
    page.locator(f"#curves-{menu} input").click()
    found = [text.strip("✓ \n") for text in page.get_by_role("option").all_inner_texts()]
    page.keyboard.press("Escape")
    closed(page)
    return found


@pytest.fixture
def album(tmp_path) -> Path:
    """A folder of the visitor's own: three people with two pictures each, and something that is no picture."""
    for number, person in enumerate(("ada", "bob", "cy")):
        (tmp_path / "album" / person).mkdir(parents=True)
        for photo in range(2):
            Image.new("RGB", (64, 64), (40 * number, 90 * photo, 90)).save(
                tmp_path / "album" / person / f"é {photo}.png"
            )
    (tmp_path / "album" / "notes.txt").write_text("left out")
    return tmp_path / "album"


def test_own_photos_in_a_folder_that_the_browser_packs(page, album):
    open_tab(page, words.CURVES)
    with page.expect_file_chooser() as chooser:
        page.click("#own-folder")
    chooser.value.set_files(album)
    page.wait_for_selector("#own-zip .file-preview")
    page.click("#own-run")
    expect(page, "#own-words", "Measured on 3 people")  # the folders are there, and the zip is sound
    expect(page, "#curves-source", "yours, 3 people")


def test_own_photos_in_a_zip(browser, app, album, tmp_path):
    page = visit(browser, app)
    open_tab(page, words.CURVES)
    give(page, "#own-zip", shutil.make_archive(str(tmp_path / "mine"), "zip", album))
    page.wait_for_selector("#own-zip .file-preview")
    page.locator("#own-keys").get_by_text(words.SHARED_KEYS).click()
    page.click("#own-run")
    expect(page, "#own-words", "Measured on")
    expect(page, "#curves-source", "yours")
    assert options(page, "keys") == [words.SHARED_KEY]
    page.context.close()
