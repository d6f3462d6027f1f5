"""The tab ROC and thresholds: error curves from committed score files (Figs. 8 and 9a)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, markup, words
from demo.core import Core
from demo.shown import shown
from demo.visitor import Stopped, Visitor
from kfaar_core import plots
from kfaar_core.errors import DataMissing, KfaarError
from kfaar_core.evaluate.results import Result, load_result
from kfaar_core.metrics import bootstrap, verification
from kfaar_core.metrics.bands import Band, tar_band
from kfaar_core.records import Scores
from kfaar_core.runtime import stream
from kfaar_core.scenarios import populations

log = logging.getLogger(__name__)

SCORES = Path(__file__).resolve().parents[2] / "assets" / "scores"
BAND_FAR = np.logspace(-4, 0, 33)
FARS = (0.01, 0.001)
GRID = np.round(np.linspace(-0.5, 1, 76), 2)  # thresholds of the rates figure and of the table twins
FIGURES = ("roc", "det", "histograms", "rates")


@dataclass(frozen=True)
class Group:
    """The results of one data set, preset and key mode; Table VI and Table VII may stand in two files."""

    results: tuple[Result, ...]

    def scores(self, name: str) -> Scores | None:
        found = (scores for result in self.results for scores in result.populations if scores.name == name)
        return next((scores for scores in found if len(scores.values)), None)


def load_all(folder: Path) -> dict[tuple[str, str, str], Group]:
    """(data set, preset, key mode) -> its results. A file that cannot be read is left out and named in the log."""
    found: dict[tuple[str, str, str], list[Result]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = load_result(path)
        except KfaarError as error:
            log.warning("%s is not shown: %s", path.name, error)
            continue
        found.setdefault((result.dataset, result.preset, result.key_mode), []).append(result)
    return {place: Group(tuple(results)) for place, results in found.items()}


Groups = Mapping[tuple[str, str, str], Group]


def on_choice(
    dataset: str | None,
    preset: str | None,
    keys: str,
    photo: str,
    threshold: float,
    visitor: Visitor,
    *,
    groups: Groups,
) -> tuple[Any, ...]:
    """All figures and tables of one choice at one threshold."""
    own = visitor.measured
    if own is not None and dataset == own.dataset:
        group: Group | None = Group((own,))  # whatever the other menus say: there is only this one
    else:
        group = groups.get((dataset or "", preset or "", keys))
    if group is None:
        nothing = gr.update(visible=False)
        return words.NO_SUCH_SCORES if groups else words.NO_SCORES, "", "", *(nothing,) * 4, *("",) * 4
    about = group.results[0]
    source = words.provenance(
        about.dataset,
        about.people,
        about.trials,
        about.preset,
        about.data_sha256,
        about.preset_sha256,
        about.weights,
    )
    genuine, impostor = group.scores(populations.genuine(photo)), group.scores(populations.IMPOSTOR)
    named = scenario_scores(group, photo)
    histogram = gr.update(value=plots.score_histograms(named, threshold), visible=bool(named))
    if genuine is None or impostor is None:
        nothing = gr.update(visible=False)
        return (
            f"{source} {words.NO_IMPOSTORS}",
            "",
            "",
            nothing,
            nothing,
            histogram,
            nothing,
            "",
            "",
            histogram_table(named),
            "",
        )
    place = (about.dataset, about.preset, about.key_mode, photo)
    figures = _measure(genuine, impostor) if about is own else measured(place, genuine, impostor)
    rates = verification.error_rates(genuine.values, impostor.values, threshold)
    far, tar = rates.far, 1 - rates.frr
    roc_table = points_table(genuine.values, impostor.values)
    shares = [verification.error_rates(genuine.values, impostor.values, float(at)) for at in GRID]
    right = np.array([verification.crr(genuine.values, impostor.values, float(at)) for at in GRID])
    rate_rows = [
        [f"{at:.2f}", f"{crr:.3f}", f"{share.far:.3f}", f"{share.frr:.3f}"]
        for at, crr, share in zip(GRID, right, shares, strict=True)
    ]
    return (
        source,
        markup.table(words.FIGURE_HEADERS, figures.rows, words.FIGURES_TABLE),
        confusion(genuine.values, impostor.values, threshold),
        gr.update(value=plots.roc_curve(figures.curve, figures.band, (far, tar)), visible=True),
        gr.update(value=plots.det_curve(figures.curve, (far, rates.frr)), visible=True),
        histogram,
        gr.update(
            value=plots.rates_by_threshold(
                GRID,
                right,
                np.array([share.far for share in shares]),
                np.array([share.frr for share in shares]),
                figures.best,
                threshold,
            ),
            visible=True,
        ),
        roc_table,
        roc_table,
        histogram_table(named),
        markup.table(words.RATE_HEADERS, rate_rows),
    )


@dataclass(frozen=True)
class Measured:
    """Everything that does not depend on the movable threshold."""

    curve: verification.Roc
    band: Band
    best: float
    rows: tuple[tuple[str, str, str], ...]


Place = tuple[str, str, str, str]  # data set, preset, key mode, photo
_kept: dict[Place, Measured] = {}  # of committed files only, the same for every visitor, so that a slider is quick


def measured(key: Place, genuine: Scores, impostor: Scores) -> Measured:
    """EER, AUC, TAR at FAR and the best CRR with their intervals, and the band of the ROC."""
    if key not in _kept:
        _kept[key] = _measure(genuine, impostor)
    return _kept[key]


def _measure(genuine: Scores, impostor: Scores) -> Measured:
    sides = genuine.values, genuine.people, impostor.values, impostor.people
    rows = []
    for name, statistic in (
        ("AUC", verification.area),
        ("EER", verification.equal_error),
        *((words.tar_at(far), _tar(far)) for far in FARS),
    ):
        found = bootstrap.curve_interval(statistic, *sides, stream(0, f"demo, {name}"))
        rows.append((name, f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}"))
    best = verification.best_crr_threshold(genuine.values, impostor.values)
    rows.append((words.BEST_CRR, f"{best.crr:.3f}", words.at_threshold(best.threshold)))
    band = tar_band(*sides, BAND_FAR, stream(0, "demo, band"))
    return Measured(verification.roc(genuine.values, impostor.values), band, best.threshold, tuple(rows))


def _tar(far: float) -> Any:
    return lambda curve: verification.tar_within(curve, far)


def scenario_scores(group: Group, photo: str) -> dict[str, np.ndarray]:
    """The populations of the histogram: the scenarios that were run, and impostors."""
    named = {}
    for scenario in populations.SCENARIOS:
        scores = group.scores(populations.scenario(scenario.number, photo))
        if scores is not None:
            named[words.scenario_line(str(scenario.number))] = scores.values
    impostor = group.scores(populations.IMPOSTOR)
    if impostor is not None:
        named[words.IMPOSTOR_ROW] = impostor.values
    return named


def points_table(genuine: np.ndarray, impostor: np.ndarray) -> str:
    """ROC and DET as numbers, on a grid of thresholds."""
    rows = []
    for at in GRID:
        rates = verification.error_rates(genuine, impostor, float(at))
        rows.append([f"{at:.2f}", f"{rates.far:.4f}", f"{1 - rates.frr:.4f}", f"{rates.frr:.4f}"])
    return markup.table(words.POINT_HEADERS, rows)


def histogram_table(named: Mapping[str, np.ndarray]) -> str:
    """Mean, spread and quantiles of each population."""
    rows = []
    for name, values in named.items():
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        rows.append([name, str(len(values)), *(f"{x:.3f}" for x in (values.mean(), values.std(), low, middle, high))])
    return markup.table(words.HISTOGRAM_HEADERS, rows)


def confusion(genuine: np.ndarray, impostor: np.ndarray, threshold: float) -> str:
    """Counts of the four outcomes."""
    rows: Sequence[Sequence[str]] = [
        [name, str(int((values >= threshold).sum())), str(int((values < threshold).sum()))]
        for name, values in ((words.GENUINE_ROW, genuine), (words.IMPOSTOR_ROW, impostor))
    ]
    return markup.table(words.CONFUSION_HEADERS, rows, words.CONFUSION)


def on_own(
    archive: str | None,
    people: float,
    visitor: Visitor,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
    groups: Groups,
) -> tuple[str, Any, Visitor]:
    """Measure on the visitor's own photos."""
    if archive is None:
        raise DataMissing(got=words.NO_ARCHIVE[0], mend=words.NO_ARCHIVE[1])
    visitor.stop.asked = False

    def report(done: int, of: int) -> None:
        if visitor.stop.asked:
            raise Stopped
        progress((done, of), desc=words.person(done, of))

    result = core.evaluate(Path(archive), int(people), report)
    choices = [*sorted({place[0] for place in groups}), result.dataset]
    said = words.own_done(result.people, sum(result.failures.values()))
    return said, gr.update(choices=choices, value=result.dataset), replace(visitor, measured=result)


