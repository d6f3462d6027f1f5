from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kfaar_core import results
from kfaar_core.errors import BadOutput, BadSetting, DataMissing
from kfaar_core.records import Scores

RESULT = results.Result(
    table="VI",
    dataset="lfw",
    key_mode="shared",
    preset="tiny",
    method="floor",
    preset_sha256="1" * 64,
    data_sha256="2" * 64,
    weights={"judge": "3" * 64},
    seed=5,
    people=3,
    trials=8,
    dimension=32,
    command="evaluate --table VI",
    thresholds=results.Thresholds(0.7, 0.3125, "paper", {"FMR 1 %": 0.41}),
    populations=(
        Scores("impostor", np.array([0.1, 1 / 3, -0.25]), np.array([0, 1, 2]), failed=2),
        Scores("genuine same photo", np.array([0.9]), np.array([2])),
    ),
    failures={"no face": 2},
)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "table.json"
    results.save_result(path, RESULT)
    return path


def test_a_result_comes_back_as_it_was(saved):
    found = results.load_result(saved)
    assert replace(found, populations=()) == replace(RESULT, populations=())
    for ours, theirs in zip(RESULT.populations, found.populations, strict=True):
        assert (ours.name, ours.failed) == (theirs.name, theirs.failed)
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.people, theirs.people)


def test_the_json_tells_n_and_failures(saved):
    record = json.loads(saved.read_text())
    assert record["populations"][0] == {"name": "impostor", "n": 3, "failed": 2}
    assert (record["schema"], record["version"]) == ("kfaar-result", 1)


def test_loaded_scores_are_read_only(saved):
    with pytest.raises(ValueError, match="read-only"):
        results.load_result(saved).populations[0].values[0] = 1


def test_a_population_is_found_by_name():
    assert RESULT.population("impostor").failed == 2
    with pytest.raises(DataMissing, match="scenario 9"):
        RESULT.population("scenario 9")


def test_nothing_is_overwritten_without_force(saved):
    before = saved.read_bytes()
    with pytest.raises(BadOutput):
        results.save_result(saved, replace(RESULT, seed=6))
    assert saved.read_bytes() == before
    results.save_result(saved, replace(RESULT, seed=6), force=True)
    assert results.load_result(saved).seed == 6
    assert sorted(path.name for path in saved.parent.iterdir()) == ["table.json", "table.npz"]


def scores(values, people, failed=0):
    return Scores("odd", np.array(values), np.array(people), failed)


@pytest.mark.parametrize(
    "odd",
    [
        scores([0.1, np.nan], [0, 1]),
        scores([1.2], [0]),
        scores([0.1], [3]),
        scores([0.1], [-1]),
        scores([0.1], [0.0]),
        scores([0.1], ["Ada_Blue"]),
        scores([0.1, 0.2], [0]),
        scores([0.1], [0], failed=-1),
    ],
)
def test_odd_scores_are_not_written(tmp_path, odd):
    with pytest.raises(DataMissing):
        results.save_result(tmp_path / "a.json", replace(RESULT, populations=(odd,)))
    assert not list(tmp_path.iterdir())


def test_an_empty_population_is_kept(tmp_path):
    empty = Scores("all failed", np.array([]), np.array([], dtype=int), failed=4)
    results.save_result(tmp_path / "a.json", replace(RESULT, populations=(empty,)))
    assert results.load_result(tmp_path / "a.json").populations[0].failed == 4


@pytest.mark.parametrize(
    "change",
    [
        {"key_mode": "both"},
        {"data_sha256": "short"},
        {"weights": {"judge": "no hash"}},
    ],
)
def test_odd_settings_are_not_written(tmp_path, change):
    with pytest.raises(BadSetting):
        results.save_result(tmp_path / "a.json", replace(RESULT, **change))
    with pytest.raises(BadSetting):
        results.save_result(tmp_path / "a.txt", RESULT)


