"""The tab About: the method, what runs, licences, where the paper is in the code, limits, consent."""

from __future__ import annotations

import gradio as gr

from demo import diagrams, markup, words
from demo.core import Facts
from kfaar_core.metrics.random_direction import tail
from kfaar_core.weights import WEIGHTS


def build(facts: Facts) -> None:
    """Lay out the tab; nothing in it reacts."""
    gr.Markdown(f"### {words.METHOD}")
    gr.HTML(diagrams.method())
    gr.Markdown(words.RUNS)
    chance = float(tail(facts.threshold, facts.dimension))
    gr.Markdown(
        words.facts(
            facts.preset, facts.device, facts.projector, facts.dimension, facts.threshold, facts.judge_threshold, chance
        ),
        elem_id="facts",
    )
    gr.Markdown(words.WEIGHTS_TITLE)
    rows = [[w.name, w.licence_weights, w.licence_data, w.citation] for w in WEIGHTS.values()]
    gr.HTML(markup.table(words.WEIGHT_HEADERS, rows))
    gr.Markdown(words.PAPER_TITLE)
    gr.HTML(markup.table(words.PAPER_HEADERS, words.PLACES))
    gr.Markdown(words.LIMITS)
    gr.Markdown(words.ETHICS)
