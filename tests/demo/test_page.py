"""The page in Chromium as everybody may use it: with one press, by keyboard alone, on a phone, by ear, at night."""

from __future__ import annotations

import pytest

from demo import words
from demo.examples import examples
from tests.demo.chromium import MARKS, expect, key_of, open_tab, playwright, show

pytestmark = MARKS
SMALLEST_TEXT, SMALLEST_TARGET = 14, 40  # px
TABS = (
    words.ANONYMISE,
    words.COMPARE,
    words.AUTHENTICATE,
    words.CURVES,
    words.ATTACKS_TAB,
    words.FIGURES,
    words.ABOUT,
)


def test_a_finished_example_is_there_before_anything_is_done(page):
    expect(page, "#summary", words.FINISHED_HEAD)
    assert page.locator("#summary .finished img").count() == 2


RING = """() => {
  const {outlineStyle, boxShadow} = getComputedStyle(document.activeElement);
  return outlineStyle !== "none" || boxShadow !== "none";
}"""


def to(page, selector: str, key: str = "Tab") -> None:
    """Press a key until an element has the focus, which must be visible then."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate("(wanted) => document.activeElement.closest(wanted) !== null", selector):
            assert page.evaluate(RING), f"nothing shows that {selector} has the focus"
            return
    raise AssertionError(f"{key} never reaches {selector}")


def test_the_keyboard_alone_goes_the_whole_way(page):
    to(page, "#examples button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#anonymise-results:not([data-stale]) #summary [data-done]")
    to(page, "#key-make")
    before = key_of(page)
    page.keyboard.press("Space")
    page.wait_for_function(f"document.querySelector('#key-text textarea').value != {before!r}")
    to(page, "#anonymise-run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#anonymise-run[aria-busy=false]")
    expect(page, "#summary", "With the key the original identity is read")
    for button in ("#save-picture", "#save-key"):
        to(page, button)
        with page.expect_download():
            page.keyboard.press("Enter")
    to(page, "[role=tab][aria-selected=true]", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.innerText.trim()") == words.AUTHENTICATE
    page.keyboard.press("Enter")
    page.wait_for_selector("#auth-original img")
    to(page, "#auth-run")
    page.keyboard.press("Enter")
    expect(page, "#auth-answer", "Same person")


def test_one_press_on_an_example_fills_everything_and_shows_its_answer(page):
    open_tab(page, words.ANONYMISE)
    page.locator("#examples button").first.click()
    expect(page, "#summary", "Another person.*same person.*not shown")
    page.wait_for_selector("#photo img")
    playwright.expect(page.locator("#key-text textarea")).to_have_value(examples()[0].answer.key)
    page.wait_for_function("document.querySelector('#seen').innerText.includes('One face')")
    assert page.locator("#anonymise-results").get_attribute("data-stale") is None
    assert page.locator("#save-picture").is_visible() and page.locator("#slider").is_visible()
    open_tab(page, words.AUTHENTICATE)  # everything is there already
    page.wait_for_selector("#auth-original img")
    playwright.expect(page.locator("#auth-key-text textarea")).to_have_value(examples()[0].answer.key)
    open_tab(page, words.ANONYMISE)
    page.click("#key-make")  # it is the answer to another key now
    page.wait_for_selector("#anonymise-results[data-stale]")


def test_a_photo_of_ones_own_never_keeps_the_public_key_of_an_example(page, photos):
    page.locator("#examples button").first.click()
    public = examples()[0].answer.key
    playwright.expect(page.locator("#key-text textarea")).to_have_value(public)
    show(page, photos["one"])
    page.wait_for_function(f"document.querySelector('#key-text textarea').value != {public!r}")


MEASURE = """([text, target]) => {
  const found = [], seen = (e) => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && /[\\p{L}\\p{N}]/u.test(n.data)) || !seen(e)) continue;
    if (["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName) || e.closest("[aria-hidden=true]")) continue;
    const size = parseFloat(getComputedStyle(e).fontSize);
    if (size < text) found.push(`${size} px: ${e.textContent.trim().slice(0, 40)}`);
  }
  const inputs = "input:not([type=file]):not([type=radio]):not([type=checkbox])";
  const boxes = "label:has(> :is([type=radio], [type=checkbox]))";
  for (const e of document.querySelectorAll(`button, select, textarea, summary, ${inputs}, ${boxes}`)) {
    const box = (e.matches("[role=combobox]") ? e.closest(".wrap") : e).getBoundingClientRect();  // a menu is its frame
    if (!seen(e) || box.width === 0 || e.closest("[aria-hidden=true]")) continue;
    if (Math.min(box.width, box.height) < target - 0.5)
      found.push(`${box.width.toFixed()} x ${box.height.toFixed()}: ${e.id || e.ariaLabel || e.innerText}`);
  }
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) found.push(`${wide} px wide`);
  return [...new Set(found)];
}"""
UNFOLD = "document.querySelectorAll('button.label-wrap:not(.open)').forEach((e) => e.checkVisibility() && e.click())"
SETTLED = """() => Promise.allSettled(document.getAnimations().map(
  (moves) => moves.effect.getComputedTiming().iterations === Infinity ? 0 : moves.finished)).then(() => true)"""


def test_every_tab_can_be_read_hit_and_heard_on_a_phone_and_a_screen_by_day_and_night(page):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    page.evaluate(axe.AXE_FILE_PATH.read_text())
    found = []
    for tab in TABS:
        page.set_viewport_size({"width": 1320, "height": 900})
        open_tab(page, tab)
        page.wait_for_timeout(400)  # pictures and plots come
        page.evaluate(UNFOLD)
        for dark in (False, True):
            page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
            for width in (1320, 390):
                page.set_viewport_size({"width": width, "height": 900})
                page.evaluate(SETTLED)
                problems = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)")
                where = f"{tab}, {width} px, {'dark' if dark else 'light'}"
                found += [f"{where}: {p['id']}, {[n['html'][:160] for n in p['nodes'][:3]]}" for p in problems]
                found += [f"{where}: {fault}" for fault in page.evaluate(MEASURE, [SMALLEST_TEXT, SMALLEST_TARGET])]
        page.evaluate("document.body.classList.remove('dark')")
    assert not found, "\n".join(found)
