"""The tab ROC and thresholds on score files that were written here."""

from __future__ import annotations

import re
import shutil
import zipfile
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from demo import visitor
from demo.tabs import curves
from demo.visitor import Place, Stopped, Visitor, ask_to_stop
from kfaar_core.errors import DataMissing
from kfaar_core.records import Scores
from kfaar_core.results import Result, Thresholds, save_result
from kfaar_core.scenarios import populations

HASH = "0" * 64


def result(table: str, names: dict[str, np.ndarray], people: int) -> Result:
    scores = tuple(Scores(name, values, np.arange(len(values)) % people) for name, values in names.items())
    thresholds = Thresholds(paper=0.7, dev=0.4, in_force="dev")
    return Result(
        table, "lfw", "shared", "lab", "floor", HASH, HASH, {"floor": HASH}, 0, people, 2, 32,
        "python -m kfaar_core evaluate", thresholds, scores,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, rng):
    genuine, impostor = rng.normal(0.6, 0.1, 60).clip(-1, 1), rng.normal(0, 0.15, 60).clip(-1, 1)
    six = {populations.genuine(photo): genuine for photo in populations.PHOTOS} | {populations.IMPOSTOR: impostor}
    save_result(tmp_path / "lab-floor-lfw-vi-shared.json", result("VI", six, 20))
    seven = {
        populations.scenario(n, photo): impostor if n < 4 else genuine for n in (1, 2, 3, 4) for photo in ("same",)
    }
    save_result(tmp_path / "lab-floor-lfw-vii-shared.json", result("VII", seven, 20))
    same = {populations.genuine(populations.SAME): genuine, populations.IMPOSTOR: impostor}
    own = replace(result("VI", same, 20), key_mode="own")
    save_result(tmp_path / "lab-hashed-lfw-vi-own.json", own)
    save_result(tmp_path / "lab-floor-celeba-vi-own.json", replace(own, dataset="celeba"))
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "broken.npz").write_bytes(b"")
    (tmp_path / "lab-floor-lfw-posture-shared.json").write_text("{}")  # a table without scores
    return tmp_path


SHARED = Place("lfw", "lab-floor", "shared")


def choose(groups, *asked, visitor=Visitor(), threshold=0.3):  # noqa: B008 - it is frozen
    """(the four menus, what is shown)."""
    out = curves.on_choice(curves.Choice(*asked), threshold, visitor, groups=groups)
    return tuple(vars(out.menus).values()), out.figures


def offers(menu):
    """What a menu has, and what it says."""
    return [value for _, value in menu["choices"]], menu["value"]


def test_files_of_one_evaluation_stand_together_and_broken_ones_are_left_out(folder, caplog):
    groups = curves.load_all(folder)
    assert len(groups) == 3 and len(groups[SHARED].results) == 2
    assert [record.args[0] for record in caplog.records] == ["broken"]


def test_a_choice_fills_every_figure_and_table(folder, rng):
    groups = curves.load_all(folder)
    _, shown = choose(groups, "lfw", "lab-floor", "shared", "same")
    drawn, tables = zip(
        *((getattr(shown, name), getattr(shown, f"{name}_table")) for name in curves.FIGURES), strict=True
    )
    figures, counts = shown.summary, shown.counts
    assert "20 people" in shown.source and "**LFW**" in shown.source and "lab, floor" in shown.source
    assert HASH[:12] in shown.provenance and HASH[:12] not in shown.source  # folded away
    assert all(plot["visible"] for plot in drawn) and all("<table>" in table for table in tables)
    accepted = int((groups[SHARED].scores(populations.IMPOSTOR).values >= 0.3).sum())
    assert re.findall(r'class="number"[^>]*>(\d+)<', counts)[2:] == [str(accepted), str(60 - accepted)]
    assert "AUC" in figures and "TAR at FAR 0.1 %" in figures and "TAR at FAR 1 %" in figures
    assert len(drawn[2]["value"].data) == 5  # four scenarios and impostors


