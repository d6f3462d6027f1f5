from __future__ import annotations

import json

import pytest

from kfaar_core import calibration
from kfaar_core.calibration import Calibration, load_calibration, save_calibration
from kfaar_core.errors import BadWeights

FOUND = Calibration(0.31, 0.42, 0.38, marks={"strangers": 0.01}, made_by={"command": "evaluate", "data": "lfw"})


def test_a_calibration_comes_back(tmp_path, monkeypatch):
    path = save_calibration(FOUND, "lab", tmp_path / "new folder")
    assert path == tmp_path / "new folder" / "lab.json"
    monkeypatch.setattr(calibration, "FOLDER", path.parent)
    assert load_calibration("lab") == FOUND
    assert list(json.loads(path.read_text())) == sorted(vars(FOUND))


def test_a_new_calibration_replaces_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    save_calibration(FOUND, "lab", tmp_path)
    save_calibration(Calibration.tiny(), "lab", tmp_path)
    assert load_calibration("lab") == Calibration.tiny()
    assert [found.name for found in tmp_path.iterdir()] == ["lab.json"]


def test_a_missing_calibration_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    with pytest.raises(BadWeights, match=r"preset 'lab' are missing \(lab.json\).*--table thresholds"):
        load_calibration("lab")
