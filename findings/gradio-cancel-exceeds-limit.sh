#!/usr/bin/env bash
# Gradio: a Stop button lets concurrency_limit=1 run two jobs at once.
#
# Expected: Gradio's guide says that a function which is no generator runs to its end when its event is cancelled. So
#   its place under concurrency_limit=1 stays taken until then, and the next visitor's job waits.
# Instead: the cancelled job answers its page at once and gives its place back while its thread still works. The next
#   job starts beside it.
# Why it matters here: the limit is what keeps heavy face generation within the memory of the machine, and a visitor
#   who stops and starts again is the usual case. A job must look at a flag of its own and end soon, and what must
#   not run twice needs a lock of its own.
# Versions: gradio 6.31.0. Date of the run: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
"${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile \
  gradio==6.31.0 requests==2.34.2
export GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1 GRADIO_TEMP_DIR="$folder/gradio" HOME="$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import threading

import gradio as gr
import requests

print("gradio", gr.__version__)
may_end = threading.Event()
started = {name: threading.Event() for name in ("first", "second")}
ended = {name: threading.Event() for name in started}


def work(name):  # no generator, as a call of a neural network
    started[name].set()
    may_end.wait(120)
    ended[name].set()
    return name


with gr.Blocks() as page:
    name, answer = gr.Textbox(), gr.Textbox()
    run = gr.Button("Run").click(work, name, answer, concurrency_limit=1)
    gr.Button("Stop").click(None, cancels=[run])
page.queue()
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
api = address.rstrip("/") + "/gradio_api"


def listen(session, heard, told):
    with requests.get(f"{api}/queue/data", params={"session_hash": session}, stream=True, timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:"):
                heard.append(json.loads(line[5:])["msg"])
                if heard[-1] == "process_completed":
                    told.set()
                    return


def press_run(session):  # what the page sends
    body = {"data": [session], "fn_index": 0, "session_hash": session}
    event = requests.post(f"{api}/queue/join", json=body, timeout=60).json()["event_id"]
    heard, told = [], threading.Event()
    threading.Thread(target=listen, args=(session, heard, told), daemon=True).start()
    return event, heard, told


event, heard, told = press_run("first")
assert started["first"].wait(60)
press_run("second")
waits = not started["second"].wait(5)
print("before Stop: the second job waits for the first:", waits)
stop = {"session_hash": "first", "fn_index": 0, "event_id": event}  # what the page sends for cancels=
print("Stop answers", requests.post(f"{api}/cancel", json=stop, timeout=60).json())
beside = started["second"].wait(30)
works = not ended["first"].is_set()
told.wait(30)
print("after Stop: the second job has started:", beside, "| the first still works:", works)
print("the first page has heard:", ", ".join(heard))
may_end.set()
assert ended["first"].wait(60)
page.close(verbose=False)
raise SystemExit(0 if waits and beside and works else "the behaviour has changed")
PYTHON
echo "as described"
