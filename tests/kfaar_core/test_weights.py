from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import FrozenInstanceError

import pytest
import torch
from safetensors.torch import save

from kfaar_core import checkpoints, methods, weights
from kfaar_core.errors import BadSetting, BadWeights
from kfaar_core.weights import ASSETS, WEIGHTS, Asset, Package, Pin, Weight

methods.registered()  # each registers its weights
TENSORS = {"layer.weight": torch.arange(6, dtype=torch.float16).reshape(2, 3), "layer.bias": torch.ones(2)}
DATA = save(TENSORS)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def register(monkeypatch, tmp_path):
    """Put one entry `small` into an empty registry, with an empty assets folder; answers that folder."""
    assets = tmp_path / "assets"
    assets.mkdir()
    monkeypatch.delenv("KFAAR_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "ASSETS", assets)

    def put(*sources, pin=None, file="small.safetensors"):
        weight = Weight(
            name="small",
            file=file,
            sources=sources,
            pin=pin,
            licence_code="",
            licence_weights="",
            licence_data="",
            citation="",
        )
        monkeypatch.setattr(weights, "WEIGHTS", {"small": weight})
        if pin is None:
            pins = {"small.safetensors": {"sha256": SHA256, "size": len(DATA)}}
            (assets / "manifest.json").write_text(json.dumps(pins))
        return assets

    return put


# The committed files


def test_every_committed_file_is_registered_and_matches_its_pin():
    files = {path.name: path for path in ASSETS.glob("*.safetensors")}
    registered = {weight.file for weight in WEIGHTS.values() if Asset() in weight.sources}
    assert set(files) <= registered
    written = json.loads((ASSETS / "manifest.json").read_text())
    assert set(written) == set(files)
    for name, path in files.items():
        data = path.read_bytes()
        assert written[name] == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


@pytest.mark.lab
@pytest.mark.parametrize("name", [name for name, weight in WEIGHTS.items() if Asset() in weight.sources])
def test_every_committed_weight_loads(name):
    state = weights.load(name)
    assert state and all(torch.isfinite(tensor.float()).all() for tensor in state.values())


@pytest.mark.parametrize("stage", ["pnet", "rnet", "onet"])
def test_the_detector_weights_inside_their_package_match(stage):
    path = weights.verify(f"mtcnn_{stage}")
    assert path.parts[-3:] == ("facenet_pytorch", "data", f"{stage}.pt")
    assert all(isinstance(tensor, torch.Tensor) for tensor in weights.load(f"mtcnn_{stage}").values())


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=lambda weight: weight.name)
def test_every_entry_says_its_terms_and_is_pinned_one_way(weight):
    assert all([weight.licence_code, weight.licence_weights, weight.licence_data, weight.citation, weight.sources])
    assert (weight.pin is None) == (Asset() in weight.sources) or weight in checkpoints.CHECKPOINTS
    # What nobody could load here is not said to have been checked.
    assert weight.checked == (weight not in checkpoints.CHECKPOINTS)
    assert weight.bytes > 1_000_000 or not weight.foreign or weight.pin
    with pytest.raises(FrozenInstanceError):
        weight.name = "other"


# Lookup and verification


def test_load_gives_the_tensors_back(register):
    (register(Asset()) / "small.safetensors").write_bytes(DATA)
    state = weights.load("small")
    assert set(state) == set(TENSORS)
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)


def test_the_own_folder_is_looked_at_first(register, monkeypatch, tmp_path):
    assets = register(Asset())
    (assets / "small.safetensors").write_bytes(DATA)
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("KFAAR_WEIGHTS", str(own))
    assert weights.verify("small") == assets / "small.safetensors"  # an empty folder hides nothing
    (own / "small.safetensors").write_bytes(DATA)
    assert weights.verify("small") == own / "small.safetensors"


def test_a_bad_copy_in_the_own_folder_is_told_and_not_passed_over(register, monkeypatch, tmp_path):
    (register(Asset()) / "small.safetensors").write_bytes(DATA)
    monkeypatch.setenv("KFAAR_WEIGHTS", str(tmp_path))
    (tmp_path / "small.safetensors").write_bytes(b"x" * len(DATA))
    with pytest.raises(BadWeights, match=r"altered.*[Dd]elete .*small\.safetensors"):
        weights.load("small")


