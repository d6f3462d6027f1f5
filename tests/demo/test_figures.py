"""The tab Figures with the stand-in core."""

from __future__ import annotations

from io import BytesIO

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import visitor
from demo.tabs import figures
from demo.tabs.figures import Asked, on_figure, on_number
from demo.visitor import Stopped, Visitor, ask_to_stop
from kfaar_core.errors import BadPicture, DataMissing
from kfaar_core.report.gallery import GAP, NAME, SIDE


def draw(asked, core, visitor=Visitor(), bar=lambda *_, **__: None):  # noqa: B008 - it is frozen
    return on_figure(asked, visitor, None, bar, core=core)


@pytest.mark.parametrize("number", ["5", "8"])
def test_a_gallery_of_ones_own_photos(core, photo, plain, number):
    out = draw(Asked(number, [(photo, None), (plain, None)], core.methods()[0].name, True), core)
    assert f"Fig. {number}" in out.said and "data-done" in out.said
    with Image.open(BytesIO(out.picture["value"].data)) as drawn:
        assert out.picture["visible"] and drawn.width == NAME + 2 * (SIDE + GAP) + GAP


def test_what_is_refused(core, photo):
    name = core.methods()[0].name
    with pytest.raises(BadPicture, match=r"[Nn]o photo"):
        draw(Asked("5", None, name, True), core)
    with pytest.raises(BadPicture, match="More than four"):
        draw(Asked("5", [(photo, None)] * 5, name, True), core)


def test_committed_galleries_and_one_that_is_missing(tmp_path, monkeypatch, core):
    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    with pytest.raises(DataMissing, match=r"benchmarks\.figures"):
        on_number("6")
    Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8)).save(tmp_path / "figure-6.jpg")
    assert on_number("6").picture["value"] == tmp_path / "figure-6.jpg"
    with gr.Blocks():
        figures.build(core, visitor.state())  # without the gallery of figure 5


def test_stop_ends_a_gallery(core, photo):
    person = Visitor()

    def bar(*_, **__):
        ask_to_stop(person)

    with pytest.raises(Stopped):
        draw(Asked("6", [(photo, None)], core.methods()[0].name, True), core, person, bar)
