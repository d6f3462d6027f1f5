"""A session of every feature with a planted key, passphrase and photo; nothing of them lies where it should not."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from benchmarks.serving import serving
from kfaar_core import image, pipeline
from kfaar_core.keyring import KeyRing
from kfaar_core.keys import UserKey

ROOT = Path(__file__).resolve().parents[1]
KEY = UserKey(bytes(range(131, 163)))
PHRASE = "nine blue kettles juggle elephants"
CLOSED = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

# Commands of one process, with the preset tiny. The last ones fail, also in a way that nobody foresaw.
SESSION = """
import builtins, logging, runpy, sys
logging.basicConfig(level=logging.DEBUG, filename="debug.log")
def kfaar(*words):
    sys.argv = ["kfaar_core", *words]
    try:
        runpy.run_module("kfaar_core", run_name="__main__")
    except SystemExit as ended:
        print("ended with", ended.code)
tiny = ("--preset", "tiny")
kfaar("anonymise", "me.png", "-o", "v.png", "--key", "@secret/mine.key", *tiny, "--json")
kfaar("anonymise", "me.png", "-o", "p.png", "--mode", "paste", "--key", "@secret/mine.key", *tiny)
kfaar("anonymise", "me.png", "-o", "w.png", "--key", "pass:", *tiny)
kfaar("anonymise", "people", "-o", "out", "--key", "@secret/ring.json", *tiny)
kfaar("authenticate", "v.png", "me.png", "--key", "@secret/mine.key", *tiny, "--json")
kfaar("authenticate", "v.png", "me.png", "--key", "pass:", *tiny)
kfaar("scenarios", "v.png", "me.png", "--key", "@secret/mine.key", *tiny, "--json")
kfaar("compare", "me.png", "--keys", "secret/mine.key", "-o", "sheet.png", *tiny)
kfaar("evaluate", "--table", "VI", "--data", "people.zip", "--limit", "2", "-o", "scores", *tiny)
kfaar("anonymise", "none.png", "-o", "x.png", "--key", "@secret/mine.key", *tiny)
kfaar("authenticate", "v.png", "me.png", "--key", "@secret/broken.key", *tiny)
from kfaar_core import pipeline
def surprise(*_, **__):
    key, photo = open("secret/mine.key").read(), open("me.png", "rb").read()
    raise RuntimeError(key, photo)
import kfaar_core.servers
kfaar_core.servers.AnonymisationServer.anonymise = surprise
kfaar("anonymise", "me.png", "-o", "y.png", "--key", "@secret/mine.key", *tiny)
"""


def forms(data: bytes) -> list[bytes]:
    """Bytes as they may stand in a file: raw, hex, base64 at each of its three offsets, numbers, floats."""
    numbers = np.frombuffer(data, dtype=np.uint8)
    listed = ", ".join(map(str, numbers[:8])).encode()
    encoded = [base64.b64encode(bytes(shift) + data)[4:-4] for shift in range(3)]
    hexes, urls = data.hex(), [each.replace(b"+", b"-").replace(b"/", b"_") for each in encoded]
    return [data, hexes.encode(), hexes.upper().encode(), *encoded, *urls, listed, listed.replace(b" ", b"")]


def of_floats(values: np.ndarray) -> list[bytes]:
    """The first values of an array as they may stand in a file: raw, base64, or as text."""
    first = np.asarray(values, dtype=np.float32).ravel()[:6]
    packed = [first.astype(kind).tobytes() for kind in (np.float16, np.float32, np.float64)]
    text = [f"{value:.{digits}f}".encode() for value in first[:2] for digits in (7, 8)]
    return [*packed, *(base64.b64encode(each)[:-4] for each in packed), *text]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> dict[str, list[bytes]]:
    """What is planted, in every form; and of the photo the feature of the encoder."""
    pixels = picture()
    stages = pipeline.load("tiny", device="cpu")
    photo = image.from_array(pixels)
    feature = stages.encoder.embed(photo.pixels, stages.locator.locate(photo).landmarks)
    derived = UserKey.from_passphrase(PHRASE)
    words = [PHRASE.encode(coding) for coding in ("utf-8", "utf-16-le")]
    return {
        "key": [*forms(KEY.data), *of_floats(KEY.signs())[:3]],
        "passphrase": [form for word in words for form in forms(word)[:6]],
        "key of the passphrase": forms(derived.data),
        "feature": of_floats(feature),
        "photo": [*forms(png(pixels)[400:440])[:6], pixels[40, 20:60].tobytes()],
    }


def picture() -> np.ndarray:
    """(120, 100, 3): to the tiny detector, a face."""
    rng = np.random.default_rng(77)
    coarse = Image.fromarray(rng.integers(40, 220, (6, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((100, 120), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def found(text: bytes, secrets: dict[str, list[bytes]]) -> list[str]:
    """Names of the secrets that stand in a text."""
    return [name for name, shapes in secrets.items() if any(shape in text for shape in shapes)]


def told(process_id: int, until: threading.Event, into: list[bytes]) -> None:
    """Collect what the process list shows of a process and its children: command lines and environments."""
    while not until.is_set():
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if str(process_id) in (folder.name, parent):
                    into.append((folder / "cmdline").read_bytes() + (folder / "environ").read_bytes())
            except OSError:
                continue
        time.sleep(0.2)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with the photo, the keys, and all that a process may write to."""
    for name in ("secret", "people/ada", "home", "temporary", "cache", "gradio"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "me.png").write_bytes(png(picture()))
    (tmp_path / "people/ada/1.png").write_bytes(png(picture()))
    (tmp_path / "people/ada/2.png").write_bytes(png(picture()[:, ::-1]))
    KEY.save(tmp_path / "secret/mine.key")
    (tmp_path / "secret/broken.key").write_text(KEY.hex() + "x")
    KeyRing(KEY).save(tmp_path / "secret/ring.json")
    with zipfile.ZipFile(tmp_path / "people.zip", "w", zipfile.ZIP_STORED) as archive:
        for person in ("ada", "bea"):
            for number in (1, 2):
                archive.writestr(f"{person}/{number}.png", png(picture()))
    places = {"HOME": "home", "TMPDIR": "temporary", "KFAAR_CACHE": "cache", "GRADIO_TEMP_DIR": "gradio"}
    for name, value in {**CLOSED, **{name: str(tmp_path / folder) for name, folder in places.items()}}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def written(place: Path, but: tuple[str, ...]) -> dict[str, bytes]:
    """Every file below the folder that is not below `but`, with its name before its content."""
    names = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {name: name.encode() + b"\0" + path.read_bytes() for name, path in names.items() if not name.startswith(but)}


