"""The app in Chromium, one visitor's way at a time: keys and pictures stay together, nobody waits for nobody.

Served with a stand-in core that takes its time; the tests of a module share one server and, where they can, one page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo import words
from kfaar_core.keys import UserKey
from tests.demo.test_browser import (
    CHROMIUM,
    Served,
    expect,
    give,
    key_of,
    open_tab,
    playwright,
    serve,
    visit,
)
from tests.demo.test_browser import browser as browser  # the fixture

LONG = "fd" * 32  # the stand-in takes ten minutes for this key, in steps of a twentieth of a second

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(900),  # only for what hangs: waits follow the machine
]


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Served]:
    yield from serve([sys.executable, "-m", "tests.demo.stand_in"], tmp_path_factory.mktemp("visit") / "log.txt")


@pytest.fixture(scope="module")
def page(browser, app):
    page = visit(browser, app, width=1320)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> dict[str, str]:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(4)
    paths = {}
    for name, size in (("one", (80, 64)), ("other", (80, 64)), ("two", (200, 400))):
        paths[name] = str(folder / f"{name}.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(paths[name])
    return paths


def make(page, photo: str, key: str | None = None) -> None:
    """Give a photo and a key, press the button, wait for the face."""
    give(page, "#photo", photo)
    expect(page, "#seen", "found")
    if key:
        page.locator("#key-text textarea").fill(key)
    page.click("#anonymise-run")
    page.wait_for_selector("#anonymise-run[aria-busy=false]")


def saved(page, button: str, to: Path) -> tuple[str, Path]:
    """(name, file) of a download."""
    with page.expect_download() as download:
        page.click(button)
    path = to / download.value.suggested_filename
    download.value.save_as(path)
    return download.value.suggested_filename, path


def stale(page, results: str) -> bool:
    return page.locator(f"#{results}").get_attribute("data-stale") is not None


def test_picture_and_key_are_a_pair_whatever_happens_to_the_fields(page, photos, tmp_path):
    make(page, photos["one"])
    made = key_of(page)
    assert not stale(page, "anonymise-results")
    page.click("#key-make")
    page.wait_for_function(f"document.querySelector('#key-text textarea').value != '{made}'")
    page.wait_for_selector("#anonymise-results[data-stale]")  # it is not the face of the new key
    name, path = saved(page, "#save-key", tmp_path)
    assert UserKey.load(path) == UserKey.parse(made)
    pictured, picture = saved(page, "#save-picture", tmp_path)
    assert re.fullmatch(r"virtual-face-\d{8}-\d{6}\.key", name) and pictured == name.replace(".key", ".png")
    with Image.open(picture) as opened:
        assert opened.info["Comment"] == "synthetic face"
    open_tab(page, words.AUTHENTICATE)
    page.click("#auth-take")
    page.wait_for_function(f"document.querySelector('#auth-key-text textarea').value == '{made}'")
    page.click("#auth-run")
    expect(page, "#auth-answer", "Same person")
    page.locator("#auth-key-text textarea").fill("ab" * 32)
    page.wait_for_selector("#auth-results[data-stale]")
    open_tab(page, words.ANONYMISE)


def test_saved_files_open_the_face_in_a_new_window(browser, app, page, photos, tmp_path):
    open_tab(page, words.ANONYMISE)
    _, key = saved(page, "#save-key", tmp_path)
    _, picture = saved(page, "#save-picture", tmp_path)
    other = visit(browser, app)
    open_tab(other, words.AUTHENTICATE)
    give(other, "#auth-virtual", str(picture))
    give(other, "#auth-original", photos["one"])
    with other.expect_file_chooser() as chooser:
        other.click("#auth-key-load")
    chooser.value.set_files(key)
    other.wait_for_function(f"document.querySelector('#auth-key-text textarea').value == {key.read_text().strip()!r}")
    other.wait_for_selector("#auth-original img")
    other.click("#auth-run")
    expect(other, "#auth-answer", "Same person")
    other.context.close()


def test_a_face_that_is_too_close_offers_another_key_and_nothing_to_save(page, photos):
    make(page, photos["one"], "ff" * 32)
    expect(page, "#summary", "Too close")
    assert not page.locator("#save-picture").is_visible()
    page.click("#retry")
    expect(page, "#summary", "Another person")
    assert key_of(page) != "ff" * 32 and page.locator("#save-picture").is_visible()
    assert not page.locator("#retry").is_visible()


def test_with_a_passphrase_the_passphrase_is_the_key(page, photos):
    page.get_by_text(words.ADVANCED, exact=True).click()
    page.locator("#key-form").get_by_text(words.PASSPHRASE).click()
    page.locator("#key-passphrase input").fill("four words that differ")
    page.wait_for_selector("#anonymise-results[data-stale]")
    page.click("#anonymise-run")
    expect(page, "#pair", "is your passphrase")
    assert not page.locator("#save-key").is_visible() and page.locator("#save-picture").is_visible()
    page.locator("#key-form").get_by_text(words.HEX).click()
    page.get_by_text(words.ADVANCED, exact=True).click()


def test_another_photo_makes_the_result_stale_at_once_and_several_faces_can_be_chosen(page, photos):
    make(page, photos["one"], "11" * 32)
    give(page, "#photo", photos["two"])
    page.wait_for_selector("#anonymise-results[data-stale]")
    expect(page, "#seen", "2 faces found")
    first = page.locator("#which-face img").get_attribute("src")
    page.locator("#faces").get_by_text("1", exact=True).click()  # leave the larger one alone
    page.wait_for_function(f"document.querySelector('#which-face img').src != {first!r}")  # framed anew, then tapped
    box = page.locator("#which-face img").bounding_box()
    before = page.locator("#which-face img").get_attribute("src")
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])  # the larger one
    page.wait_for_function(f"document.querySelector('#which-face img').src != {before!r}")
    playwright.expect(page.locator("#faces input").first).to_be_checked()
    page.click("#anonymise-run")
    expect(page, "#summary", "2 other people")


def start_long(page, photo: str) -> None:
    """Begin a drawing of ten minutes."""
    give(page, "#photo", photo)
    expect(page, "#seen", "One face")
    page.locator("#key-text textarea").fill(LONG)
    page.click("#anonymise-run")


def test_stop_is_heard_in_mid_refinement_and_says_so(page, photos):
    start_long(page, photos["one"])
    expect(page, "#summary", "refining, step")
    page.click("#anonymise-stop")
    expect(page, "#summary", words.STOPPED)
    assert page.locator("#anonymise-run").get_attribute("aria-busy") == "false"
    assert not page.locator("#slider").is_visible() and not page.locator("#save-picture").is_visible()
    page.locator("#key-text textarea").fill("22" * 32)
    page.click("#anonymise-run")  # the queue is free: it does not take the rest of the ten minutes
    expect(page, "#summary", "Another person")


def test_nobody_waits_for_those_who_have_left(browser, app, page, photos):
    runs, waits = visit(browser, app), visit(browser, app)
    start_long(runs, photos["other"])
    expect(runs, "#summary", "refining, step")
    start_long(waits, photos["other"])  # looking at its photo is not behind the other's drawing
    waits.context.close()
    runs.reload()
    make(page, photos["one"], "33" * 32)  # both of them would take twenty minutes
    expect(page, "#summary", "Another person")
    runs.context.close()