def on_stop(visitor: Visitor) -> None:
    """Ask what runs for this visitor to end at its next person."""
    visitor.stop.asked = True


@lru_cache(maxsize=1)
def committed() -> Groups:
    """The groups of the committed files, read once."""
    return load_all(SCORES)


def build(page: gr.Blocks, core: Core, visitor: gr.State, groups: Groups | None = None) -> None:
    """Lay out and wire the tab; without score files it says how to make one."""
    groups = committed() if groups is None else groups
    gr.Markdown(words.CURVES_LEAD, elem_classes="lead")
    first = next(iter(groups), (None, None, controls.KEY_MODE.start))
    with gr.Row():
        dataset = _menu(words.DATASET, sorted({place[0] for place in groups}), first[0], "curves-dataset")
        preset = _menu(words.PRESET, sorted({place[1] for place in groups}), first[1], "curves-preset")
        keys = _menu(controls.KEY_MODE.label, list(controls.KEY_MODE.choices), first[2], "curves-keys")
        photo = _menu(
            controls.PHOTO_CHOICE.label,
            list(controls.PHOTO_CHOICE.choices),
            controls.PHOTO_CHOICE.start,
            "curves-photo",
        )
    wanted, start = controls.CURVE_THRESHOLD, round(core.facts.threshold, 2)
    threshold = gr.Slider(
        wanted.low, wanted.high, start, step=wanted.step, label=wanted.label, elem_id="curves-threshold"
    )
    with gr.Row():
        figures = gr.HTML(elem_id="curves-figures")
        counts = gr.HTML(elem_id="curves-confusion")
    source = gr.Markdown(elem_id="curves-source")
    drawn, tables = [], []
    with gr.Tabs():
        for name, title in zip(FIGURES, (words.ROC, words.DET, words.HISTOGRAMS, words.RATES), strict=True):
            with gr.Tab(title):
                drawn.append(gr.Plot(label=title, visible=False, elem_id=f"curves-{name}"))
                with gr.Accordion(words.TABLE_TWIN, open=False):
                    tables.append(gr.HTML(elem_id=f"curves-{name}-table"))
                    gr.Button(words.CSV, size="sm").click(
                        None, None, None, js=browser.save_table(f"curves-{name}-table", name)
                    )
    inputs = [dataset, preset, keys, photo, threshold, visitor]
    outputs = [source, figures, counts, *drawn, *tables]
    choose = shown(on_choice, groups=groups)
    # One after the other, so that an answer for an older choice never comes after that for a newer one.
    menus = [menu.change for menu in (dataset, preset, keys, photo)]
    gr.on(menus, choose, inputs, outputs, trigger_mode="multiple", **controls.ORDERED)
    threshold.change(choose, inputs, outputs, trigger_mode="always_last", **controls.ORDERED)
    page.load(choose, inputs, outputs, **controls.ORDERED)
    _own(core, visitor, groups, dataset, (choose, inputs, outputs))


