"""The app in Chromium, one visitor's way at a time: keys and pictures stay together, nobody waits for nobody.

Served with a stand-in core that takes its time.
"""

from __future__ import annotations

import re

from PIL import Image

from demo import words
from kfaar_core.keyring import KeyRing
from kfaar_core.keys import UserKey
from tests.demo.chromium import (
    LONG,
    MARKS,
    ended,
    expect,
    give,
    key_of,
    open_tab,
    playwright,
    press,
    saved,
    show,
    visit,
)

pytestmark = MARKS


def make(page, photo: str, key: str | None = None) -> None:
    """Give a photo and a key, press the button, wait for the face."""
    show(page, photo)
    if key:
        page.locator("#key-text textarea").fill(key)
    press(page)
    ended(page)


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
    show(page, photo)
    page.locator("#key-text textarea").fill(LONG)
    press(page)


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


def test_whoever_waits_reads_how_many_are_before_them_and_nobody_waits_for_those_who_have_left(
    browser, app, page, photos
):
    runs, waits = visit(browser, app), visit(browser, app)
    start_long(runs, photos["other"])
    expect(runs, "#summary", "refining, step")
    start_long(waits, photos["other"])  # looking at its photo is not behind the other's drawing
    expect(waits, "#summary", "waiting: 1 before you")
    show(page, photos["one"])
    page.locator("#key-text textarea").fill("33" * 32)
    press(page)
    expect(page, "#summary", "waiting: 2 before you")
    waits.context.close()
    runs.reload()
    ended(page)  # both of them would take twenty minutes
    expect(page, "#summary", "Another person")
    runs.context.close()


def test_a_key_that_remembers_a_person_shows_them_again_also_from_its_file(browser, app, page, photos, tmp_path):
    make(page, photos["one"], "44" * 32)  # of nobody yet
    page.get_by_text(words.ADVANCED, exact=True).click()
    page.get_by_label(words.REMEMBER).check()
    make(page, photos["one"])
    expect(page, "#summary", "remembers the person now")
    make(page, photos["one"])
    expect(page, "#summary", words.ENROLLED_BEFORE)
    assert not stale(page, "anonymise-results")
    _, key = saved(page, "#save-key", tmp_path)
    assert KeyRing.load(key).person(None).enrolled and KeyRing.load(key).master == UserKey.parse("44" * 32)
    page.get_by_label(words.REMEMBER).uncheck()
    page.get_by_text(words.ADVANCED, exact=True).click()
    other = visit(browser, app)
    with other.expect_file_chooser() as chooser:
        other.click("#key-load")
    chooser.value.set_files(key)
    other.wait_for_function("kfaar.held.length === 1 && document.querySelector('#key-text textarea').value.length > 64")
    make(other, photos["one"])
    expect(other, "#summary", words.ENROLLED_BEFORE)
    make(other, photos["other"])
    expect(other, "#summary", "remembers somebody else")
    other.context.close()
