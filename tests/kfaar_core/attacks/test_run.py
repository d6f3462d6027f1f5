"""Registry, evidence of an evaluation, result files and the command."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from kfaar_core import attacks
from kfaar_core.__main__ import app
from kfaar_core.attacks import result as results
from kfaar_core.attacks.base import Aim, Figure
from kfaar_core.attacks.evidence import PARTS, gather, simulated
from kfaar_core.attacks.run import AttackRun
from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.evaluate.context import EvaluationConfig
from kfaar_core.key_schedule import rotation
from kfaar_core.presets import LAB, TINY
from kfaar_core.targets import Target


def test_every_attack_is_described_and_asks_for_parts_that_exist():
    every = attacks.every()
    assert [int(attack.code[1:]) for attack in every] == sorted(int(attack.code[1:]) for attack in every)
    for attack in every:
        assert attacks.get(attack.name) is attack and attack.order == int(attack.code[1:])
        assert attack.title and attack.holds and attack.learns and set(attack.needs) <= set(PARTS)


def test_an_unknown_attack():
    with pytest.raises(BadSetting):
        attacks.get("magic")


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFAAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        context = EvaluationConfig(TINY, "synthetic", limit=6).open()
        return context, gather(context, 4, ("again", "shared", "own", "gallery"))


def test_evidence_has_a_row_a_person_and_others_in_the_gallery(gathered):
    _, evidence = gathered
    assert evidence.people == 4 and evidence.left_out == 0 and len(evidence.gallery.u) == 2
    assert evidence.photos.u.shape == evidence.own.read.shape == (4, 8)
    assert np.linalg.norm(evidence.photos.u, axis=1) == pytest.approx(1)


def test_readings_are_the_codes_turned_back_by_the_right_keys(gathered):
    context, evidence = gathered
    key = context.key("shared 0")
    assert evidence.shared.read == pytest.approx(evidence.shared.code @ rotation(key, 8))
    assert not np.allclose(evidence.own.read, evidence.own.code @ rotation(key, 8))


def test_refinement_can_be_left_out():
    assert AttackRun(preset=LAB, refine=False).config().preset.descent.steps == 0
    assert AttackRun(preset=LAB).config().preset == LAB


def test_simulated_readings_have_the_cosine_and_the_keys_that_they_should(gathered):
    context, evidence = gathered
    made = simulated(context, 4, ("shared", "own", "gallery"), 0.8)
    assert made.photos.u == pytest.approx(evidence.photos.u) and made.gallery.u == pytest.approx(evidence.gallery.u)
    for part in (made.own, made.shared):
        assert (part.read * made.photos.u).sum(axis=1) == pytest.approx(0.8)
        assert np.linalg.norm(part.code, axis=1) == pytest.approx(1)
    assert made.shared.code @ rotation(context.key("shared 0"), 8) == pytest.approx(made.shared.read)
    with pytest.raises(BadSetting):
        simulated(context, 4, ("coarse",), 0.8)


# ---- results


def figure(series="s", at=None, value=0.2, low=0.1, high=0.3, chance=None):
    return Figure(series, at, value, low, high, 10, 5, chance)


def test_chance_is_met_where_the_interval_holds_it():
    aim = Aim("s")
    assert aim.met([figure(chance=0.15)]) is True
    assert aim.met([figure(chance=0.15), figure(at=2, chance=0.05)]) is False
    assert aim.met([figure("another", chance=0.15)]) is None
    bounded = Aim("s", 2, Target(at_most=0.3))
    assert bounded.met([figure(at=1, value=0.9), figure(at=2, value=0.3)]) is True


def test_a_result_reads_back_as_it_was_written_and_says_what_was_missed(evidence, tmp_path):
    attack = replace(
        attacks.get("guessing"), aims=(Aim("s", None, Target(at_most=0.1)), Aim("never measured")), says=lambda _: "So."
    )
    rows = [figure(), figure("nothing", 3, float("nan"), float("nan"), float("nan"))]
    made = results.result_of(attack, evidence(people=5), rows, "python -m kfaar_core attack guessing")
    path = results.save(made, tmp_path)
    (back,) = results.load_all(tmp_path)
    assert back.checks == (results.Check("s", None, "<= 0.1", False),)
    assert back.figures[0] == made.figures[0] and np.isnan(back.figures[1].value)
    assert replace(back, figures=()) == replace(made, figures=())
    text = path.with_suffix(".md").read_text()
    assert "So." in text and "**missed**" in text and "| s |  | 0.200 | 0.100 to 0.300 | 10 | 5 | - |  |" in text


def test_what_is_no_result(tmp_path, evidence):
    path = tmp_path / "a1-x.json"
    made = results.result_of(attacks.get("guessing"), evidence(people=5), [figure()], "")
    whole = results.save(made, tmp_path / "whole").read_text()
    altered = (
        whole.replace('"people": 5', '"people": "5"'),
        whole.replace('"n": 10', '"n": null'),
        whole.replace('"at": null', f'"at": {10**400}', 1),
    )
    assert whole not in altered
    for text in ("{", '{"schema": "kfaar-table", "version": 1}', "[]", "[" * 100_000, *altered):
        path.write_text(text)
        with pytest.raises(DataMissing):
            results.load(path)


# ---- the command


def test_the_command_writes_a_result_for_people_who_do_not_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("KFAAR_CACHE", str(tmp_path / "cache"))
    words = [
        "attack",
        "linkage",
        "--preset",
        "tiny",
        "--data",
        "synthetic",
        "--limit",
        "4",
        "-o",
        str(tmp_path / "out"),
    ]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    (found,) = results.load_all(tmp_path / "out")
    assert (found.attack, found.people, found.method) == ("linkage", 4, "floor")


def test_the_list_says_what_everybody_holds():
    ran = CliRunner().invoke(app, ["attack", "list"])
    assert ran.exit_code == 0 and all(attack.holds in ran.output for attack in attacks.every())


def test_a_run_without_a_folder_is_refused():
    assert CliRunner().invoke(app, ["attack", "linkage"]).exit_code != 0