def _own(core: Core, visitor: gr.State, groups: Groups, dataset: gr.Dropdown, choice: tuple[Any, ...]) -> None:
    """The visitor's own photos."""
    gr.Markdown(words.OWN)
    gr.Markdown(words.OWN_LEAD, elem_classes="lead")
    with gr.Row():
        archive = gr.File(label=words.ARCHIVE, file_types=[".zip"], type="filepath", height=120, elem_id="own-zip")
        with gr.Column():
            wanted = controls.OWN_PEOPLE
            people = gr.Slider(wanted.low, wanted.high, wanted.start, step=wanted.step, label=wanted.label)
            with gr.Row():
                go = gr.Button(words.OWN_RUN, variant="primary", elem_id="own-run", scale=3)
                stop = gr.Button(words.STOP, scale=1, min_width=80)
    said = gr.Markdown(elem_id="own-words", min_height=48)
    run = go.click(
        shown(on_own, core=core, groups=groups),
        [archive, people, visitor],
        [said, dataset, visitor],
        show_progress_on=[said],
        **controls.HEAVY,
    )
    run.success(*choice, **controls.ORDERED)
    stop.click(on_stop, [visitor], None, cancels=[run], queue=False, **controls.LIGHT)


def _menu(label: str, choices: list[Any], start: str | None, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown(choices, value=start, label=label, elem_id=elem_id, min_width=150)
