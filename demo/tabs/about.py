"""The tab About: the method, what runs, licences, where the paper is in the code, limits, consent."""

from __future__ import annotations

import gradio as gr

from demo import diagrams, markup, words
from demo.core import Core, readers
from kfaar_core.metrics.random_direction import tail
from kfaar_core.paper import DEVIATIONS, REFERENCES
from kfaar_core.weights import WEIGHTS


def build(core: Core) -> None:
    """Lay out the tab; nothing in it reacts."""
    gr.Markdown(f"## {words.METHOD_TITLE}")
    gr.HTML(diagrams.method())
    gr.Markdown(words.RUNS)
    methods = readers(core.methods())
    facts = core.facts(methods[0].name)
    gr.Markdown(words.facts(facts, methods, float(tail(facts.threshold, facts.dimension))), elem_id="facts")
    with gr.Accordion(words.WEIGHTS_TITLE, open=False):
        rows = [[w.name, w.licence_weights, w.licence_data, w.citation] for w in WEIGHTS.values()]
        gr.HTML(markup.table(words.WEIGHT_HEADERS, rows))
    with gr.Accordion(words.PAPER_TITLE, open=False):
        rows = [[p.label, p.what, source(p.target)] for p in REFERENCES]
        gr.HTML(markup.table(words.PAPER_HEADERS, rows), elem_id="places")
    with gr.Accordion(words.DEVIATIONS_TITLE, open=False):
        rows = [[d.label, d.paper, d.ours, d.reason] for d in DEVIATIONS]
        gr.HTML(markup.table(words.DEVIATION_HEADERS, rows), elem_id="deviations")
    gr.Markdown(words.LIMITS)
    gr.Markdown(words.ETHICS)


def source(target: str) -> str:
    """A place's target as a file and a name in it: "keys:UserKey" -> "kfaar_core/keys.py: UserKey"."""
    module, _, name = target.partition(":")
    file = f"kfaar_core/{module.replace('.', '/')}.py"
    return f"{file}: {name}" if name else file
