"""The page in Chromium: a finished example at first sight, one press for the next, and photos of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from demo import words
from demo.examples import examples
from tests.demo.test_browser import CHROMIUM, Served, expect, give, playwright, serve, visit
from tests.demo.test_browser import browser as browser  # the fixtures
from tests.demo.test_browser import photos as photos

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(900),  # only for what hangs: waits follow the machine
]


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Served]:
    yield from serve([sys.executable, "-m", "tests.demo.stand_in"], tmp_path_factory.mktemp("page") / "log.txt")


@pytest.fixture(scope="module")
def page(browser, app):
    page = visit(browser, app, width=1320)
    yield page
    page.context.close()


def test_one_press_on_an_example_fills_everything_and_shows_its_answer(page):
    expect(page, "#summary", words.FINISHED_HEAD)  # a finished example is there before anything is done
    assert page.locator("#summary .finished img").count() == 2
    page.locator("#examples button").first.click()
    expect(page, "#summary", "Another person.*same person.*not shown")
    page.wait_for_selector("#photo img")
    playwright.expect(page.locator("#key-text textarea")).to_have_value(examples()[0].answer.key)
    page.wait_for_function("document.querySelector('#seen').innerText.includes('One face')")
    assert page.locator("#anonymise-results").get_attribute("data-stale") is None
    assert page.locator("#save-picture").is_visible() and page.locator("#slider").is_visible()
    page.click("#key-make")  # it is the answer to another key now
    page.wait_for_selector("#anonymise-results[data-stale]")


def test_a_photo_of_ones_own_never_keeps_the_public_key_of_an_example(page, photos):
    page.locator("#examples button").first.click()
    public = examples()[0].answer.key
    playwright.expect(page.locator("#key-text textarea")).to_have_value(public)
    give(page, "#photo", photos[0])
    page.wait_for_function(f"document.querySelector('#key-text textarea').value != {public!r}")
