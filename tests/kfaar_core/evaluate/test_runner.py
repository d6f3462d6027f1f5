from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kfaar_core import methods
from kfaar_core.calibration import FAR_MAX
from kfaar_core.errors import BadKey, BadSetting, DataMissing
from kfaar_core.evaluate import keys, looks, random_faces, runner
from kfaar_core.evaluate.authentication import authentication
from kfaar_core.evaluate.calibrate import calibrated, strangers
from kfaar_core.evaluate.context import EvaluationContext, Virtual
from kfaar_core.metrics.random_direction import reached
from kfaar_core.presets import TINY
from kfaar_core.results import load_result
from kfaar_core.scenarios import populations
from kfaar_core.servers import AnonymisationServer


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What one test has looked at need not be made for another; nothing here changes what is seen."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("KFAAR_CACHE", str(cache))

    def run(table, preset=TINY, method=None, key_bits=None, precision=None, **others):
        chosen = runner.settings(preset, method, key_bits, precision)
        asked = {"data": "synthetic", "preset": chosen, "limit": 4, "repetitions": 2, **others}
        return runner.run(runner.Evaluation(table=table, **asked), tmp_path / "out")

    return run


def test_a_second_run_makes_no_face_and_finds_the_same(run, monkeypatch):
    path = run("VI")
    assert path.name == "tiny-floor-synthetic-vi-shared.json"
    first = load_result(path)
    assert (first.people, first.trials, first.dataset, first.dimension) == (4, 2, "synthetic", 8)
    assert len(first.population(populations.IMPOSTOR).values) == 8
    monkeypatch.setattr(AnonymisationServer, "anonymise", None)
    again = load_result(run("VI"))
    for one, two in zip(first.populations, again.populations, strict=True):
        np.testing.assert_array_equal(one.values, two.values)


def test_strangers_are_scored_as_the_person_is(run):
    """As many trials as the person has; in scenario 1, which has one trial, one a person."""
    found = load_result(run("VII"))
    for number, trials in ((1, 1), (2, 2), (3, 2)):
        person, stranger = (found.population(populations.scenario(number, photo)) for photo in ("same", "stranger"))
        np.testing.assert_array_equal(stranger.people, person.people)
        assert len(stranger.values) == 4 * trials and not np.isin(stranger.values, person.values).any()


def test_keys_of_another_length_have_a_folder_of_their_own(run):
    path = run("VI", key_bits=8, key_mode=populations.OWN)
    assert (path.parent.name, path.name) == ("8-bit", "tiny-floor-synthetic-vi-own.json")
    assert run("VI", key_bits=256).parent.name == "out"
    with pytest.raises(BadKey, match="12 bits"):
        run("VI", key_bits=12)


def test_another_precision_is_another_preset(run):
    stored, given = (load_result(run("VI", precision=name)).preset_sha256 for name in (None, "f32"))
    assert stored != given == load_result(run("VI", preset=replace(TINY, precision="f32"))).preset_sha256
    with pytest.raises(BadSetting, match=r"'f16'.*bf16, f32"):
        run("VI", precision="f16")


@pytest.mark.parametrize("table", [name for name in runner.ROWS if name not in ("posture", *runner.ON_DEV)])
def test_tables_of_rows(run, monkeypatch, table):
    monkeypatch.setattr(random_faces, "FACES", 4)
    monkeypatch.setattr(keys, "KEYS", 50)
    monkeypatch.setattr(looks, "KEYS", 20)
    path = run(table)
    written = json.loads(path.read_text())
    assert written["rows"] and path.with_suffix(".md").is_file()
    assert all(row["n"] > 0 for row in written["rows"])


def test_what_is_refused(run):
    with pytest.raises(BadSetting, match="'IX'"):
        run("IX")
    with pytest.raises(BadSetting, match="key mode"):
        run("VI", key_mode="none")
    with pytest.raises(DataMissing, match="part dev"):
        run("thresholds")


def test_kvfas_threshold_keeps_the_false_acceptances_of_dev_people(context, people):
    found = calibrated(context, people, people, 4, "evaluate")
    everyone = strangers(context, people, 4)
    photos = sum(len(person.photos) for person in people)
    assert len(everyone) == 4 * sum(photos - len(person.photos) for person in people)
    assert np.mean(everyone >= found.kvfa_dev) <= FAR_MAX and f"n {len(everyone)}" in found.made_by["rule"]
    scores, _ = authentication(context, people, populations.SHARED, 4, populations.names_for("VI"))
    drawn = {entry.name: entry.values for entry in scores}[populations.IMPOSTOR]
    assert np.isin(drawn.round(9), everyone.round(9)).all()  # the tables' impostors are some of them
    assert found.judge_fmr_1 <= found.judge_fmr_01
    assert found.made_by["command"] == "evaluate" and "0.5%" in found.made_by["rule"]


def test_the_threshold_of_hashed_is_never_below_what_random_keys_reach(context, people):
    hashed = methods.get("hashed")
    bounded = replace(context, stages=replace(context.stages, method=hashed))
    free, held = (calibrated(each, people, people, 4, "evaluate") for each in (context, bounded))
    law = reached(hashed.random_key_max, context.stages.identifier.dimension)
    assert held.kvfa_dev == max(free.kvfa_dev, law) and "random keys" in held.made_by["rule"]
    assert "random keys" not in free.made_by["rule"]


def test_a_face_that_is_not_found_counts_as_failed(context, people):
    class Blind(EvaluationContext):
        def ask(self, request):
            return {} if isinstance(request, Virtual) else super().ask(request)

    blind = Blind(**vars(context))
    scores, failures = authentication(blind, people, populations.OWN, 8, populations.names_for("VI"))
    assert failures["no face in the virtual picture"] == len(people)
    assert [(len(entry.values), entry.failed) for entry in scores] == [(0, len(people))] * 3


def test_scenario_1_can_be_of_fewer_people_and_all_else_stays(context, people):
    names = populations.names_for("VII")
    whole, some = (
        {entry.name: entry for entry in authentication(context, people, populations.SHARED, 2, names, twice)[0]}
        for twice in (None, 2)
    )
    for name, entry in whole.items():
        first = name.startswith("scenario 1")
        kept = np.isin(entry.people, [person.number for person in people[:2]]) if first else slice(None)
        np.testing.assert_array_equal(some[name].values, entry.values[kept])
        assert (len(some[name].values) < len(entry.values)) == first and some[name].failed == 0


@pytest.mark.parametrize("name", ["hashed", "bits"])
def test_the_trained_methods_are_measured_alike(run, monkeypatch, name):
    monkeypatch.setattr(keys, "KEYS", 50)
    result = load_result(run("VI", method=name, limit=2))
    assert result.population(populations.genuine(populations.OTHER)).failed == 0
    text = run("keys", method=name, limit=2).with_suffix(".md").read_text()
    assert ("a random direction" in text) == (name == "hashed")  # `bits` promises no law
    with pytest.raises(BadKey, match="64 bits"):
        run("VI", method="bits", key_bits=64, limit=2)