def test_a_missing_asset_names_file_hash_and_command(register):
    register(Asset())
    with pytest.raises(BadWeights) as caught:
        weights.load("small")
    assert "missing" in caught.value.got and "small.safetensors" in caught.value.got and SHA256 in caught.value.got
    assert caught.value.mend.endswith("git checkout -- assets/weights/small.safetensors")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (bytes([DATA[0] ^ 1]) + DATA[1:], "altered"),
        (DATA[:-1] + bytes([DATA[-1] ^ 128]), "altered"),
        (DATA + b"\0", "altered"),
        (DATA[:-1], "half-downloaded"),
        (b"", "half-downloaded"),
    ],
    ids=["first bit", "last bit", "longer", "a byte short", "empty"],
)
def test_a_bad_file_names_file_both_hashes_and_command(register, data, word):
    path = register(Asset()) / "small.safetensors"
    path.write_bytes(data)
    for call in (weights.load, weights.read, weights.verify):
        with pytest.raises(BadWeights) as caught:
            call("small")
        for piece in (str(path), word, hashlib.sha256(data).hexdigest(), SHA256):
            assert piece in caught.value.got
        assert "git checkout -- assets/weights/small.safetensors" in caught.value.mend


def test_a_bad_file_in_a_package_asks_to_reinstall(register, monkeypatch, tmp_path):
    data = tmp_path / "carrier" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('looked at, never imported')")
    (data / "small.safetensors").write_bytes(DATA[:10])
    monkeypatch.syspath_prepend(str(tmp_path))
    register(Package("carrier", "data", "carrier==1.0"), pin=Pin(SHA256, len(DATA)))
    with pytest.raises(BadWeights, match=r"--force-reinstall --no-deps carrier==1\.0"):
        weights.load("small")
    (data / "small.safetensors").write_bytes(DATA)
    assert weights.verify("small") == data / "small.safetensors"
    assert "carrier" not in sys.modules


def test_a_package_that_is_not_installed_is_missing(register):
    register(Package("no_such_module", "data", "no-such==1.0"), pin=Pin(SHA256, len(DATA)))
    with pytest.raises(BadWeights, match=r"missing.*no-such==1\.0"):
        weights.load("small")


def test_a_file_that_the_manifest_does_not_list_is_refused(register):
    assets = register(Asset())
    (assets / "small.safetensors").write_bytes(DATA)
    (assets / "manifest.json").write_text("{}")
    with pytest.raises(BadWeights, match=r"no hash for small\.safetensors.*convert manifest"):
        weights.load("small")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"small.safetensors": 3}', '{"small.safetensors": {"size": "x"}}'])
def test_a_damaged_manifest_is_told(register, text):
    assets = register(Asset())
    (assets / "small.safetensors").write_bytes(DATA)
    (assets / "manifest.json").write_text(text)
    with pytest.raises(BadWeights, match=r"manifest\.json is missing or damaged.*git checkout"):
        weights.load("small")


def test_the_right_hash_of_something_else_is_no_weights(register):
    junk = b"no tensors in here"
    assets = register(Asset(), pin=Pin(hashlib.sha256(junk).hexdigest(), len(junk)))
    (assets / "small.safetensors").write_bytes(junk)
    with pytest.raises(BadWeights, match="holds no tensors"):
        weights.load("small")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(BadSetting, match=r"'geometri'.*geometry"):
        weights.load("geometri")
    with pytest.raises(BadSetting, match="Choose one of"):
        weights.load("???")


def test_rows_tell_the_state(register):
    assets = register(Asset())
    (row,) = weights.rows()
    assert (row.weight.name, row.state, row.path) == ("small", "missing", None) and "git checkout" in row.mend
    (assets / "small.safetensors").write_bytes(DATA[:5])
    assert weights.rows(["small"])[0].state == "half-downloaded"
    (assets / "small.safetensors").write_bytes(DATA)
    (row,) = weights.rows()
    assert (row.state, row.mend, row.pin) == ("ok", "", Pin(SHA256, len(DATA)))
    (assets / "manifest.json").write_text("{}")
    assert weights.rows()[0].state == "not pinned"


# Checkpoints


def test_a_checkpoint_comes_back(tmp_path):
    torch.save({"step": 3, "net": TENSORS}, tmp_path / "last.pt")
    state = weights.load_checkpoint(tmp_path / "last.pt")
    assert state["step"] == 3
    torch.testing.assert_close(state["net"]["layer.weight"], TENSORS["layer.weight"])


class Runs:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_checkpoint_runs_no_code(tmp_path, capsys):
    torch.save({"net": Runs()}, tmp_path / "bad.pt")
    with pytest.raises(BadWeights, match="without running code"):
        weights.load_checkpoint(tmp_path / "bad.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("data", [b"", b"junk", b"PK\x03\x04 half a zip"])
def test_a_damaged_checkpoint_is_told(tmp_path, data):
    (tmp_path / "last.pt").write_bytes(data)
    with pytest.raises(BadWeights):
        weights.load_checkpoint(tmp_path / "last.pt")
    with pytest.raises(BadWeights, match=r"none\.pt"):
        weights.load_checkpoint(tmp_path / "none.pt")
