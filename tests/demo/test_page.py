"""The page in Chromium as everybody may use it: one press, by keyboard alone, in a queue, on a phone, by a reader."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import pytest

from demo import words
from demo.examples import examples
from tests.demo.test_browser import CHROMIUM, TABS, Served, expect, give, open_tab, playwright, serve, visit
from tests.demo.test_browser import browser as browser  # the fixtures
from tests.demo.test_browser import photos as photos

LONG = "fd" * 32  # the stand-in takes ten minutes for this key
SMALLEST_TEXT, SMALLEST_TARGET = 14, 40  # px

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


def to(page, selector: str) -> None:
    """Press Tab until an element is reached."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.closest(wanted) !== null", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")


def test_the_keyboard_alone_goes_the_whole_way(browser, app):
    page = visit(browser, app, width=1320)
    to(page, "#examples button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#summary [data-done]")
    to(page, "#key-make")
    page.keyboard.press("Enter")
    to(page, "#anonymise-run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#anonymise-results[data-filled]:not([data-stale]) #summary [data-done]")
    to(page, "#save-key")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.locator("[role=tab]").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    to(page, "#auth-run")
    page.keyboard.press("Enter")
    expect(page, "#auth-answer", "Same person")
    page.context.close()


def test_whoever_waits_reads_their_place_in_words(browser, app, page, photos):
    first = visit(browser, app)
    give(first, "#photo", photos[0])
    first.locator("#key-text textarea").fill(LONG)
    expect(first, "#seen", "One face")
    first.click("#anonymise-run")
    expect(first, "#summary", "refining, step")
    page.click("#anonymise-run")
    expect(page, "#summary", words.QUEUE_NEXT)
    first.click("#anonymise-stop")
    page.wait_for_selector("#summary [data-done]")
    first.context.close()


MEASURE = """([text, target]) => {
  const found = [], seen = (e) => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && /[\\p{L}\\p{N}]/u.test(n.data)) || !seen(e)) continue;
    const size = parseFloat(getComputedStyle(e).fontSize);
    if (size < text) found.push(`${size} px: ${e.textContent.trim().slice(0, 40)}`);
  }
  const inputs = "input:not([type=file]):not([type=radio]):not([type=checkbox])";
  const controls = `button, select, [role=tab], textarea, ${inputs}`;
  for (const e of document.querySelectorAll(controls)) {
    const box = (e.closest(".wrap") ?? e).getBoundingClientRect();  // a menu is its frame
    if (!seen(e) || box.width === 0 || e.closest("[aria-hidden=true], footer")) continue;
    if (Math.min(box.width, box.height) < target - 0.5)
      found.push(`${box.width.toFixed()} x ${box.height.toFixed()}: ${e.id || e.ariaLabel || e.className}`);
  }
  return [...new Set(found)];
}"""


def checked(page, tab: str) -> list[str]:
    """What is too small in a tab, or wider than the window."""
    open_tab(page, tab)
    page.wait_for_timeout(500)
    found = page.evaluate(MEASURE, [SMALLEST_TEXT, SMALLEST_TARGET])
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [f"{tab}: {fault}" for fault in [*found, *([f"{wide} px wide"] if wide > window else [])]]


def test_on_a_phone_text_can_be_read_and_controls_hit(browser, app):
    page = visit(browser, app, width=390, has_touch=True)
    assert [fault for tab in TABS for fault in checked(page, tab)] == []
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [*product((390, 1320), (False, True))])
def test_axe_finds_nothing_in_any_tab(browser, app, width, dark):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(browser, app, width=width, dark=dark, has_touch=True)
    page.locator("#examples button").first.click()
    page.wait_for_selector("#summary [data-done]")
    found = []
    for tab in TABS:
        found += checked(page, tab)
        for problem in axe.Axe().run(page).response["violations"]:
            if problem["id"] == "aria-allowed-role":
                continue  # gradio's upload buttons hold a second control; the role that mends it is not on axe's list
            nodes = [node["html"][:160] for node in problem["nodes"]]
            found.append(f"{tab}: {problem['id']} ({problem['impact']}), {len(nodes)} times, {nodes[:3]}")
    page.context.close()
    assert found == []
