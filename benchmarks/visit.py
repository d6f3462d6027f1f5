"""Benchmark: how long a visitor waits, in a browser. Prints JSON. Needs Chromium and playwright.

python -m benchmarks.visit [--visitors 20] [--quick]

Measures from the visitor's side: page usable, answer to an example after one press, first draft, final face, Stop until
the next run begins, and many visitors of whom every second one leaves in the queue. `--quick` leaves out refinement
where many wait.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import threading
import time
from typing import Any

from gradio_client import Client, handle_file

from benchmarks.serving import APP, ROOT, serving

PHOTO = ROOT / "assets/examples/person-1.png"
WAIT = 1_800_000  # ms; machines may be slow
READY = "document.querySelector('#key-text textarea')?.value.length == 64 && document.querySelector('#examples img')"


def seconds(work: Any) -> float:
    """How long a function without arguments takes, s."""
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


def visit(page: Any, address: str) -> dict[str, float]:
    """The times of one visitor."""

    def usable() -> None:
        page.goto(address)
        page.wait_for_function(READY)

    def example() -> None:
        page.locator("#examples button").first.click()
        page.wait_for_selector("#summary [data-done]")
        page.wait_for_selector("#slider img")

    found = {"page_usable_s": seconds(usable), "example_answer_s": seconds(example), "clicks_to_first_answer": 1}
    page.click("#key-make")
    page.wait_for_function("document.querySelector('#seen').innerText.includes('face')")
    began = time.perf_counter()
    page.click("#anonymise-run")
    page.wait_for_selector("#preview img")
    found["first_picture_s"] = round(time.perf_counter() - began, 2)
    page.wait_for_selector("#summary [data-done]")
    found["final_face_s"] = round(time.perf_counter() - began, 2)
    page.click("#key-make")
    page.click("#anonymise-run")
    page.locator("#summary").get_by_text("step 3").wait_for()
    began = time.perf_counter()
    page.click("#anonymise-stop")
    page.locator("#summary").get_by_text("Stopped").first.wait_for()
    found["stop_said_s"] = round(time.perf_counter() - began, 2)
    page.click("#anonymise-run")
    page.wait_for_selector("#summary .running")
    found["stop_to_next_run_s"] = round(time.perf_counter() - began, 2)
    page.click("#anonymise-stop")
    return found


def crowd(address: str, visitors: int, refine: bool) -> dict[str, float | int]:
    """Many programs ask at once and every second one leaves: who stays gets an answer."""
    clients = [Client(address, verbose=False) for _ in range(visitors)]
    photo, lock, waits = handle_file(str(PHOTO)), threading.Lock(), []
    began = time.perf_counter()
    jobs = [client.submit(photo, secrets.token_hex(32), refine=refine, api_name="/anonymise") for client in clients]
    for job in jobs[1::2]:
        job.cancel()

    def wait(job: Any) -> None:
        job.result(timeout=WAIT / 1000)
        with lock:
            waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=wait, args=(job,)) for job in jobs[::2]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "visitors": visitors,
        "left": len(jobs[1::2]),
        "answered": len(waits),
        "last_answer_s": round(max(waits), 2),
        "seconds_a_face": round(max(waits) / len(waits), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("chromium was not found; install it, for example with apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with serving(APP) as app, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1320, "height": 900})
        page.set_default_timeout(WAIT)
        load = os.getloadavg()[0]
        one = visit(page, app.address)
        browser.close()
        many = crowd(app.address, asked.visitors, refine=not asked.quick) if asked.visitors else {}
    print(json.dumps({"cores": os.cpu_count(), "load_before": round(load, 1), "one": one, "many": many}, indent=2))


if __name__ == "__main__":
    main()
