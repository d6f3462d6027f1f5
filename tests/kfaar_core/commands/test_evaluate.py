from __future__ import annotations

import json

import numpy as np
import pytest

from kfaar_core.evaluate import runner
from kfaar_core.presets import TINY
from kfaar_core.records import Row, Scores
from kfaar_core.report.tables import Table, to_json
from kfaar_core.results import Result, Thresholds, save_result
from kfaar_core.scenarios import populations


@pytest.fixture
def result(folder):
    """A saved result of Table VI whose figures can be told by heart."""
    people = np.arange(4)
    values = {"genuine same photo": [0.9, 0.9, 0.9, 0.9], "genuine other photo": [0.5, 0.7, 0.9, 0.7]}
    values["impostor"] = [0.0, 0.1, -0.1, 0.0]
    saved = Result(
        table="VI",
        dataset="lfw",
        key_mode=populations.SHARED,
        preset="tiny",
        method="floor",
        preset_sha256="0" * 64,
        data_sha256="1" * 64,
        weights={},
        seed=0,
        people=4,
        trials=1,
        dimension=8,
        command="python -m kfaar_core evaluate",
        thresholds=Thresholds(paper=0.7, dev=0.4, in_force="dev"),
        populations=tuple(Scores(name, np.array(found), people, failed=2) for name, found in values.items()),
        failures={"no face in a photo": 2},
    )
    save_result(folder / "r.json", saved)
    return folder / "r.json"


def test_scores_of_every_population(kfaar, result):
    found = {entry["name"]: entry for entry in json.loads(kfaar("scores", result, "--json").stdout)}
    assert set(found) == set(populations.names_for("VI"))
    other = found["genuine other photo"]
    assert (other["n"], other["failed"], other["largest"]) == (4, 2, 0.9)
    assert other["mean"] == pytest.approx(0.7) and other["sd"] == pytest.approx((0.08 / 3) ** 0.5)
    lines = kfaar("scores", result).stdout.splitlines()
    assert lines[0].split() == ["population", "n", "mean", "sd", "largest", "failed"]
    assert "0.700" in next(line for line in lines if "other" in line)


def test_a_report_has_a_table_for_each_result(kfaar, result):
    once = kfaar("report", result).stdout
    assert once.startswith("### Table VI") and "| AUC, another photo | 1.000 |" in once
    assert kfaar("report", result, result).stdout.count("### Table VI") == 2
    (table,) = json.loads(kfaar("report", result, "--json").stdout)
    assert table["number"] == "VI" and table["rows"]


def test_a_report_reads_tables_too(kfaar, refused, folder):
    rows = (Row("yaw", 1.5, 1.0, 2.0, 30, 2.0, "30 people"), Row("nothing", float("nan"), float("nan"), 1.0, 0))
    text = to_json(Table("IV", "Posture", "300 photos", rows))
    (folder / "t.json").write_text(text)
    printed = kfaar("report", "t.json").stdout
    assert "| yaw | 1.500 | 1.000 to 2.000 | 30 | 2.000 | 30 people |" in printed
    assert "| nothing | - | - to 1.000 | 0 | - |  |" in printed
    assert json.loads(kfaar("report", "t.json", "--json").stdout) == [json.loads(text)]
    (folder / "t.json").write_text(text.replace('"low"', '"lower"'))
    assert "lacks a part of a table" in refused("report", "t.json")


@pytest.mark.parametrize("command", ["scores", "report"])
def test_files_that_are_no_result(refused, result, folder, command):
    (folder / "text.json").write_text("no result")
    (folder / "other.json").write_text("{}")
    assert "no result file" in refused(command, "gone.json")
    assert "is not JSON" in refused(command, "text.json")
    assert "not a result" in refused(command, "other.json")
    (folder / "r.npz").write_bytes(b"altered")
    assert "r.npz is not the file" in refused(command, result).lower()


# ---- evaluate


def test_evaluate_hands_everything_to_the_runner(kfaar, folder, monkeypatch):
    asked = []

    def run(evaluation, out, progress):
        progress(3, 10)
        asked.append(evaluation)
        return out / "found.json"

    monkeypatch.setattr(runner, "run", run)
    words = ("evaluate", "--table", "VII", "--data", "people", "--limit", 7, "--own-key", "-o", "out")
    done = kfaar(*words, "--preset", "tiny", "--threads", 1, "--json")
    assert done.exit_code == 0 and json.loads(done.stdout) == {"table": "VII", "result": "out/found.json"}
    (found,) = asked
    assert found == runner.Evaluation(
        table="VII", data="people", preset=TINY, key_mode=populations.OWN, limit=7, threads=1
    )
    kfaar("evaluate", "--table", "VI", "-o", "out", "--shared-key")
    assert asked[1].data is None and asked[1].key_mode == populations.SHARED


def test_settings_that_evaluate_refuses(refused, folder, monkeypatch):
    monkeypatch.delenv("KFAAR_DATA", raising=False)
    (folder / "file").touch()
    words = ("evaluate", "--preset", "tiny", "-o")
    assert "is a file" in refused(*words, "file", "--table", "VI")
    assert "ablation" in refused(*words, "out", "--table", "IX")
    assert "--table is missing" in refused(*words, "out")
    assert "the value of --limit" in refused(*words, "out", "--table", "VI", "--limit", 0).lower()
    refused(*words, "out", "--table", "VI", "--data", "gone")
    assert not (folder / "out").exists()
