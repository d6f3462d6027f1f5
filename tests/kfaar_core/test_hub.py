"""Downloads from a Hub on this machine, by huggingface_hub itself."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from kfaar_core import hub, weights
from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.hub import HubFile
from kfaar_core.weights import ByHand, Pin, Weight
from tests.hub_server import Hub, hub_server

TENSORS = {"layer.weight": torch.arange(4000, dtype=torch.float32).reshape(40, 100), "layer.bias": torch.ones(2)}
DATA = save(TENSORS)
SHA256 = hashlib.sha256(DATA).hexdigest()
REPOSITORY, FILE = "someone/nets", "folder/small.safetensors"
SOURCE = HubFile(REPOSITORY, FILE)


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Hub]:
    """A Hub that holds DATA; this process asks it, with an empty cache."""
    with hub_server() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.address)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.address + "".join(template[1:]))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("KFAAR_WEIGHTS", raising=False)
        running.put(REPOSITORY, FILE, DATA)
        yield running


@pytest.fixture
def register(monkeypatch):
    def put(*sources, pin=None, file="small.safetensors", **more) -> Weight:
        weight = Weight(
            name="small",
            file=file,
            sources=sources or (SOURCE,),
            pin=pin,
            about=5_000_000,
            licence_code="MIT",
            licence_weights="for research only",
            licence_data="photos",
            citation="somebody",
            **more,
        )
        monkeypatch.setattr(weights, "WEIGHTS", {"small": weight})
        return weight

    return put


def fetched(*names: str) -> list[str]:
    """What is said while the weights are fetched."""
    said: list[str] = []
    weights.fetch(names or ("small",), said.append)
    return said


def refusal(call, *arguments) -> str:
    with pytest.raises(BadWeights) as caught:
        call(*arguments)
    assert str(caught.value).count("\n") == 0
    return str(caught.value)


# ---- pins


def test_a_pinned_file_is_fetched_once_and_read(server, register):
    register(pin=Pin(SHA256, len(DATA)), noncommercial=True)
    said = fetched()
    assert "1 of 1 files are downloaded: 1 MB." in said[0]
    assert said[1] == "small is not for commercial use: for research only; trained on photos."
    assert any(SHA256 in line and "as pinned" in line for line in said)
    torch.testing.assert_close(weights.load("small"), TENSORS)
    assert weights.rows()[0].state == "ok"
    assert fetched() == [] and server.downloads() == [""]


def test_terms_are_said_before_anything_is_asked_of_the_hub(server, register):
    register(noncommercial=True)
    asked: dict[str, int] = {}
    weights.fetch(["small"], lambda sentence: asked.setdefault(sentence, len(server.asked)))
    assert asked["small is not for commercial use: for research only; trained on photos."] == 0 < len(server.asked)


def test_without_a_pin_the_first_hash_is_recorded_shown_and_kept(server, register):
    register()
    assert weights.rows()[0].state == "missing" and weights.rows()[0].pin is None
    assert any(f"sha256 {SHA256}, pinned from now on" in line for line in fetched())
    assert weights.rows()[0].pin == Pin(SHA256, len(DATA))
    other = save({"layer.weight": torch.zeros(3)})
    path = SOURCE.cached()
    path.resolve().write_bytes(other)
    told = refusal(weights.load, "small")
    assert SHA256 in told and hashlib.sha256(other).hexdigest() in told
    assert any("as pinned" in line for line in fetched())  # the damaged copy is replaced
    torch.testing.assert_close(weights.load("small"), TENSORS)


def test_an_altered_file_is_refused_with_both_hashes_and_can_be_pinned(server, register):
    register(pin=Pin("0" * 64, len(DATA)))
    told = refusal(fetched)
    command = re.search(rf"python -m kfaar_core weights small --pin {SHA256}", told)
    assert "0" * 64 in told and SHA256 in told and command
    assert refusal(weights.load, "small").count(SHA256) >= 2
    weights.pin("small", SHA256)
    torch.testing.assert_close(weights.load("small"), TENSORS)
    for bad in ("", SHA256[:-1], SHA256.upper()):
        with pytest.raises(BadSetting, match="64 hex digits"):
            weights.pin("small", bad)


def test_what_is_committed_cannot_be_pinned_anew():
    with pytest.raises(BadSetting, match="committed or installed"):
        weights.pin("judge", SHA256)


def test_the_next_mirror_is_asked_when_the_first_differs_or_is_missing(server, register):
    server.put("first/copy", "x.safetensors", b"something else")
    missing, altered = HubFile("nobody/here", "x"), HubFile("first/copy", "x.safetensors")
    register(missing, altered, SOURCE, pin=Pin(SHA256, len(DATA)))
    fetched()
    assert weights.verify("small") == SOURCE.cached()
    register(missing, altered, pin=Pin(SHA256, len(DATA)))
    told = refusal(fetched)
    assert "nobody/here" in told and "half-downloaded" in told


# ---- what can go wrong on the way


def test_a_connection_that_breaks_is_resumed_where_it_stopped(server, register, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # bytes; of ten millions, the last part would be lost
    register(pin=Pin(SHA256, len(DATA)))
    server.cuts.append(5000)
    fetched()
    assert server.downloads() == ["", "bytes=5000-"]
    torch.testing.assert_close(weights.load("small"), TENSORS)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (HubFile(REPOSITORY, FILE, "f" * 40), "no such revision"),
        (HubFile(REPOSITORY, "other.bin"), "no such file"),
        (HubFile("someone/else", FILE), "no such repository"),
    ],
    ids=["revision", "file", "repository"],
)
def test_what_the_hub_does_not_have(server, register, source, said):
    register(source, pin=Pin(SHA256, len(DATA)))
    told = refusal(fetched)
    assert said in told and str(source) in told.replace("Some", "some", 1) and server.downloads() == []
    assert refusal(weights.load, "small").count(SHA256) == 1


def test_without_network_one_sentence(server, register, monkeypatch):
    register(pin=Pin(SHA256, len(DATA)))
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/x")
    monkeypatch.setattr(constants, "ENDPOINT", "http://someone:secret@127.0.0.1:9")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the tries
    told = refusal(fetched)
    assert "http://127.0.0.1:9 did not answer" in told and "secret" not in told


def test_offline_nothing_is_asked_and_what_is_here_works(server, register, monkeypatch):
    register(pin=Pin(SHA256, len(DATA)))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert "offline mode" in refusal(fetched) and server.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    fetched()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert fetched() == []
    torch.testing.assert_close(weights.load("small"), TENSORS)
    huggingface_hub.close_session()


def test_a_copy_of_the_users_own_is_looked_at_first_and_told_when_it_is_wrong(server, register, monkeypatch, tmp_path):
    register(pin=Pin(SHA256, len(DATA)))
    monkeypatch.setenv("KFAAR_WEIGHTS", str(tmp_path))
    (tmp_path / "small.safetensors").write_bytes(DATA)
    assert fetched() == [] and server.asked == []
    (tmp_path / "small.safetensors").write_bytes(DATA[:-1])
    assert "delete" in refusal(fetched).lower() and server.asked == []


def test_what_no_hub_offers_is_asked_of_the_user(server, register, monkeypatch, tmp_path):
    register(ByHand("somebody's page"))
    told = refusal(fetched)
    assert "somebody's page" in told and "KFAAR_WEIGHTS" in told and "about 5 MB" in told
    monkeypatch.setenv("KFAAR_WEIGHTS", str(tmp_path))
    (tmp_path / "small.safetensors").write_bytes(DATA)
    torch.testing.assert_close(weights.load("small"), TENSORS)
    assert weights.rows()[0].pin == Pin(SHA256, len(DATA))


# ---- checkpoints that are pickles

CHECKPOINT = {"g_ema": {"a": torch.arange(3.0), "deep": {"b": torch.ones(2)}}, "mean": torch.zeros(2), "step": 7}


def pickled(state: object, path: Path, zipped: bool = True) -> bytes:
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_plain_checkpoint_becomes_safetensors_in_the_cache(server, register, tmp_path, zipped, monkeypatch):
    source = HubFile(REPOSITORY, "net.pt")
    server.put(REPOSITORY, "net.pt", pickled({**CHECKPOINT, "optimiser": {"c": torch.ones(9)}}, tmp_path / "x", zipped))
    register(source, file="net.pt", entries=("g_ema", "mean"))
    fetched()
    expected = {"g_ema.a": torch.arange(3.0), "g_ema.deep.b": torch.ones(2), "mean": torch.zeros(2)}
    assert (tmp_path / "cache/weights/small.safetensors").is_file()
    monkeypatch.setattr(torch, "load", None)  # the pickle is not opened again
    torch.testing.assert_close(weights.load("small"), expected)
    monkeypatch.undo()


def test_an_altered_conversion_is_made_again(server, register, tmp_path):
    server.put(REPOSITORY, "net.pt", pickled(CHECKPOINT, tmp_path / "x"))
    register(HubFile(REPOSITORY, "net.pt"), file="net.pt")
    fetched()
    converted = tmp_path / "cache/weights/small.safetensors"
    good = converted.read_bytes()
    converted.write_bytes(save({"g_ema.a": torch.full((3,), 9.0)}))
    assert weights.load("small")["g_ema.a"].tolist() == [0, 1, 2]
    assert converted.read_bytes() == good


class Runs:
    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_classes_is_refused_and_the_right_file_named(server, register, tmp_path, capsys, zipped):
    server.put(REPOSITORY, "net.pkl", pickled({"G": Runs()}, tmp_path / "x", zipped))
    register(HubFile(REPOSITORY, "net.pkl"), file="net.pkl")
    told = refusal(fetched)
    assert "carries classes" in told and f"{REPOSITORY}/net.pkl" in told
    assert "this must never run" not in capsys.readouterr().out


def test_the_file_of_the_authors_with_classes_is_told_from_the_right_one(server, register, monkeypatch, tmp_path):
    register(file="right.pt", pickles=("authors.pkl",), pin=Pin(SHA256, len(DATA)))
    monkeypatch.setenv("KFAAR_WEIGHTS", str(tmp_path))
    (tmp_path / "authors.pkl").write_bytes(b"\x80\x04N.")
    told = refusal(weights.load, "small")
    assert "authors.pkl is a pickle that carries classes" in told and "right.pt" in told and "--fetch" in told


def test_a_file_of_the_users_own_by_its_path(server, register, monkeypatch, tmp_path, capsys):
    register(ByHand("somebody's page"))
    monkeypatch.setattr(weights, "_OWN", {})
    pickled(CHECKPOINT, tmp_path / "mine.pth")
    weights.use("small", tmp_path / "mine.pth")
    assert set(weights.load("small")) == {"g_ema.a", "g_ema.deep.b", "mean"}
    pickled(Runs(), tmp_path / "bad.pkl")
    weights.use("small", tmp_path / "bad.pkl")
    weights.pin("small", hashlib.sha256((tmp_path / "bad.pkl").read_bytes()).hexdigest())
    assert "plain state dict" in refusal(weights.load, "small")
    assert "this must never run" not in capsys.readouterr().out


# ---- other processes, read-only folders, large files

FETCH = """
import sys
from kfaar_core import weights
from kfaar_core.hub import HubFile
from kfaar_core.weights import Pin, Weight
terms = dict(licence_code="", licence_weights="", licence_data="", citation="")
sources = (HubFile("someone/nets", sys.argv[1]),)
weights.register(Weight(name="small", file="x.safetensors", sources=sources, **terms))
try:
    weights.fetch(["small"], print)
    print(sorted(weights.load("small")) if sys.argv[2] == "load" else "verified")
