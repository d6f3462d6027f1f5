from __future__ import annotations

import json

import pytest

from kfaar_core import methods
from kfaar_core import weights as registry


def test_every_registered_weight_is_listed(kfaar):
    answer = json.loads(kfaar("weights", "--json").stdout)
    assert [entry["name"] for entry in answer] == list(registry.WEIGHTS)
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


@pytest.mark.parametrize(("preset", "said"), [("labb", "choose one of"), ("paper", "not wired yet")])
def test_presets_that_cannot_be_used(refused, preset, said):
    assert said in refused("info", "--preset", preset).replace("Choose", "choose")


def test_a_device_that_is_not_there(refused):
    assert "auto, cpu or cuda" in refused("info", "--preset", "tiny", "--device", "tpu")
