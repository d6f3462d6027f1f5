#!/usr/bin/env bash
# gradio deletes no upload any more after one that came at the wrong moment.
#
# Expected: with `delete_cache=(frequency, age)` a Blocks app deletes uploads and answers that are older than `age`, as
#   long as it runs. The comment in its code says that it goes through a copy of the set of names.
# Instead: delete_files_created_by_app goes through the set itself, in a thread, while requests add names to it. If one
#   does, Python raises "Set changed size during iteration", the background task ends without a word, and nothing is
#   deleted until the app is started again.
# Why it matters here: an app that promises to forget photos after ten minutes keeps every later one. It happened
#   within minutes of a load test with 50 visitors. Sets that are copied when they are gone through mend it.
# Versions: gradio 6.31.0. Date of the run: 2026-12-01.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$folder/venv"
"${PYTHON:-python3}" -m pip --python "$folder/venv/bin/python" install --quiet --no-compile gradio==6.31.0
cd "$folder"
GRADIO_ANALYTICS_ENABLED=False GRADIO_TEMP_DIR=$folder/uploads venv/bin/python - <<'PYTHON'
import os
import sys
import time
from pathlib import Path

import gradio
import httpx
from gradio import Blocks, File

print("gradio", gradio.__version__)
with Blocks(delete_cache=(1, 1)) as page:
    File()
_, address, _ = page.launch(prevent_thread_lock=True, quiet=True)


def upload(name):
    answer = httpx.post(f"{address}gradio_api/upload", files={"files": (name, name.encode())})
    return Path(answer.json()[0])


def gone(path, seconds=6):
    end = time.monotonic() + seconds
    while path.exists() and time.monotonic() < end:
        time.sleep(0.1)
    return not path.exists()


before = gone(upload("first.png"))  # it works
remove, late = os.remove, []


def meanwhile(path):  # an upload that comes while another one is deleted
    remove(path)
    if not late:
        late.append(None)
        late[0] = upload("second.png")


os.remove = meanwhile
upload("third.png")
upload("fourth.png")
time.sleep(4)
os.remove = remove
after = gone(upload("fifth.png"))
print("deleted before:", before, "and after an upload in between:", after)
as_described = before and not after
print("as described" if as_described else "the behaviour has changed")
sys.stdout.flush()
os._exit(not as_described)
PYTHON
