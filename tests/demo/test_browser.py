"""The tabs in Chromium: what a visitor sees and reads. Served with a stand-in core."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from PIL import Image

from demo import words
from kfaar_core.keys import UserKey
from kfaar_core.mark import WORDS
from tests.demo.chromium import (
    MARKS,
    anonymise,
    ended,
    expect,
    give,
    key_of,
    open_tab,
    playwright,
    press,
    show,
    visit,
)
from tests.demo.stand_in import LABELS

pytestmark = MARKS


def test_a_webcam_picture_will_do(page):
    page.get_by_label("Capture from camera").first.click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.readyState >= 2")
    page.get_by_label("capture photo").click()
    expect(page, "#seen", "One face found")


def test_pictures_without_a_face_and_broken_files_are_told_in_words(page, photos, tmp_path):
    corrupt = tmp_path / "corrupt.png"
    corrupt.write_bytes(Path(photos["one"]).read_bytes()[:300])
    give(page, "#photo", photos["plain"])
    expect(page, "#seen", "No face found")
    press(page)
    expect(page, "#summary", "No face in the picture")
    give(page, "#photo", str(corrupt))
    expect(page, "#seen", "damaged or cut short")


def test_a_first_visitor_gets_a_key_a_face_and_words_and_saves_them(page, photos, log, tmp_path):
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    anonymise(page, photos["one"])
    expect(page, "#summary", "Another person")
    page.get_by_text(words.STEPS_TITLE).click()
    expect(page, "#posture", "yaw")
    expect(page, "#times", "in all")
    page.wait_for_selector("#final-picture img")
    key = key_of(page)
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert not any(key in url for url in addresses) and key not in log.read_text()
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
    press(page)
    ended(page)
    with page.expect_download() as saved:
        page.click("#save-key")
    assert Path(saved.value.path()).read_text() == text + "\n"


def test_the_right_key_opens_the_face_and_a_wrong_one_does_not(page, photos):
    open_tab(page, words.ANONYMISE)
    page.locator("#key-text textarea").fill("12" * 32)
    anonymise(page, photos["one"])
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


def decisions(page) -> list[str]:
    """The last column of the scenario table."""
    return page.locator("#scenarios-table tbody tr td:last-child").all_inner_texts()


def test_the_method_goes_with_the_face(page, photos):
    open_tab(page, words.ANONYMISE)
    page.get_by_text(words.ADVANCED, exact=True).click()
    page.locator("#method").get_by_text(LABELS["bits"], exact=True).click()
    page.locator("#key-text textarea").fill("ab" * 4)
    show(page, photos["one"])
    press(page)
    expect(page, "#summary", "128 or 256 bits")  # a key of 32 bits fits no network
    page.click("#key-make")
    page.wait_for_function("document.querySelector('#key-text textarea').value.length == 64")
    press(page)
    ended(page)
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
    open_tab(page, words.ANONYMISE)
    page.locator("#method").get_by_text(LABELS["floor"], exact=True).click()
    page.get_by_text(words.ADVANCED, exact=True).click()


def test_two_visitors_never_see_each_other(browser, app, page, photos):
    visitors = [page, visit(browser, app)]
    open_tab(page, words.ANONYMISE)
    for page, photo in zip(visitors, (photos["one"], photos["other"]), strict=True):
        show(page, photo)
    for page in visitors:
        press(page)
    for page in visitors:
        ended(page)
        open_tab(page, words.AUTHENTICATE)
        page.wait_for_function("document.querySelector('#auth-key-text textarea').value.length == 64")
        page.wait_for_selector("#auth-original img")
        page.click("#auth-run")
    for page in visitors:
        expect(page, "#auth-answer", "Same person")
    keys = {key_of(page) for page in visitors}
    shown = {page.locator("#auth-virtual img").get_attribute("src") for page in visitors}
    assert len(keys) == len(shown) == 2
    visitors[1].context.close()


def test_compare_four_keys_on_two_photos(page, photos):
    open_tab(page, words.COMPARE)
    playwright.expect(page.locator("#compare-photos img")).to_have_count(2)  # the examples
    page.click("#compare-make")
    page.wait_for_function("document.querySelector('#compare-keys textarea').value.split('\\n').length == 4")
    page.click("#compare-run")
    expect(page, "#compare-words", "Diversity.*all 12 pairs")
    assert page.locator("#compare-grid img").count() == 2 + 8
    page.wait_for_selector("#compare-heatmap .js-plotly-plot")


def test_stop_ends_what_takes_long(page, photos, tmp_path):
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for person in range(40):
            packed.writestr(f"{person}/1.jpg", "the stand-in does not look inside")
    open_tab(page, words.ANONYMISE)
    anonymise(page, photos["one"])
    open_tab(page, words.AUTHENTICATE)
    page.wait_for_selector("#auth-original img")
    page.click("#scenarios-run")  # a second and a half
    page.click("#scenarios-stop")
    playwright.expect(page.locator("#scenarios-table tr")).to_have_count(0)
    open_tab(page, words.COMPARE)
    give(page, "#compare-photos", photos["one"], photos["other"])  # beside the examples
    page.locator("#compare-keys textarea").fill("\n".join(f"{n:02x}" * 16 for n in range(8)))
    page.click("#compare-run")  # 32 pictures
    page.wait_for_selector("#compare-grid img")
    page.click("#compare-stop")
    expect(page, "#compare-card", words.STOPPED)
    playwright.expect(page.locator("#compare-grid img")).to_have_count(0)  # as it says: nothing of it was kept
    open_tab(page, words.CURVES)
    give(page, "#own-zip", str(archive))
    page.wait_for_selector("#own-zip .file-preview")
    page.click("#own-run")  # 8 people of the 40, seven seconds
    page.click("#own-stop")
    open_tab(page, words.COMPARE)
    page.locator("#compare-keys textarea").fill("00" * 16)
    page.click("#compare-run")  # the queue is free again
    expect(page, "#compare-words", "Anonymity")
    open_tab(page, words.AUTHENTICATE)
    page.click("#scenarios-run")
    expect(page, "#scenarios-words", "Only the right key")
    open_tab(page, words.CURVES)
    assert "Measured" not in page.locator("#own-words").inner_text()  # it would have been before the others
