from __future__ import annotations

import json

import pytest

from kfaar_core import calibration
from kfaar_core.calibration import Calibration, load_calibration, save_calibration
from kfaar_core.errors import BadWeights

FOUND = Calibration(0.31, 0.42, 0.38, marks={"strangers": 0.01}, made_by={"command": "evaluate", "data": "lfw"})


def test_a_calibration_comes_back(tmp_path, monkeypatch):
    path = save_calibration(FOUND, "lab", "floor", tmp_path / "new folder")
    assert path == tmp_path / "new folder" / "lab-floor.json"
    monkeypatch.setattr(calibration, "FOLDER", path.parent)
    assert load_calibration("lab", "floor") == FOUND
    assert list(json.loads(path.read_text())) == sorted(vars(FOUND))


def test_a_key_length_may_have_thresholds_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    save_calibration(FOUND, "lab", "bits", tmp_path)
    save_calibration(Calibration.tiny(), "lab", "bits", tmp_path / "8-bit")
    assert load_calibration("lab", "bits", 8) == Calibration.tiny()
    assert load_calibration("lab", "bits", 128) == load_calibration("lab", "bits", 256) == FOUND


def test_a_new_calibration_replaces_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    save_calibration(FOUND, "lab", "floor", tmp_path)
    save_calibration(Calibration.tiny(), "lab", "floor", tmp_path)
    assert load_calibration("lab", "floor") == Calibration.tiny()
    assert [found.name for found in tmp_path.iterdir()] == ["lab-floor.json"]


def test_a_missing_calibration_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    with pytest.raises(BadWeights, match=r"method 'floor' are missing \(lab-floor.json\).*--table thresholds"):
        load_calibration("lab", "floor")


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"kvfa": 1}'])
def test_another_file_is_no_calibration(tmp_path, monkeypatch, text):
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    (tmp_path / "lab-bits.json").write_text(text)
    with pytest.raises(BadWeights, match=r"(?i)lab-bits.json holds no thresholds.*--method bits"):
        load_calibration("lab", "bits")


def test_the_judge_knows_no_projector():
    """Files from the same dev people agree about the judge, whose thresholds do not depend on the method."""
    judged: dict[str, set[tuple[float, float]]] = {}
    for path in calibration.FOLDER.rglob("*.json"):
        entry = Calibration(**json.loads(path.read_text()))
        judged.setdefault(entry.made_by["people"], set()).add((entry.judge_fmr_1, entry.judge_fmr_01))
    assert judged and all(len(thresholds) == 1 for thresholds in judged.values())


def test_every_mark_is_of_a_recogniser_whose_cosines_the_app_draws():
    for path in calibration.FOLDER.rglob("*.json"):
        marks = json.loads(path.read_text())["marks"]
        for whose in ("KVFA", "judge"):  # both beside what two real photos of one person reach
            assert marks.pop(f"{whose}: two photos of one person") > 0.5
        assert all(name.split(": ")[0] in ("KVFA", "judge") for name in marks)
