"""The app in Chromium: what a visitor sees and reads. Most tests serve the stand-in core; one is the real thing."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from demo import examples, words
from kfaar_core.calibration import FOLDER
from kfaar_core.keys import UserKey
from kfaar_core.mark import WORDS
from kfaar_core.weights import ASSETS
from tests.demo.stand_in import LABELS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "screenshots"  # git-ignored
STAGE_SECONDS = "0.06"  # of the stand-in, so that there is something to cancel
WAIT = 30.0  # s at least that a page may take to answer
STARTS = 15  # and as many times as long as the app took to start, which a slow or busy machine makes long as well
TABS = (words.ANONYMISE, words.COMPARE, words.AUTHENTICATE, words.CURVES, words.ABOUT)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.timeout(900),  # only for what hangs: waits follow the machine
]


class Served(NamedTuple):
    """A running app."""

    address: str
    wait: float  # ms that one of its answers may take


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


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("app") / "log.txt"


@pytest.fixture(scope="module")
def app(log) -> Iterator[Served]:
    yield from serve([sys.executable, "-m", "tests.demo.stand_in"], log)


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--disable-background-networking", "--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=[*flags, "--use-fake-ui-for-media-stream"])
        yield chromium
        chromium.close()


def visit(browser, app: Served, *, width: int = 1400, dark: bool = False, **settings):
    """A new visitor on the page, ready."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
    page = context.new_page()
    page.set_default_timeout(app.wait)
    page.goto(f"{app.address}?__theme={'dark' if dark else 'light'}")
    page.wait_for_function("document.querySelector('#key-text textarea')?.value.length == 64")
    return page