def test_a_menu_offers_only_what_exists(folder):
    groups = curves.load_all(folder)
    (data, forms, keys, photos), _ = choose(groups, "lfw", "lab-floor", "shared", "same")
    assert offers(data) == (["celeba", "lfw"], "lfw")
    assert offers(forms) == (["lab-floor", "lab-hashed"], "lab-floor")
    assert offers(keys) == (["shared"], "shared") and offers(photos) == (["other", "same"], "same")
    (_, forms, keys, photos), shown = choose(groups, "lfw", "lab-hashed", "shared", "other")
    assert offers(forms)[1] == "lab-hashed" and offers(keys) == (["own"], "own")
    assert offers(photos) == (["same"], "same") and "lab, hashed" in shown.source  # the nearest that exists
    (data, forms, *_), shown = choose(groups, "celeba", "lab-hashed", "shared", "same")
    assert offers(data)[1] == "celeba" and offers(forms) == (["lab-floor"], "lab-floor") and "CelebA" in shown.source


def test_other_key_lengths_are_forms_of_their_own(folder):
    for name in ("128-bit", "8-bit"):
        (folder / name).mkdir()
        for suffix in (".json", ".npz"):
            shutil.copy(folder / f"lab-hashed-lfw-vi-own{suffix}", folder / name / f"lab-bits-lfw-vi-own{suffix}")
    shutil.copy(folder / "8-bit" / "lab-bits-lfw-vi-own.json", folder)
    shutil.copy(folder / "8-bit" / "lab-bits-lfw-vi-own.npz", folder)
    (_, forms, *_), shown = choose(curves.load_all(folder), "lfw", "lab-bits-8", "own", "same")
    assert offers(forms)[0] == ["lab-floor", "lab-hashed", "lab-bits-8", "lab-bits-128", "lab-bits"]
    assert "lab, bits, 8-bit keys" in shown.source


def test_without_files_the_tab_says_how_to_make_one(tmp_path, core):
    groups = curves.load_all(tmp_path)
    menus, shown = choose(groups, None, None, None, "other")
    assert all(offers(menu) == ([], None) for menu in menus)
    assert "python -m kfaar_core evaluate" in shown.source and not shown.summary
    with gr.Blocks() as page:
        curves.build(page, core, visitor.state(), groups)


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as packed:
        for person in range(8):
            packed.writestr(f"{person}/1.jpg", b"the stand-in does not look inside")
    return str(tmp_path / "mine.zip")


def test_own_photos_are_measured_for_this_visitor_only(folder, core, archive):
    groups = curves.load_all(folder)
    with pytest.raises(DataMissing, match="no photos"):
        own(curves.Own(None, 8, "own", "floor"), core, groups)
    steps = []
    out = own(curves.Own(archive, 20, "shared", "bits"), core, groups, bar=lambda at, **_: steps.append(at))
    assert "8 people" in out.said and steps == [(done, 8) for done in range(8)]
    data, form, keys, photo = vars(out.menus).values()
    assert offers(data) == (["celeba", "lfw", "yours"], "yours") and offers(form) == (["lab-bits"], "lab-bits")
    assert offers(keys) == (["shared"], "shared") and offers(photo)[1] == "other"
    asked = ("yours", "lab-bits", "shared", "same")
    assert "8 people" in choose(groups, *asked, visitor=out.visitor)[1].source
    (data, *_), shown = choose(groups, *asked)
    assert "yours" not in offers(data)[0] and "yours" not in shown.source


def own(asked, core, groups, visitor=Visitor(), bar=lambda *_, **__: None):  # noqa: B008 - it is frozen
    return curves.on_own(asked, visitor, None, bar, core=core, groups=groups)


def test_the_tab_opens_on_the_headline_data(folder, core):
    with gr.Blocks() as page:
        curves.build(page, core, visitor.state(), curves.load_all(folder))
    start = {block.elem_id: block.value for block in page.blocks.values() if isinstance(block, gr.Dropdown)}
    assert start["curves-dataset"] == "lfw"  # celeba comes first by name


def test_stop_ends_a_run_on_own_photos(folder, core, archive):
    visitor, steps = Visitor(), []

    def bar(at, **_):
        steps.append(at)
        ask_to_stop(visitor)

    with pytest.raises(Stopped):
        own(curves.Own(archive, 20, "own", "floor"), core, curves.load_all(folder), visitor, bar)
    assert steps == [(0, 8)]
