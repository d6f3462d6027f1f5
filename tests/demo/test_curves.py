"""The tab ROC and thresholds on score files that were written here."""

from __future__ import annotations

import re

import gradio as gr
import numpy as np
import pytest

from demo import visitor, words
from demo.tabs import curves
from demo.visitor import Visitor
from kfaar_core.errors import DataMissing
from kfaar_core.evaluate.results import Result, Thresholds, save_result
from kfaar_core.records import Scores
from kfaar_core.scenarios import populations

HASH = "0" * 64


def result(table: str, names: dict[str, np.ndarray], people: int) -> Result:
    scores = tuple(Scores(name, values, np.arange(len(values)) % people) for name, values in names.items())
    thresholds = Thresholds(paper=0.7, dev=0.4, in_force="dev")
    return Result(
        table, "lfw", "shared", "lab", HASH, HASH, {"floor": HASH}, 0, people, 2, 32, "python -m kfaar_core evaluate",
        thresholds, scores,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, rng):
    genuine, impostor = rng.normal(0.6, 0.1, 60).clip(-1, 1), rng.normal(0, 0.15, 60).clip(-1, 1)
    six = {populations.genuine(photo): genuine for photo in populations.PHOTOS} | {populations.IMPOSTOR: impostor}
    save_result(tmp_path / "vi.json", result("VI", six, 20))
    seven = {
        populations.scenario(n, photo): impostor if n < 4 else genuine for n in (1, 2, 3, 4) for photo in ("same",)
    }
    save_result(tmp_path / "vii.json", result("VII", seven, 20))
    (tmp_path / "broken.json").write_text("{}")
    return tmp_path


def test_files_of_one_evaluation_stand_together_and_broken_ones_are_left_out(folder):
    groups = curves.load_all(folder)
    assert list(groups) == [("lfw", "lab", "shared")] and len(groups["lfw", "lab", "shared"].results) == 2


def test_a_choice_fills_every_figure_and_table(folder, rng):
    groups = curves.load_all(folder)
    out = curves.on_choice("lfw", "lab", "shared", "same", 0.3, Visitor(), groups=groups)
    source, figures, counts, *rest = out
    drawn, tables = rest[:4], rest[4:]
    assert "20 people" in source and HASH[:12] in source
    assert all(plot["visible"] for plot in drawn) and all("<table>" in table for table in tables)
    group = groups["lfw", "lab", "shared"]
    accepted = int((group.scores(populations.IMPOSTOR).values >= 0.3).sum())
    assert re.findall(r'class="number">(\d+)<', counts)[2:] == [str(accepted), str(60 - accepted)]
    assert "AUC" in figures and "TAR at FAR 0.1 %" in figures and "TAR at FAR 1 %" in figures
    assert len(drawn[2]["value"].data) == 5  # four scenarios and impostors


def test_a_choice_that_was_not_measured(folder):
    out = curves.on_choice("lfw", "lab", "own", "same", 0.3, Visitor(), groups=curves.load_all(folder))
    assert out[0] == words.NO_SUCH_SCORES and len(out) == 11


def test_without_files_the_tab_says_how_to_make_one(tmp_path, core):
    groups = curves.load_all(tmp_path)
    out = curves.on_choice(None, None, "shared", "other", 0.3, Visitor(), groups=groups)
    assert "python -m kfaar_core evaluate" in out[0] and len(out) == 11
    with gr.Blocks() as page:
        curves.build(page, core, visitor.state(), groups)


def test_own_photos_are_measured_for_this_visitor_only(folder, core, rng):
    groups = curves.load_all(folder)
    with pytest.raises(DataMissing, match="no zip"):
        curves.on_own(None, 8, Visitor(), lambda *_, **__: None, core=core, groups=groups)
    steps = []
    said, menu, mine = curves.on_own(
        str(folder / "mine.zip"), 8, Visitor(), lambda at, **_: steps.append(at), core=core, groups=groups
    )
    assert "8 people" in said and menu["value"] == "yours" and steps == [(0, 8)]
    choice = ("yours", "lab", "shared", "same", 0.3)
    assert "8 people" in curves.on_choice(*choice, mine, groups=groups)[0]
    assert curves.on_choice(*choice, Visitor(), groups=groups)[0] == words.NO_SUCH_SCORES