@pytest.fixture
def page(browser, app):
    page = visit(browser, app)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[str]:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(3)
    paths = [folder / f"{name}.png" for name in "abcd"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (80, 64, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def give(page, where: str, *files: str) -> None:
    page.locator(f"{where} input[type=file]").first.set_input_files(list(files))


def anonymise(page, photo: str) -> None:
    give(page, "#photo", photo)
    expect(page, "#seen", "face")
    page.click("#anonymise-run")
    page.wait_for_selector("#saving")


def expect(page, where: str, text: str) -> None:
    playwright.expect(page.locator(where)).to_contain_text(re.compile(text))


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def snap(page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"test-{name}.png", full_page=True)


def key_of(page, where: str = "#key-text") -> str:
    return page.locator(f"{where} textarea").input_value()


def test_a_first_visitor_gets_a_key_a_face_and_words_and_saves_them(page, photos, log, tmp_path):
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    anonymise(page, photos[0])
    expect(page, "#summary", "Another person")
    page.get_by_text(words.STEPS_TITLE).click()
    expect(page, "#posture", "yaw")
    expect(page, "#times", "in all")
    page.wait_for_selector("#final-picture img")
    key = key_of(page)
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert not any(key in url for url in addresses) and key not in log.read_text()
    snap(page, "anonymise")
    for button, name in (("#save-key", "kfaar.key"), ("#save-picture", "virtual-face.png")):
        with page.expect_download() as saved:
            page.click(button)
        saved.value.save_as(tmp_path / name)
    assert (tmp_path / "kfaar.key").read_text() == f"kfaar-key-1:{key}\n"
    assert UserKey.load(tmp_path / "kfaar.key") == UserKey.parse(key)
    with Image.open(tmp_path / "virtual-face.png") as saved_picture:
        assert saved_picture.size == (64, 64) and WORDS.items() <= saved_picture.info.items()
    page.click("#key-make")
    page.wait_for_function(f"document.querySelector('#key-text textarea').value != '{key}'")
    other = tmp_path / "other.key"
    for text in ("ab" * 16, "kfaar-key-1:" + "cd" * 64):
        other.write_text(text + "\n")
        with page.expect_file_chooser() as chooser:
            page.click("#key-load")
        chooser.value.set_files(other)
        page.wait_for_function(f"document.querySelector('#key-text textarea').value.length == {len(text)}")
        assert key_of(page) == text
    page.click("#anonymise-run")
    page.wait_for_selector("#anonymise-run[aria-busy=false]")
    with page.expect_download() as saved:
        page.click("#save-key")
    assert Path(saved.value.path()).read_text() == text + "\n"


def test_a_webcam_picture_will_do(page):
    page.get_by_label("Capture from camera").first.click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.readyState >= 2")
    page.get_by_label("capture photo").click()
    expect(page, "#seen", "One face found")


def test_pictures_without_a_face_and_broken_files_are_told_in_words(page, photos, tmp_path):
    plain, corrupt = tmp_path / "plain.png", tmp_path / "corrupt.png"
    Image.new("RGB", (80, 64), "gray").save(plain)
    corrupt.write_bytes(Path(photos[0]).read_bytes()[:300])
    give(page, "#photo", str(plain))
    expect(page, "#seen", "No face found")
    page.click("#anonymise-run")
    expect(page, "#summary", "No face in the picture")
    page.reload()
    page.wait_for_selector("#photo input[type=file]", state="attached")
    give(page, "#photo", str(corrupt))
    expect(page, "#seen", "damaged or cut short")


def test_the_right_key_opens_the_face_and_a_wrong_one_does_not(page, photos):
    anonymise(page, photos[0])
    open_tab(page, words.AUTHENTICATE)
    page.get_by_text(words.WALK).click()
    expect(page, "#walk li.done >> nth=2", "cloud")
    page.wait_for_function("document.querySelector('#auth-key-text textarea').value.length == 64")
    page.wait_for_selector("#auth-original img")
    page.click("#auth-run")
    expect(page, "#auth-answer", "Same person")
    page.click("#scenarios-run")
    expect(page, "#scenarios-words", "Only the right key")
    assert decisions(page) == [words.REFUSED] * 3 + [words.ACCEPTED]
    number = page.locator("#auth-threshold input[type=number]")
    number.fill("0.9")
    number.press("Tab")
    expect(page, "#scenarios-words", "Nobody gets through")
    page.click("#flip-run")
    expect(page, "#flip-words", "refused")
    page.get_by_role("tab", name=words.BRUTE).click()
    page.click("#brute-run")
    expect(page, "#brute-words", "1,000 random keys")
    page.get_by_role("tab", name=words.DICTIONARY).click()
    page.click("#dictionary-run")
    expect(page, "#dictionary-words", "stands in no dictionary")
    page.locator("#auth-key-text textarea").fill("ab" * 32)
    page.click("#auth-run")
    expect(page, "#auth-answer", "Not shown to be the same person")
    number.fill("0.5")
    number.press("Tab")
    page.wait_for_selector("#scenarios-results[data-stale]")  # they are of the key before, and say so
    page.click("#scenarios-run")  # with the wrong key now
    expect(page, "#scenarios-words", "Nobody gets through")
    assert decisions(page) == [words.REFUSED] * 4
    snap(page, "authenticate")


def decisions(page) -> list[str]:
    """The last column of the scenario table."""
    return page.locator("#scenarios-table tbody tr td:last-child").all_inner_texts()


def test_stop_ends_what_takes_long(page, photos, tmp_path):
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for person in range(40):
            packed.writestr(f"{person}/1.jpg", "the stand-in does not look inside")
    anonymise(page, photos[0])
    open_tab(page, words.AUTHENTICATE)
    page.wait_for_selector("#auth-original img")
    page.click("#scenarios-run")  # a second and a half
    page.click("#scenarios-stop")
    open_tab(page, words.COMPARE)
    playwright.expect(page.locator("#compare-photos img")).to_have_count(2)  # the examples
    give(page, "#compare-photos", *photos[:2])  # beside them
    page.wait_for_selector("#compare-photos img")
    page.locator("#compare-keys textarea").fill("\n".join(f"{n:02x}" * 16 for n in range(8)))
    page.click("#compare-run")  # 32 pictures, some six seconds
    page.wait_for_timeout(700)
    page.get_by_role("button", name=words.STOP, exact=True).locator("visible=true").click()
    open_tab(page, words.CURVES)
    give(page, "#own-zip", str(archive))
    page.wait_for_selector("#own-zip .file-preview")
    page.click("#own-run")  # 8 people of the 40, ten seconds
    page.click("#own-stop")
    page.wait_for_timeout(11_000)  # all of it would be done by now
    assert "Measured" not in page.locator("#own-words").inner_text()
    open_tab(page, words.COMPARE)
    assert page.locator("#compare-grid img").count() < 32  # what was drawn stays
    page.locator("#compare-keys textarea").fill("00" * 16)
    page.click("#compare-run")  # and the queue is free again
    expect(page, "#compare-words", "Anonymity")
    open_tab(page, words.AUTHENTICATE)
    assert page.locator("#scenarios-table tr").count() == 0
    page.click("#scenarios-run")
    expect(page, "#scenarios-words", "Only the right key")


def test_the_method_goes_with_the_face(page, photos):
    page.get_by_text(words.ADVANCED, exact=True).click()
    page.locator("#method").get_by_text(LABELS["bits"], exact=True).click()
    page.locator("#key-text textarea").fill("ab" * 4)
    give(page, "#photo", photos[0])
    expect(page, "#seen", "face")
    page.click("#anonymise-run")
    expect(page, "#summary", "128 or 256 bits")  # a key of 32 bits fits no network
    page.click("#key-make")
    page.wait_for_function("document.querySelector('#key-text textarea').value.length == 64")
    page.click("#anonymise-run")
    page.wait_for_selector("#saving")
    open_tab(page, words.AUTHENTICATE)
    page.wait_for_selector("#auth-original img")
    playwright.expect(page.locator("#auth-threshold input[type=number]")).to_have_value("0.6")
    page.click("#auth-run")
    expect(page, "#auth-answer", "Same person")
    page.get_by_text(words.ADVANCED_READ, exact=True).click()
    page.locator("#auth-method").get_by_text(LABELS["floor"], exact=True).click()
    playwright.expect(page.locator("#auth-threshold input[type=number]")).to_have_value("0.5")
    page.click("#auth-run")
    expect(page, "#auth-answer", "Not shown to be the same person")


def test_compare_four_keys_on_two_photos(page, photos):
    open_tab(page, words.COMPARE)
    playwright.expect(page.locator("#compare-photos img")).to_have_count(2)  # the examples
    page.click("#compare-make")
    page.wait_for_function("document.querySelector('#compare-keys textarea').value.split('\\n').length == 4")
    page.click("#compare-run")
    expect(page, "#compare-words", "Diversity.*all 12 pairs")
    assert page.locator("#compare-grid img").count() == 2 + 8
    page.wait_for_selector("#compare-heatmap .js-plotly-plot")
    snap(page, "compare")


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
    snap(page, "curves")


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


def test_own_photos_in_a_zip(page, album, tmp_path):
    open_tab(page, words.CURVES)
    give(page, "#own-zip", shutil.make_archive(str(tmp_path / "mine"), "zip", album))
    page.wait_for_selector("#own-zip .file-preview")
    page.locator("#own-keys").get_by_text(words.SHARED_KEYS).click()
    page.click("#own-run")
    expect(page, "#own-words", "Measured on")
    expect(page, "#curves-source", "yours")
    assert options(page, "keys") == [words.SHARED_KEY]


def test_own_photos_in_a_folder_that_the_browser_packs(page, album):
    open_tab(page, words.CURVES)
    with page.expect_file_chooser() as chooser:
        page.click("#own-folder")
    chooser.value.set_files(album)
    page.wait_for_selector("#own-zip .file-preview")
    page.click("#own-run")
    expect(page, "#own-words", "Measured on 3 people")  # the folders are there, and the zip is sound
    expect(page, "#curves-source", "yours, 3 people")
    snap(page, "own")


def test_two_visitors_never_see_each_other(browser, app, photos):
    visitors = [visit(browser, app) for _ in range(2)]
    for page, photo in zip(visitors, photos, strict=False):
        give(page, "#photo", photo)
        expect(page, "#seen", "One face")
    for page in visitors:
        page.click("#anonymise-run")
    for page in visitors:
        page.wait_for_selector("#saving")
        open_tab(page, words.AUTHENTICATE)
        page.wait_for_function("document.querySelector('#auth-key-text textarea').value.length == 64")
        page.wait_for_selector("#auth-original img")
        page.click("#auth-run")
    for page in visitors:
        expect(page, "#auth-answer", "Same person")
    keys = {key_of(page) for page in visitors}
    shown = {page.locator("#auth-virtual img").get_attribute("src") for page in visitors}
    assert len(keys) == len(shown) == 2
    for page in visitors:
        page.context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_and_a_phone_scrolls_only_down(browser, app, photos, dark):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(browser, app, dark=dark, has_touch=True)
    anonymise(page, photos[0])
    red = page.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor.match(/\\d+/)[0]")
    assert (int(red) < 60) is dark
    found = []
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(600)
        for problem in axe.Axe().run(page).response["violations"]:
            if problem["impact"] in ("serious", "critical"):
                nodes = [node["html"][:160] for node in problem["nodes"]]
                found.append((tab, problem["id"], nodes[:4], len(nodes)))
    page.set_viewport_size({"width": 390, "height": 900})
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
        snap(page, f"phone-{'dark' if dark else 'light'}-{tab.split()[0].lower()}")
    page.context.close()
    assert not found


REAL = [ASSETS / "manifest.json", *FOLDER.glob("lab*.json")]


@pytest.mark.lab
@pytest.mark.skipif(len(REAL) < 2 or not REAL[0].is_file(), reason="the weights of the preset lab are not here")
@pytest.mark.skipif(not examples.photos(), reason="there are no example pictures")
@pytest.mark.parametrize("projector", ["floor", pytest.param("hashed", marks=pytest.mark.slow)])  # hashed: refined
def test_the_real_app_anonymises_and_authenticates(browser, tmp_path, projector):
    command = [sys.executable, "app.py", "--preset", "lab", "--projector", projector, "--port"]
    for app in serve(command, tmp_path / "log.txt"):
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
        snap(page, "real")
        page.context.close()
