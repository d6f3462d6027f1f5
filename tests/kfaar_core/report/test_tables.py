from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.records import Row, Scores
from kfaar_core.report import tables
from kfaar_core.results import Result, Thresholds
from kfaar_core.scenarios import populations

THRESHOLDS = Thresholds(paper=0.7, dev=0.3, in_force="paper", judge={"FMR 1 %": 0.4, "FMR 0.1 %": 0.5})
PEOPLE = np.repeat(np.arange(25), 2)  # two trials each


def settings(dataset):
    return tables.TableSettings(thresholds=THRESHOLDS, dataset=dataset, dimension=32)


def scores(name, values, failed=0):
    return Scores(name, np.asarray(values, dtype=float), PEOPLE[: len(values)], failed)


def half(high, low):
    """Alternating by person."""
    return np.where(PEOPLE % 2 == 0, high, low)


@pytest.fixture
def six():
    found = (
        scores("genuine other photo", half(0.7, 0.5)),
        scores("genuine same photo", np.full(50, 0.9)),
        scores("impostor", half(0.1, 0.4), failed=10),
    )
    return {population.name: population for population in found}


@pytest.fixture
def seven(six):
    drawn = np.random.default_rng(0).normal(size=(50, 32))
    wrong = drawn[:, 0] / np.linalg.norm(drawn, axis=1)
    found = dict(six)
    for photo in ("same", "other"):
        for number, values in ((1, half(0.4, 0.1)), (2, np.full(50, 0.02)), (3, wrong)):
            name = populations.scenario(number, photo)
            found[name] = scores(name, values)
    return found


def by_name(rows):
    return {row.name: row for row in rows}


def result(table, named):
    return Result(
        table=table,
        dataset="lfw",
        key_mode="own",
        preset="tiny",
        method="floor",
        preset_sha256="0" * 64,
        data_sha256="0" * 64,
        weights={},
        seed=0,
        people=25,
        trials=2,
        dimension=32,
        command="",
        thresholds=THRESHOLDS,
        populations=tuple(named.values()),
        failures={"no face": 10},
    )


def test_table_vi_by_hand(six):
    rows = by_name(tables.table_vi(six, settings("lfw")))
    paper, dev = "another photo, threshold 0.700 (paper, in force)", "another photo, threshold 0.300 (dev)"
    even = 26 / 50  # 13 of 25 people
    assert rows[f"FRR, {paper}"].value == pytest.approx(1 - even)
    assert rows[f"FAR, {paper}"].value == 0
    assert rows[f"CRR, {paper}"].value == pytest.approx((26 + 50) / 100)
    assert rows[f"FAR, {dev}"].value == pytest.approx(1 - even)
    assert rows[f"CRR, {dev}"].value == pytest.approx((50 + 26) / 100)
    assert rows["AUC, another photo"].value == 1.0
    assert rows["EER, same photo"].value == 0.0


def test_the_papers_figures_stand_beside(six):
    rows = by_name(tables.table_vi(six, settings("celeba")))
    assert rows["AUC, same photo"].paper == 0.989
    assert rows["CRR, same photo, threshold 0.300 (dev)"].paper == 0.956
    assert rows["EER, same photo"].paper is None
    assert all(row.paper is None for row in tables.table_vi(six, settings("mine")))


def test_no_error_reads_as_at_most_three_in_n(six):
    rows = by_name(tables.table_vi(six, settings("lfw")))
    far = rows["FAR, same photo, threshold 0.700 (paper, in force)"]
    assert "0 of 50: <= 3/25" in far.note
    assert far.high == pytest.approx(3 / 25)


def test_failures_are_shown_and_count_as_wrong(six):
    row = by_name(tables.table_vi(six, settings("lfw")))["CRR, same photo, threshold 0.700 (paper, in force)"]
    assert (row.value, row.n) == (1.0, 100)
    assert "10 of 110 trials failed; CRR 0.909 when they count as wrong" in row.note


def test_another_photo_leads(six, seven):
    for rows in (
        tables.table_vi(six, settings("lfw")),
        tables.table_vii(seven, settings("lfw")),
    ):
        assert "another photo" in rows[0].name


