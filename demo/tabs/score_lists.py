"""Scores of others: ROC, DET and operating points of a score list that the visitor brings; a part of the tab ROC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo import controls, markup, words
from demo.records import Inputs, Outputs, placed
from demo.shown import shown
from kfaar_core.errors import DataMissing
from kfaar_core.metrics.operating_points import equal_error_range, operating_points
from kfaar_core.metrics.roc_interval import roc_interval
from kfaar_core.metrics.verification import Roc, area, roc, thinned
from kfaar_core.report import plots
from kfaar_core.report.score_lists import ScoreList, read_scores
from kfaar_core.report.score_table import score_table
from kfaar_core.report.tables import number
from kfaar_core.runtime import stream

BAND_FAR = np.logspace(-4, 0, 33)


@dataclass(frozen=True)
class Lists(Inputs):
    """The visitor's files, and how they are to be read."""

    files: list[str] | None
    distances: bool


def _unseen() -> Any:
    return gr.update(visible=False)


@dataclass(frozen=True)
class ListShown(Outputs):
    """What is shown of a score list."""

    said: str
    figures: str = ""
    roc: Any = field(default_factory=_unseen)
    det: Any = field(default_factory=_unseen)
    histograms: Any = field(default_factory=_unseen)

    @classmethod
    def trouble(cls, head: str, sentence: str) -> ListShown:
        return cls(markup.trouble(head, sentence))


def on_lists(asked: Lists) -> Iterator[ListShown]:
    """The curves and points of the list at once, and then their intervals, which take longer."""
    if not asked.files:
        raise DataMissing(got=words.NO_LIST[0], mend=words.NO_LIST[1])
    scores = read_scores(in_order(asked.files), distances=asked.distances)
    curve = roc(scores.genuine.values, scores.impostor.values)
    drawn = first_look(scores, curve)
    yield drawn
    table = score_table(scores)
    band = roc_interval(scores.pair, BAND_FAR, stream(0, "score list, band"))
    thin = thinned(curve)
    rows = [
        [row.name, number(row.value), "" if np.isnan(row.low) else f"{number(row.low)} to {number(row.high)}", row.note]
        for row in table.rows
    ]
    yield replace(
        drawn,
        said=markup.card("", f"{table.about}.", done=True),
        figures=markup.table(words.LIST_HEADERS, rows),
        roc=gr.update(value=plots.roc_curve(thin, band), visible=True),
        det=gr.update(value=plots.det_curve(thin, band), visible=True),
    )


def first_look(scores: ScoreList, curve: Roc) -> ListShown:
    """What is known without resampling."""
    points = [
        ("EER", equal_error_range(curve).rate),
        *((each.name, each.fnmr) for each in operating_points(curve)[:-1]),
    ]
    rows = [[name, number(value), words.LIST_WAITS, ""] for name, value in (("AUC", float(area(curve))), *points)]
    thin, sides = thinned(curve), {"genuine": scores.genuine.values, "impostor": scores.impostor.values}
    return ListShown(
        markup.card("", words.list_read(*map(len, sides.values())), "empty"),
        markup.table(words.LIST_HEADERS, rows),
        gr.update(value=plots.roc_curve(thin, None), visible=True),
        gr.update(value=plots.det_curve(thin), visible=True),
        gr.update(value=plots.score_histograms(sides), visible=True),
    )


def in_order(files: Sequence[str]) -> list[Path]:
    """The files as paths; of two, the impostors' file second, whatever the order in which they were chosen."""
    return sorted(map(Path, files), key=lambda path: "impost" in path.name.lower())


def build() -> None:
    """Lay out and wire this part of the tab."""
    gr.Markdown(words.LISTS)
    gr.Markdown(words.LISTS_LEAD, elem_classes="lead")
    with gr.Row():
        files = gr.File(
            label=words.LIST_FILES, file_count="multiple", type="filepath", height=150, elem_id="lists-files"
        )
        with gr.Column():
            distances = gr.Checkbox(False, label=words.LIST_DISTANCES, elem_id="lists-distances")
            go = gr.Button(words.LIST_RUN, variant="primary", elem_id="lists-run")
    said, figures = gr.HTML(elem_id="lists-words"), gr.HTML(elem_id="lists-figures")
    with gr.Row():
        drawn = {
            name: gr.Plot(label=title, visible=False, elem_id=f"lists-{name}")
            for name, title in (("roc", words.ROC), ("det", words.DET), ("histograms", words.HISTOGRAMS))
        }
    outputs = placed(ListShown, said=said, figures=figures, **drawn)
    go.click(shown(on_lists), [files, distances], outputs, show_progress_on=[said], **controls.LOOK)
