"""The tab Attacks: who can learn what, from committed results, and each attack live on people who do not exist."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from demo import browser, controls, markup, words
from demo.core import Core
from demo.records import Inputs, Outputs, placed
from demo.shown import shown
from demo.visitor import Visitor, stop_button
from kfaar_core import attacks
from kfaar_core.attacks.base import Figure
from kfaar_core.attacks.result import AttackResult, load_all
from kfaar_core.attacks.result import shown as number
from kfaar_core.errors import KfaarError
from kfaar_core.report import plots

log = logging.getLogger(__name__)

RESULTS = Path(__file__).resolve().parents[2] / "assets" / "scores" / "attacks"
MOST_LINES = 8  # curves in one figure

Results = Sequence[AttackResult]


@lru_cache(maxsize=1)
def committed() -> Results:
    """The committed results, read once. Those that cannot be read are named in the log."""
    try:
        return load_all(RESULTS)
    except KfaarError as error:
        log.warning("no attack is shown: %s", error)
        return ()


def weakest(results: Results) -> str:
    """The weakest point in words, with what the first attack measured."""
    measured = next((result.words for result in results if result.attack == "known-pairs"), "")
    return f"**{words.WEAKEST}** {words.WEAKEST_SAYS} {measured}".strip()


def who_table(results: Results) -> str:
    """One line an attack: the first result of each."""
    rows = []
    for attack in attacks.every():
        found = next((result for result in results if result.attack == attack.name), None)
        told = (words.NOT_YET, words.NOT_YET)
        if found is not None:
            told = found.words, words.targets_met(sum(check.met for check in found.checks), len(found.checks))
        rows.append([words.attack_name(attack.code, attack.title), attack.holds, attack.learns, *told])
    return markup.table(words.WHO_HEADERS, rows, words.WHO)


@dataclass(frozen=True)
class Shown(Outputs):
    """One result: sentence, curve and numbers."""

    said: str
    plot: Any
    table: str
    provenance: str

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Shown:
        return cls(markup.trouble(head, sentence), gr.update(visible=False), "", "")


@dataclass(frozen=True)
class Offered(Outputs):
    """The menus of faces and curves for an attack, and the first result."""

    made: Any
    kinds: Any
    shown: Shown


def made_of(result: AttackResult) -> str:
    """How the faces of a result were made, for a menu."""
    return words.attack_made(result.dataset, result.faces)


def on_attack(name: str, *, results: Results) -> Offered:
    """Another attack: what was measured of it."""
    found = [result for result in results if result.attack == name]
    if not found:
        attack = attacks.get(name)
        says = f"{attack.title}. Somebody holds {attack.holds}. {words.NO_ATTACKS}"
        return Offered(
            gr.update(choices=[], value=None),
            gr.update(choices=[], value=None, visible=False),
            Shown(says, gr.update(visible=False), "", ""),
        )
    menu = [made_of(result) for result in found]
    kinds = kinds_of(found[0])
    return Offered(
        gr.update(choices=menu, value=menu[0]),
        gr.update(choices=kinds, value=kinds[0] if kinds else None, visible=len(kinds) > 1),
        shown_result(found[0], kinds[0] if kinds else None),
    )


def on_choice(name: str, made: str | None, kind: str | None, *, results: Results) -> Shown:
    """Another method or curve of the same attack."""
    found = [result for result in results if result.attack == name and made in (None, made_of(result))]
    return shown_result(found[0], kind) if found else on_attack(name, results=results).shown


def kind_of(figure: Figure) -> str:
    """What is counted, at the end of a series: "rank-1" of "one key for all, the very photos: rank-1"."""
    return figure.series.rpartition(": ")[2]


def kinds_of(result: AttackResult) -> list[str]:
    """What the curves of a result count."""
    return list(dict.fromkeys(kind_of(figure) for figure in result.figures if figure.at is not None))


def shown_result(result: AttackResult, kind: str | None) -> Shown:
    """Sentence, curve, table and origin of a result.

    Args:
        kind: what the curve counts, one of kinds_of; None draws no curve.
    """
    curves = [figure for figure in result.figures if figure.at is not None and kind_of(figure) == kind]
    names = list(dict.fromkeys(figure.series for figure in curves))[:MOST_LINES]
    plot = gr.update(visible=False)
    if names:
        lines = [line_of(name, [figure for figure in curves if figure.series == name]) for name in names]
        chance = {figure.at: figure.chance for figure in curves if figure.at is not None and figure.chance is not None}
        guess = {at: chance[at] for at in sorted(chance)}
        plot = gr.update(value=plots.attack_curves(lines, result.across, guess), visible=True)
    rows = [
        [
            figure.series,
            "" if figure.at is None else f"{figure.at:g}",
            number(figure.value),
            f"{number(figure.low)} to {number(figure.high)}",
            str(figure.n),
            number(figure.chance),
            figure.note,
        ]
        for figure in result.figures
    ]
    return Shown(
        markup.card(words.attack_name(result.code, result.title), result.words, done=True),
        plot,
        markup.table(words.ATTACK_HEADERS, rows),
        words.attack_provenance(result.people, result.left_out, result.seed, result.command, result.weights),
    )


def line_of(name: str, figures: Sequence[Figure]) -> plots.Line:
    """The points of one series as a curve."""
    ordered = sorted(figures, key=lambda figure: figure.at or 0.0)
    return plots.Line(
        name.rpartition(": ")[0] or name,
        [figure.at or 0.0 for figure in ordered],
        [figure.value for figure in ordered],
        [figure.low for figure in ordered],
        [figure.high for figure in ordered],
    )


@dataclass(frozen=True)
class Live(Inputs):
    """What stands below “Run it now”."""

    name: str
    people: float
    method: str


def on_run(
    asked: Live,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Shown:
    """Run one attack now."""
    check = visitor.stop.begin(request)

    def report(done: int, of: int) -> None:
        check()
        progress((done, of), desc=words.attacking(done, of))

    result = core.attack(asked.name, method=asked.method, people=int(asked.people), progress=report)
    kinds = kinds_of(result)
    return shown_result(result, kinds[0] if kinds else None)


def build(core: Core, visitor: gr.State, results: Results | None = None) -> None:
    """Lay out and wire the tab."""
    results = committed() if results is None else results
    every = attacks.every()
    gr.Markdown(words.ATTACKS_TAB_LEAD, elem_classes="lead")
    gr.Markdown(weakest(results), elem_id="attacks-weakest")
    gr.HTML(who_table(results), elem_id="attacks-who")
    first = on_attack(every[0].name, results=results)
    with gr.Row():
        name = gr.Dropdown(
            [(words.attack_name(attack.code, attack.title), attack.name) for attack in every],
            value=every[0].name,
            label=words.ATTACK_CHOICE,
            elem_id="attacks-name",
            min_width=260,
        )
        made = gr.Dropdown(
            first.made["choices"], value=first.made["value"], label=words.ATTACK_MADE, elem_id="attacks-made"
        )
        kinds = gr.Dropdown(
            first.kinds["choices"],
            value=first.kinds["value"],
            label=words.ATTACK_CURVE,
            visible=bool(first.kinds["visible"]),
            elem_id="attacks-kinds",
        )
    result = _result("attacks", first.shown)
    outputs = placed(Offered, made=made, kinds=kinds, shown=result)
    name.input(shown(on_attack, results=results), [name], outputs, **controls.LIGHT)
    gr.on(
        [made.input, kinds.input],
        shown(on_choice, results=results),
        [name, made, kinds],
        result,
        trigger_mode="multiple",
        **controls.LIGHT,
    )
    gr.Markdown(words.ATTACK_LIVE)
    gr.Markdown(words.ATTACK_LIVE_LEAD, elem_classes="lead")
    wanted = controls.ATTACK_PEOPLE
    people = gr.Slider(
        wanted.low, wanted.high, wanted.start, step=wanted.step, label=wanted.label, elem_id="attacks-people"
    )
    method = controls.method_menu(core.methods(), "attacks-method")
    with gr.Row(elem_classes="run-line"):
        go = gr.Button(words.ATTACK_RUN, variant="primary", elem_id="attacks-run", scale=3)
        stop = gr.Button(words.STOP, elem_id="attacks-stop", scale=1, min_width=80)
    live = _result("attacks-live", None)
    run = go.click(
        shown(on_run, core=core),
        [name, people, method, visitor],
        live,
        js=browser.begin("attacks-run", "attacks-live-words"),
        show_progress_on=live[:1],
        **controls.HEAVY,
    )
    run.then(None, None, None, js=browser.end("attacks-run", "attacks-live-words", "attacks-live-results"))
    stop_button(run, visitor, stop, Shown, live, ("attacks-run", "attacks-live-words"))


def _result(name: str, first: Shown | None) -> list[Any]:
    """The components of a Shown."""
    with gr.Column(elem_id=f"{name}-results"):
        said = gr.HTML(first.said if first else "", elem_id=f"{name}-words", min_height=48)
        plot = gr.Plot(
            first.plot.get("value") if first else None,
            label=words.ATTACK_FIGURES,
            visible=bool(first and first.plot["visible"]),
            elem_id=f"{name}-plot",
        )
        with gr.Accordion(words.TABLE_TWIN, open=False):
            table = gr.HTML(first.table if first else "", elem_id=f"{name}-table")
            gr.Button(words.CSV).click(None, None, None, js=browser.save_table(f"{name}-table", name))
        with gr.Accordion(words.PROVENANCE_TITLE, open=False):
            provenance = gr.Markdown(first.provenance if first else "", elem_id=f"{name}-provenance")
    return placed(Shown, said=said, plot=plot, table=table, provenance=provenance)
