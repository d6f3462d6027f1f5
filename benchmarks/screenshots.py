"""Make the screenshots of the app for the README, with synthetic faces and fixed keys. Needs Chromium and playwright.

python -m benchmarks.screenshots [-o assets/screenshots]
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.serving import APP, ROOT, serving
from demo import words

KEYS = tuple(f"{number:02x}" * 32 for number in range(1, 5))
WIDTH, SCALE, QUALITY = 1320, 1, 88  # CSS px, device px a CSS px, of JPEG
WAIT = 600_000  # ms; eight refined faces take minutes on a CPU without bfloat16


def main() -> None:
    """Start the app, use three tabs in a browser, and save screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "assets/screenshots")
    folder = parser.parse_args().output
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("chromium was not found; install it, for example with apt-get install chromium")
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with serving(APP) as app, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE)
        page.set_default_timeout(WAIT)
        page.goto(f"{app.address}?__theme=light")
        page.wait_for_function("document.querySelector('#key-text textarea')?.value.length == 64")
        anonymise(page)
        save(page, folder / "anonymise.jpg", "#pair")
        authenticate(page)
        save(page, folder / "authenticate.jpg", "#scenarios-table")
        compare(page)
        save(page, folder / "compare.jpg", "#compare-grid")
        browser.close()


def anonymise(page: Any) -> None:
    """Press an example: its committed answer appears, however slow this machine is."""
    page.locator("#examples button").first.click()
    page.wait_for_selector("#summary [data-done]")
    page.wait_for_selector("#slider img")
    page.locator("#seen").get_by_text("face found").wait_for()


def authenticate(page: Any) -> None:
    """Authenticate the virtual face with the right key, then run the four scenarios."""
    page.get_by_role("tab", name=words.AUTHENTICATE, exact=True).click()
    page.wait_for_selector("#auth-original img")
    page.click("#auth-run")
    page.locator("#auth-answer").get_by_text("person").first.wait_for()
    page.click("#scenarios-run")
    page.wait_for_selector("#scenarios-bars .js-plotly-plot")
    page.locator("#scenarios-table tbody tr").nth(3).wait_for()  # the first scenario comes last


def compare(page: Any) -> None:
    """Compare the two example photos of one person under four keys."""
    page.get_by_role("tab", name=words.COMPARE, exact=True).click()
    page.locator("#compare-photos img").nth(1).wait_for()
    page.locator("#compare-keys textarea").fill("\n".join(KEYS))
    page.click("#compare-run")
    page.locator("#compare-words").get_by_text("Synchronism").wait_for()
    page.wait_for_selector("#compare-heatmap .js-plotly-plot")


def save(page: Any, path: Path, last: str) -> None:
    """Save the page from its top to the end of one element. JPEG, because few colours would distort faces."""
    page.wait_for_timeout(1500)  # plots and pictures fade in
    end = page.locator(last).bounding_box()
    bottom = end["y"] + end["height"] + page.evaluate("window.scrollY") + 16
    shot = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": bottom})
    Image.open(io.BytesIO(shot)).convert("RGB").save(path, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
