"""The tab Attacks: what it says of committed results, its menus, and a run."""

from __future__ import annotations

import pytest

from demo.tabs import attacks as tab
from demo.visitor import Stopped, Visitor
from tests.demo.stand_in import StandInCore, attacked

RESULTS = (attacked("known-pairs", "hashed"), attacked("known-pairs", "floor"), attacked("linkage", "hashed"))


class Bar:
    """A gr.Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def __call__(self, done: tuple[int, int], desc: str = "") -> None:
        self.told.append(done)


def test_the_weakest_point_stands_at_the_top_with_what_was_measured():
    said = tab.weakest(RESULTS)
    assert "weakest point" in said and "a key that many people share" in said and "Words about known-pairs." in said
    assert "Words" not in tab.weakest(())


def test_the_table_has_a_line_for_every_attack_and_says_what_was_missed():
    table = tab.who_table(RESULTS)
    assert table.count("<tr>") == len(tab.attacks.every()) + 1
    assert "Words about linkage." in table and "1 of 1 missed" in table and "A13" in table


def test_an_attack_offers_what_was_measured_of_it():
    offered = tab.on_attack("known-pairs", results=RESULTS)
    assert len(offered.made["choices"]) == 2 and "hashed" in offered.made["value"]
    assert offered.kinds["choices"] == ["rank-1"] and not offered.kinds["visible"]
    assert "Words about known-pairs." in offered.shown.said
    curves = offered.shown.plot["value"].data
    assert [curve.name for curve in curves] == ["one key for all", "a key each", "guessing"]
    assert list(curves[0].y) == [pytest.approx(0.9 / 8), 0.9] and list(curves[2].y) == [0.02, 0.02]
    assert "a single figure" in offered.shown.table and "0.200 to 0.300" in offered.shown.table
    assert "1 left out" in offered.shown.provenance


def test_another_method_shows_its_own_result_and_an_attack_without_results_says_how_to_run_it():
    other = tab.on_choice("known-pairs", tab.made_of(RESULTS[1]), "rank-1", results=RESULTS)
    assert "floor" in tab.made_of(RESULTS[1]) and other.plot["visible"]
    none = tab.on_attack("guessing", results=RESULTS)
    assert "python -m kfaar_core attack" in none.shown.said and not none.shown.plot["visible"]


def test_a_run_reports_its_steps_and_shows_its_result():
    bar = Bar()
    shown = tab.on_run(tab.Live("linkage", 12, "floor"), Visitor(), None, bar, core=StandInCore())
    assert bar.told == [(done, 12) for done in range(12)]
    assert "Words about linkage." in shown.said and "12 people" in shown.provenance


def test_a_run_stops_when_the_visitor_asks():
    visitor = Visitor()

    class Stopping(Bar):
        def __call__(self, done: tuple[int, int], desc: str = "") -> None:
            super().__call__(done, desc)
            if len(self.told) == 3:
                visitor.stop.ask()

    bar = Stopping()
    with pytest.raises(Stopped):
        tab.on_run(tab.Live("linkage", 12, "floor"), visitor, None, bar, core=StandInCore())
    assert len(bar.told) == 3