except weights.BadWeights as error:
    print("refused:", error)
"""


def process(server: Hub, folder: Path, file: str = FILE, then: str = "load", **how) -> subprocess.Popen[str]:
    """A process of its own that fetches a file: HF_ENDPOINT and the cache by environment variables."""
    environment = {
        "PATH": os.environ["PATH"],
        "HF_ENDPOINT": server.address,
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "KFAAR_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(Path(hub.__file__).parents[1]),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", FETCH, file, then]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, **how
    )


@pytest.mark.slow
def test_two_processes_at_once_read_the_endpoint_from_the_environment(server, tmp_path):
    both = [process(server, tmp_path) for _ in range(2)]
    for one in both:
        told, _ = one.communicate(timeout=120)
        assert "['layer.bias', 'layer.weight']" in told, told
    (record,) = (tmp_path / "cache" / "weights").iterdir()  # no draft is left
    assert json.loads(record.read_text())["sha256"] == SHA256


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to start a process without rights")
def test_folders_that_cannot_be_written(server, tmp_path_factory):
    """As a user without rights: a cache that has the file serves it, an empty one is told."""
    import shutil
    import tempfile

    try:
        other = subprocess.run([sys.executable, "-c", "import huggingface_hub, kfaar_core"], user=65534, group=65534)
    except PermissionError:
        other = None
    if other is None or other.returncode:
        pytest.skip("a user without rights cannot run this Python here")
    folder = Path(tempfile.mkdtemp(prefix="kfaar"))  # pytest's folders are closed to others
    try:
        folder.chmod(0o755)
        told, _ = process(server, folder, user=65534, group=65534).communicate(timeout=120)
        assert "cannot be written" in told and "HF_HUB_CACHE" in told and "Traceback" not in told
        told, _ = process(server, folder).communicate(timeout=120)
        assert "layer.weight" in told
        for path in folder.rglob("*"):
            path.chmod(path.stat().st_mode | 0o055)
        (folder / "cache/weights/small.json").unlink()
        told, _ = process(server, folder, user=65534, group=65534).communicate(timeout=120)
        assert "layer.weight" in told and "pinned at first use" in told, told
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_huge_file_is_streamed(server, tmp_path):
    """1.5 GB of zeros go to the disk without ever being in memory: the process takes as much as for a small file."""
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1_500_000_000)
    server.put(REPOSITORY, "huge.safetensors", huge)
    runs = process(server, tmp_path, "huge.safetensors", "verify")
    largest = peak_of(runs)
    told, _ = runs.communicate(timeout=300)
    assert "verified" in told or "holds no tensors" in told, told
    assert digest_of(tmp_path) == huge.stat().st_size
    assert 0 < largest < 1_000_000_000


def peak_of(process: subprocess.Popen) -> int:
    """Most memory of a process, bytes, followed to its end. What getrusage says would include that of these tests."""
    largest, status = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        largest = max(largest, 1024 * int(found[1])) if found else largest
        time.sleep(0.05)
    return largest


def digest_of(folder: Path) -> int:
    """Bytes in the cache of the Hub."""
    return sum(path.stat().st_size for path in (folder / "hub").rglob("blobs/*"))
