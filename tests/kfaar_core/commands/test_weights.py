from __future__ import annotations

import json

import pytest

from kfaar_core import methods
from kfaar_core import weights as registry
from kfaar_core.checkpoints import CHECKPOINTS


def test_every_registered_weight_is_listed(kfaar):
    answer = json.loads(kfaar("weights", "--json").stdout)
    assert [entry["name"] for entry in answer] == list(registry.WEIGHTS)
    assert {entry["name"] for entry in answer} >= {weight.name for weight in CHECKPOINTS}
    assert set(registry.WEIGHTS) >= {name for method in methods.registered() for name in method.all_weights()}
    assert all(entry["licence_weights"] and entry["citation"] for entry in answer)
    listed = kfaar("weights")
    assert listed.exit_code == 0 and all(name in listed.stdout for name in registry.WEIGHTS)


def test_weights_of_a_method_are_listed_before_any_method_was_asked_for(kfaar, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", {name: registry.WEIGHTS[name] for name in ("judge", "kvfa")})
    methods._imported.cache_clear()
    assert kfaar("weights", "projector_bits_8").exit_code == 0


def test_what_a_package_carries_is_verified(kfaar):
    result = kfaar("weights", "mtcnn_pnet", "--verify")
    assert result.exit_code == 0 and "mtcnn_pnet       ok" in result.stdout


def test_an_altered_file_is_listed_and_fails_verification(kfaar, folder, monkeypatch):
    monkeypatch.setenv("KFAAR_WEIGHTS", str(folder))
    (folder / "pnet.pt").write_bytes(bytes(28_570))
    (entry,) = json.loads(kfaar("weights", "mtcnn_pnet", "--json").stdout)
    assert entry["state"] == "altered" and entry["mend"]
    result = kfaar("weights", "mtcnn_pnet", "--verify")
    assert result.exit_code == 1 and "is altered" in result.stderr


def test_an_unknown_name(refused):
    assert "did you mean mtcnn_pnet" in refused("weights", "mtcnn_pnot").replace("Did", "did")


# ---- info


def test_info_tells_what_is_in_force(kfaar):
    answer = json.loads(kfaar("info", "--preset", "tiny", "--json").stdout)
    assert answer["preset"]["name"] == "tiny" and answer["problem"] is None
    assert answer["dimension"] == 8
    assert answer["thresholds"]["kvfa"] == 0.5 and answer["thresholds"]["judge_fmr_1"] == 0.9
    assert set(answer["weights"]) == set(registry.WEIGHTS)
    assert answer["versions"]["torch"] and answer["device"] in ("cpu", "cuda")
    assert "kvfa 0.500" in kfaar("info", "--preset", "tiny").stdout


def test_info_names_what_is_missing_and_still_answers(kfaar, folder, monkeypatch):
    monkeypatch.setattr(registry, "ASSETS", folder)
    result = kfaar("info", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["dimension"] is None and "restore" in answer["problem"].lower()


def test_presets_that_cannot_be_used(refused):
    assert "choose one of" in refused("info", "--preset", "labb").replace("Choose", "choose")


@pytest.fixture
def nothing_here(folder, monkeypatch):
    """No checkpoint in any cache, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("KFAAR_WEIGHTS", raising=False)


def test_without_its_files_the_preset_paper_says_what_is_missing_and_what_works(refused, photo, nothing_here):
    said = refused("anonymise", photo, "-o", "v.png", "--preset", "paper", "--key", "00" * 16)
    assert "4 files" in said and "about 2.5 GB" in said and "GPU" in said
    assert "weights --preset paper --fetch" in said and "lab needs neither and works now" in said


def test_what_a_preset_needs_is_listed_with_size_and_terms(kfaar, nothing_here):
    listed = json.loads(kfaar("weights", "--preset", "paper", "--json").stdout)
    states = {entry["name"]: entry["state"] for entry in listed}
    assert [name for name, state in states.items() if state == "missing"] == [
        "facenet",
        "arcface_r50",
        "stylegan2_1024",
        "facevid2vid",
    ]
    assert states["geometry"] == states["mtcnn_onet"] == "ok"
    assert all(not entry["checked"] and entry["noncommercial"] for entry in listed if entry["state"] == "missing")
    assert "about 2.1 GB" in kfaar("weights", "--preset", "paper").stdout


def test_a_fetch_without_network_tells_size_and_terms_before_it_fails(kfaar, nothing_here):
    result = kfaar("weights", "facenet", "--fetch")
    assert result.exit_code == 1 and "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert "about 112 MB" in lines[0] and "not for commercial use" in lines[1] and "VGGFace2" in lines[1]
    assert "offline mode" in lines[-1] and "HF_HUB_OFFLINE" in lines[-1]


def test_another_file_is_pinned_by_its_hash(kfaar, refused, folder, nothing_here, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(folder / "cache"))
    assert kfaar("weights", "facenet", "--pin", "ab" * 32).exit_code == 0
    (entry,) = json.loads(kfaar("weights", "facenet", "--json").stdout)
    assert entry["sha256"] == "ab" * 32 and entry["state"] == "missing"
    assert "64 hex digits" in refused("weights", "facenet", "--pin", "abc")
    assert "one NAME" in refused("weights", "--pin", "ab" * 32)


def test_a_device_that_is_not_there(refused):
    assert "auto, cpu or cuda" in refused("info", "--preset", "tiny", "--device", "tpu")
