"""The printable page of a run, and of two runs side by side."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from kfaar_core.errors import DataMissing
from kfaar_core.metrics.verification import auc
from kfaar_core.records import Scores
from kfaar_core.report.page import differences, page, read_run
from kfaar_core.results import Result, Thresholds, save_result
from kfaar_core.scenarios import populations

PEOPLE = np.repeat(np.arange(30), 2)


def result(seed: int, shift: float = 0.0) -> Result:
    draw = np.random.default_rng(seed)
    values = {
        populations.genuine(populations.OTHER): draw.normal(0.5 + shift, 0.1, 60),
        populations.genuine(populations.SAME): draw.normal(0.7 + shift, 0.1, 60),
        populations.IMPOSTOR: draw.normal(0.3, 0.1, 60),
    }
    return Result(
        table="VI", dataset="lfw", key_mode="shared", preset="tiny", method="floor", preset_sha256="a" * 64,
        data_sha256="b" * 64, weights={"net": "c" * 64}, seed=0, people=30, trials=2, dimension=8,
        command="python -m kfaar_core evaluate --table VI", thresholds=Thresholds(0.7, 0.4, "dev"),
        populations=tuple(Scores(name, found.clip(-1, 1), PEOPLE) for name, found in values.items()),
    )  # fmt: skip


class Tags(HTMLParser):
    """Counts tags, and fails on one that is not closed."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def runs(tmp_path):
    for name, made in (("a", result(1)), ("b", result(1, shift=0.1))):
        save_result(tmp_path / f"{name}.json", made)
    return [read_run(tmp_path / f"{name}.json") for name in "ab"]


def test_a_page_has_protocol_table_figures_hashes_and_command_and_needs_no_network(runs):
    text = page(runs[:1])
    tags = Tags()
    tags.feed(text)
    assert tags.open == [] and tags.seen.count("figure") == 4
    for said in ("Impostor: y with x_v", "AUC, another photo", "a" * 64, "b" * 64, "c" * 64, "evaluate --table VI"):
        assert said in text
    assert text.count("window.Plotly") or "Plotly.newPlot" in text
    assert not re.search(r'<(script|link)[^>]+(src|href)="http', text)


def test_two_runs_stand_side_by_side_with_their_paired_differences(runs):
    text = page(runs[:1], runs[1:])
    assert "this run less the other" in text and "the other</th>" in text
    rows = {row.name: row for row in differences(runs[0].result, runs[1].result)}
    found = rows["AUC, other photo"]
    scores = [{s.name: s.values for s in run.result.populations} for run in runs]
    name = populations.genuine(populations.OTHER)
    areas = [auc(each[name], each[populations.IMPOSTOR]) for each in scores]
    assert found.value == pytest.approx(areas[0] - areas[1]) and found.high < 0 and "a difference" in found.note
    refused = [float((each[name] < 0.4).mean()) for each in scores]
    assert rows["FRR at the threshold in force, other photo"].value == pytest.approx(refused[0] - refused[1])
    far = rows["FAR at the threshold in force, other photo"]
    assert far.value == 0 and "no difference shown" in far.note  # the impostors are the same


def test_runs_of_other_trials_are_not_paired():
    first, second = result(1), result(2)
    cut = tuple(replace(s, values=s.values[1:], people=s.people[1:]) for s in second.populations)
    with pytest.raises(DataMissing, match="cannot be paired"):
        differences(first, replace(second, populations=cut))