def test_table_vii_by_hand(seven):
    rows = by_name(tables.table_vii(seven, settings("lfw")))
    first = "Scenario 1 (right key, no KVFA), another photo"
    assert rows[f"{first}: cosine"].value == pytest.approx((13 * 0.4 + 12 * 0.1) / 25)
    assert rows[f"{first}: cosine"].paper == 0.498
    # A score at the threshold is accepted; scenario 1 has the recogniser's own thresholds, the others have KVFA's.
    assert rows[f"{first}: accepted, FMR 1 % (0.400)"].value == pytest.approx(13 / 25)
    assert rows[f"{first}: accepted, FMR 0.1 % (0.500)"].value == 0
    assert not any(name.startswith(first) and "dev" in name for name in rows)
    last = "Scenario 4 (KVFA, right key), same photo"
    assert rows[f"{last}: cosine"].value == pytest.approx(0.9)
    assert rows[f"{last}: accepted, threshold 0.700 (paper, in force)"].value == 1
    assert "50 of 50: misses <= 3/25" in rows[f"{last}: accepted, threshold 0.700 (paper, in force)"].note


def test_strangers_tell_how_much_a_scenario_gives_away(seven):
    """Half of the people score above every stranger, the others below all of them; a file may lack strangers."""
    names = [row.name for row in tables.table_vii(seven, settings("lfw"))]
    assert not any("strangers" in name for name in names)
    strangers = scores("scenario 1 stranger", np.full(50, 0.2), failed=3)
    rows = by_name(tables.table_vii(seven | {strangers.name: strangers}, settings("lfw")))
    found = rows.pop("Scenario 1 (right key, no KVFA), same photo: AUC against strangers")
    assert found.value == pytest.approx(13 / 25) and found.n == 100 and "3 of 103 trials failed" in found.note
    assert [name for name in rows if "strangers" not in name] == names


def test_wrong_keys_are_held_against_the_law_of_random_directions(seven):
    rows = by_name(tables.table_vii(seven, settings("lfw")))
    note = rows["Scenario 3 (KVFA, wrong key), same photo: cosine"].note
    assert "a random direction in 32 dimensions has 0.177" in note


def test_every_row_lies_in_its_interval(seven):
    for row in tables.table_vii(seven, settings("lfw")):
        assert row.low - 1e-12 <= row.value <= row.high + 1e-12
        assert row.n == 50


def test_tables_repeat_and_do_not_depend_on_the_order_of_populations(seven):
    turned = dict(reversed(seven.items()))
    for number in ("VI", "VII"):
        assert tables.table_of(result(number, seven)) == tables.table_of(result(number, turned))


@pytest.mark.parametrize("table", ["VI", "VII"])
def test_a_missing_or_empty_population_is_an_error(seven, table):
    for name in populations.names_for(table):
        less = {key: value for key, value in seven.items() if key != name}
        with pytest.raises(DataMissing, match=name):
            tables.table_of(result(table, less))
        with pytest.raises(DataMissing, match="All 7 trials"):
            tables.table_of(result(table, less | {name: scores(name, [], failed=7)}))


def test_an_unknown_table_is_an_error(six):
    with pytest.raises(BadSetting):
        tables.table_of(result("V", six))


def test_markdown(six):
    text = tables.to_markdown(tables.table_of(result("VI", six)))
    lines = text.splitlines()
    assert lines[0] == "### Table VI: The recognition accuracy of KVFA"
    assert "a key a person" in lines[2] and "failures: 10 x no face" in lines[2]
    body = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in body} == {7}
    assert "| AUC, same photo | 1.000 | 1.000 to 1.000 | 100 | 0.984 | 25 people; 10 of 110 trials failed |" in lines


def test_json(seven):
    table = tables.table_of(result("VII", seven))
    record = json.loads(tables.to_json(table))
    assert (record["schema"], record["number"]) == ("kfaar-table", "VII")
    assert [Row(**row) for row in record["rows"]] == list(table.rows)


def test_a_figure_that_does_not_exist_is_null_and_a_dash(six):
    table = tables.table_of(result("VI", six))
    broken = replace(table, rows=(replace(table.rows[0], low=float("nan")),))
    assert json.loads(tables.to_json(broken))["rows"][0]["low"] is None
    assert " | - to " in tables.to_markdown(broken)