@pytest.mark.slow
def test_commands_leave_nothing_of_key_passphrase_feature_and_photo(place, secrets):
    seen: list[bytes] = []
    done = threading.Event()
    words = [sys.executable, "-X", "dev", "-c", SESSION]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(words, cwd=place, **pipes) as process:
        watching = threading.Thread(target=told, args=(process.pid, done, seen))
        watching.start()
        output, _ = process.communicate(f"{PHRASE}\n{PHRASE}\n{PHRASE}\n".encode(), timeout=280)
        done.set()
        watching.join()
    assert output.count(b"ended with 0") == 9 and output.count(b"ended with 1") == 3, output.decode()[-3000:]
    assert b"nobody foresaw (RuntimeError" in output and (place / "debug.log").is_file() and len(seen) > 3
    assert found(written(place, ())["secret/mine.key"], secrets) == ["key"]  # what is planted would be found
    assert found(written(place, ())["me.png"], secrets) == ["photo"]
    assert found(output, secrets) == [] == found(b"".join(seen), secrets)
    # A pasted picture is made from the photo, and the sheet of compare shows it.
    given = ("secret/", "me.png", "people/", "people.zip")
    assert {name: names for name, text in written(place, given).items() if (names := found(text, secrets))} == {}


@pytest.mark.slow
def test_the_app_leaves_nothing_but_uploads_for_their_time(place, secrets):
    seen: list[bytes] = []
    done = threading.Event()
    log = place / "app.log"
    command = [sys.executable, "-c", RUN_APP, str(log)]
    with serving(command) as app:
        watching = threading.Thread(target=told, args=(app.process.pid, done, seen))
        watching.start()
        client = Client(app.address, verbose=False, download_files=place / "home/got")
        photo, key = handle_file(str(place / "me.png")), KEY.hex()
        virtual, _ = client.predict(photo, key, "portrait", api_name="/anonymise")
        client.predict(handle_file(virtual), photo, key, api_name="/authenticate")
        client.predict(handle_file(virtual), photo, key, api_name="/scenarios")
        client.predict([photo], [key], api_name="/compare")
        for wrong in (key + "x", PHRASE):
            with pytest.raises(AppError) as caught:
                client.predict(photo, wrong, "portrait", api_name="/anonymise")
            assert found(str(caught.value).encode(), secrets) == []
        done.set()
        watching.join()
    assert seen and log.stat().st_size and found(b"".join(seen), secrets) == []
    given = ("secret/", "me.png", "people/", "people.zip")
    kept = {name: names for name, text in written(place, given).items() if (names := found(text, secrets))}
    assert all(name.startswith("gradio/") and names == ["photo"] for name, names in kept.items()), kept


RUN_APP = """
import logging, os, runpy, sys
log, port = sys.argv[1:]
os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY), 1)
os.dup2(1, 2)
logging.basicConfig(level=logging.DEBUG)
sys.argv = ["app.py", "--preset", "tiny", "--port", port]
runpy.run_path("app.py", run_name="__main__")
"""