def test_two_populations_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataMissing):
        results.save_result(tmp_path / "a.json", replace(RESULT, populations=RESULT.populations[:1] * 2))


def test_the_threshold_in_force_is_one_of_two():
    with pytest.raises(BadSetting):
        results.Thresholds(0.7, 0.3, "mine")


def edit(**changes):
    def change(path):
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def drop_weights(path):
    record = json.loads(path.read_text())
    del record["weights"]
    path.write_text(json.dumps(record))


def infinite_failures(count):
    return lambda path: path.write_text(path.read_text().replace('"failed": 0', f'"failed": {count}'))


DAMAGE = {
    "no file": (lambda path: path.unlink(), "no result file"),
    "no JSON": (lambda path: path.write_text("{"), "not JSON"),
    "not UTF-8": (lambda path: path.write_bytes(b"\xff\xfe"), "not JSON"),
    "a list": (lambda path: path.write_text("[]"), "not a result"),
    "another schema": (edit(schema="other"), "not a result"),
    "a later version": (edit(version=2), "version 2"),
    "no scores": (lambda path: path.with_suffix(".npz").unlink(), "missing"),
    "other scores": (lambda path: path.with_suffix(".npz").write_bytes(b"other"), "not the file"),
    "a field missing": (drop_weights, "weights"),
    "a field of another kind": (edit(seed="5"), "int expected"),
    "a truth value for a number": (edit(people=True), "int expected"),
    "weights of another kind": (edit(weights=[1]), "lacks a field"),
    "another key mode": (edit(key_mode="both"), "key mode"),
    "thresholds of another kind": (edit(thresholds=3), "lacks a field"),
    "a threshold that is text": (
        edit(thresholds={"paper": 0.7, "dev": "0.3", "in_force": "dev"}),
        "dev: float expected",
    ),
    "a judge that is no number": (
        edit(thresholds={"paper": 0.7, "dev": 1, "in_force": "dev", "judge": {"FMR 1 %": None}}),
        "float expected",
    ),
    "brackets without end": (lambda path: path.write_text("[" * 100_000), "not JSON"),
    "a threshold beyond all numbers": (
        edit(thresholds={"paper": 10**400, "dev": 1, "in_force": "dev"}),
        "lacks a field",
    ),
    "more failures than a float counts": (infinite_failures(10**400), "failed"),
    "endlessly many failures": (infinite_failures("1e999"), "lacks a field"),
    "fewer people": (edit(people=1), "people"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_result_says_how_to_mend(saved, case):
    harm, words = DAMAGE[case]
    harm(saved)
    with pytest.raises(DataMissing, match="(?i)" + words) as caught:
        results.load_result(saved)
    assert caught.value.mend
    assert str(saved.parent) not in str(caught.value)


def test_pickles_are_not_read(saved):
    import hashlib

    np.savez(saved.with_suffix(".npz"), values_0=np.array([{}], dtype=object), allow_pickle=True)
    edit(scores_sha256=hashlib.sha256(saved.with_suffix(".npz").read_bytes()).hexdigest())(saved)
    with pytest.raises(DataMissing, match="no plain arrays"):
        results.load_result(saved)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["evaluate", "--data", "/data/faces/lfw.parquet"], "evaluate --data lfw.parquet"),
        (["evaluate", "--data=~/faces/lfw.parquet"], "evaluate --data=lfw.parquet"),
        (["evaluate", "--data", "owner/faces", "-o", "../out"], "evaluate --data owner/faces -o out"),
        (["scenarios", "--key", "00ff", "--wrong-key=11ee", "--json"], "scenarios --key *** --wrong-key=*** --json"),
        (["evaluate", "--shared-key", "--limit", "5"], "evaluate --shared-key --limit 5"),
        (["evaluate", "--own-key", "-o", "out"], "evaluate --own-key -o out"),
    ],
)
def test_a_command_holds_no_folder_and_no_key(arguments, expected):
    assert results.safe_command(arguments) == expected
