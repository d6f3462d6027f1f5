"""The tab ROC and thresholds: error curves from committed score files (Figs. 8 and 9a)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, markup, words
from demo.core import METHOD_NAMES, Core, methods_in_order, readers
from demo.records import UNCHANGED, Inputs, Outputs, placed
from demo.shown import shown
from demo.tabs import score_lists
from demo.visitor import Measurement, Place, Visitor, stop_button
from kfaar_core import hub
from kfaar_core.errors import DataMissing, KfaarError
from kfaar_core.metrics import bootstrap, verification
from kfaar_core.metrics.roc_interval import ConfidenceBand, roc_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.records import Scores
from kfaar_core.report import plots
from kfaar_core.results import Result, load_result
from kfaar_core.runtime import stream
from kfaar_core.scenarios import populations

log = logging.getLogger(__name__)

SCORES = Path(__file__).resolve().parents[2] / "assets" / "scores"
BAND_FAR = np.logspace(-4, 0, 33)
FARS = (0.01, 0.001)
GRID = np.round(np.linspace(-0.5, 1, 76), 2)  # thresholds of the rates figure and of the table twins
HEADLINE = "lfw"  # the photos of the README's first figures
FIGURES = ("roc", "det", "histograms", "rates")


@dataclass(frozen=True)
class Group:
    """The results of one place; Table VI and Table VII may stand in two files."""

    results: tuple[Result, ...]

    def scores(self, name: str) -> Scores | None:
        found = (scores for result in self.results for scores in result.populations if scores.name == name)
        return next((scores for scores in found if len(scores.values)), None)

    def photos(self) -> list[str]:
        """What the virtual face was compared with: the same photo, another one, or both."""
        return [photo for photo in populations.PHOTOS if self.scores(populations.genuine(photo)) is not None]


Groups = Mapping[Place, Group]


def load_all(folder: Path) -> Groups:
    """The score files of a folder and of those for other key lengths in it (`8-bit`).

    One that cannot be read is left out and named in the log.
    """
    found: dict[Place, list[Result]] = {}
    # tables without scores have a .json alone
    for path in sorted([*folder.glob("*.npz"), *folder.glob("*-bit/*.npz")]):
        try:
            result = load_result(path.with_suffix(".json"))
        except KfaarError as error:
            log.warning("%s is not shown: %s", path.stem, error)
            continue
        found.setdefault(Place(result.dataset, form_of(path, result), result.key_mode), []).append(result)
    return {place: Group(tuple(results)) for place, results in found.items()}


def form_of(path: Path, result: Result) -> str:
    """Preset, method and, where it is not the usual one, the key length: "lab-bits-8".

    A file is named <preset>-<method>-<data>-<table>-<keys>, and only there it says it.
    """
    method = path.stem.removeprefix(f"{result.preset}-").partition("-")[0]
    length, bit, _ = path.parent.name.partition("-bit")
    form = f"{result.preset}-{method}" if method in METHOD_NAMES else result.preset
    return f"{form}-{length}" if bit else form


@dataclass(frozen=True)
class Choice(Inputs):
    """What the menus say."""

    dataset: str | None
    form: str | None
    keys: str | None
    photo: str | None


@dataclass(frozen=True)
class Offer:
    """What each menu has, given what those before it say, and the choice that is nearest to what was asked for."""

    datasets: list[str]
    forms: list[str]
    keys: list[str]
    photos: list[str]
    place: Place
    photo: str


def offered(groups: Groups, asked: Choice) -> Offer | None:
    """Only what exists; None when there is nothing at all."""
    if not groups:
        return None
    datasets = sorted({place.dataset for place in groups})
    dataset = _near(asked.dataset, datasets)
    forms = sorted({place.form for place in groups if place.dataset == dataset}, key=form_order)
    form = _near(asked.form, forms)
    keys = [mode for mode in populations.KEY_MODES if Place(dataset, form, mode) in groups]
    place = Place(dataset, form, _near(asked.keys, keys))
    photos = groups[place].photos() or list(populations.PHOTOS)
    return Offer(datasets, forms, keys, photos, place, _near(asked.photo, photos))


def _near(asked: str | None, found: Sequence[str]) -> str:
    return asked if asked is not None and asked in found else found[0]


def form_order(form: str) -> tuple[str, int, int]:
    """Presets by name, their methods in the order of the core, short keys first."""
    preset, method, length = (*form.split("-"), "", "")[:3]
    order = methods_in_order()
    return preset, order.index(method) if method in order else -1, int(length or 10**4)


@dataclass(frozen=True)
class Menus(Outputs):
    """The four menus."""

    dataset: Any
    form: Any
    keys: Any
    photo: Any


def menus(offer: Offer | None) -> Menus:
    """The four menus as an offer has them."""
    if offer is None:
        return Menus(*(gr.update(choices=[], value=None),) * 4)
    of = offer.place
    lists = (
        ([(words.dataset(name), name) for name in offer.datasets], of.dataset),
        ([(words.form(name), name) for name in offer.forms], of.form),
        (_named(controls.KEY_MODE, offer.keys), of.keys),
        (_named(controls.PHOTO_CHOICE, offer.photos), offer.photo),
    )
    return Menus(*(gr.update(choices=choices, value=value) for choices, value in lists))


def _named(menu: controls.Menu, values: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in menu.choices if value in values]


def _unseen() -> Any:
    return gr.update(visible=False)


@dataclass(frozen=True)
class Figures(Outputs):
    """Everything that is shown of one choice."""

    source: str
    provenance: str = ""
    summary: str = ""  # AUC, EER and so on
    counts: str = ""  # what the threshold does
    roc: Any = field(default_factory=_unseen)
    det: Any = field(default_factory=_unseen)
    histograms: Any = field(default_factory=_unseen)
    rates: Any = field(default_factory=_unseen)
    roc_table: str = ""
    det_table: str = ""
    histograms_table: str = ""
    rates_table: str = ""


@dataclass(frozen=True)
class Chosen(Outputs):
    """The menus as they can be, and what they choose."""

    menus: Menus
    figures: Figures


def on_choice(choice: Choice, threshold: float, visitor: Visitor, *, groups: Groups) -> Chosen:
    """The menus as they can be, and all figures and tables of the choice at one threshold."""
    own = visitor.measured
    offer = offered({**groups, own.place: Group((own.result,))} if own else groups, choice)
    if offer is None:
        return Chosen(menus(None), Figures(words.NO_SCORES))
    mine = own is not None and offer.place == own.place
    group = Group((own.result,)) if own is not None and mine else groups[offer.place]
    return Chosen(menus(offer), figures_of(group, offer, threshold, keep=not mine))


def on_measured(choice: Choice, threshold: float, visitor: Visitor, *, groups: Groups) -> Chosen:
    """The same of the visitor's own photos, which the menus may not show yet: a late answer may have set them back."""
    if visitor.measured is not None:
        place = visitor.measured.place
        choice = Choice(place.dataset, place.form, place.keys, choice.photo)
    return on_choice(choice, threshold, visitor, groups=groups)


def figures_of(group: Group, offer: Offer, threshold: float, *, keep: bool) -> Figures:
    """Source, figures and tables; `keep` what does not depend on the threshold, which is for committed scores only."""
    photo = offer.photo
    about = group.results[0]
    source = words.source(words.dataset(about.dataset), about.people, about.trials, words.form(offer.place.form))
    provenance = words.provenance(about.data_sha256, about.preset_sha256, about.weights)
    genuine, impostor = group.scores(populations.genuine(photo)), group.scores(populations.IMPOSTOR)
    named = scenario_scores(group, photo)
    shown_ = Figures(
        source,
        provenance,
        histograms=gr.update(value=plots.score_histograms(named, threshold), visible=bool(named)),
        histograms_table=histogram_table(named),
    )
    if genuine is None or impostor is None:
        return replace(shown_, source=f"{source} {words.NO_IMPOSTORS}")
    figures = measured((offer.place, photo), genuine, impostor) if keep else _measure(genuine, impostor)
    rates = verification.error_rates(genuine.values, impostor.values, threshold)
    far, tar = rates.far, 1 - rates.frr
    shares = [verification.error_rates(genuine.values, impostor.values, float(at)) for at in GRID]
    right = np.array([verification.crr(genuine.values, impostor.values, float(at)) for at in GRID])
    by_threshold = plots.rates_by_threshold(
        GRID,
        right,
        np.array([share.far for share in shares]),
        np.array([share.frr for share in shares]),
        figures.best,
        threshold,
    )
    rate_rows = [
        [f"{at:.2f}", f"{crr:.3f}", f"{share.far:.3f}", f"{share.frr:.3f}"]
        for at, crr, share in zip(GRID, right, shares, strict=True)
    ]
    points = points_table(genuine.values, impostor.values)
    return replace(
        shown_,
        summary=markup.table(words.FIGURE_HEADERS, figures.rows, words.FIGURES_TABLE),
        counts=confusion(genuine.values, impostor.values, threshold),
        roc=gr.update(value=plots.roc_curve(figures.curve, figures.band, (far, tar)), visible=True),
        det=gr.update(value=plots.det_curve(figures.curve, figures.band, (far, rates.frr)), visible=True),
        rates=gr.update(value=by_threshold, visible=True),
        roc_table=points,
        det_table=points,
        rates_table=markup.table(words.RATE_HEADERS, rate_rows),
    )


@dataclass(frozen=True)
class Measured:
    """Everything that does not depend on the movable threshold."""

    curve: verification.Roc
    band: ConfidenceBand
    best: float
    rows: tuple[tuple[str, str, str], ...]


# Of committed files only, the same for every visitor, so that a slider is quick.
_kept: dict[tuple[Place, str], Measured] = {}


def measured(key: tuple[Place, str], genuine: Scores, impostor: Scores) -> Measured:
    """EER, AUC, TAR at FAR and the best CRR with their intervals, and the band of the ROC."""
    if key not in _kept:
        _kept[key] = _measure(genuine, impostor)
    return _kept[key]


def _measure(genuine: Scores, impostor: Scores) -> Measured:
    scores = ScorePair.of(genuine, impostor)
    rows = []
    for name, statistic in (
        ("AUC", verification.area),
        ("EER", verification.equal_error),
        *((words.tar_at(far), _tar(far)) for far in FARS),
    ):
        found = bootstrap.curve_interval(statistic, scores, stream(0, f"demo, {name}"))
        rows.append((name, f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}"))
    best = verification.best_crr_threshold(genuine.values, impostor.values)
    rows.append((words.BEST_CRR, f"{best.crr:.3f}", words.at_threshold(best.threshold)))
    band = roc_interval(scores, BAND_FAR, stream(0, "demo, band"))
    curve = verification.thinned(verification.roc(genuine.values, impostor.values))
    return Measured(curve, band, best.threshold, tuple(rows))


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


@dataclass(frozen=True)
class Own(Inputs):
    """What stands below “Your own photos”."""

    archive: str | None
    people: float
    keys: str
    method: str


@dataclass(frozen=True)
class OwnMeasured(Outputs):
    """A run on the visitor's own photos."""

    said: str
    menus: Menus
    visitor: Any = UNCHANGED

    @classmethod
    def trouble(cls, head: str, sentence: str) -> OwnMeasured:
        return cls(markup.trouble(head, sentence), Menus(*(UNCHANGED,) * 4))


def on_own(
    asked: Own,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
    groups: Groups,
) -> OwnMeasured:
    """Measure on the visitor's own photos, and let the menus show it."""
    if asked.archive is None:
        raise DataMissing(got=words.NO_ARCHIVE[0], mend=words.NO_ARCHIVE[1])
    check = visitor.stop.begin(request)

    def report(done: int, of: int) -> None:
        check()
        progress((done, of), desc=words.looked(done, of))

    result = core.evaluate(
        Path(asked.archive), method=asked.method, people=int(asked.people), keys=asked.keys, progress=report
    )
    place = Place(result.dataset, f"{result.preset}-{asked.method}", result.key_mode)
    said = words.own_done(result.people, sum(result.failures.values()))
    offer = offered({**groups, place: Group((result,))}, Choice(place.dataset, place.form, place.keys, None))
    return OwnMeasured(said, menus(offer), replace(visitor, measured=Measurement(place, result)))


@lru_cache(maxsize=1)
def committed() -> Groups:
    """The groups of the committed files, read once."""
    return load_all(hub.folder("scores", SCORES))


def build(page: gr.Blocks, core: Core, visitor: gr.State, groups: Groups | None = None) -> None:
    """Lay out and wire the tab; without score files it says how to make one."""
    groups = committed() if groups is None else groups
    gr.Markdown(words.CURVES_LEAD, elem_classes="lead")
    facts = core.facts(readers(core.methods())[0].name)
    headline = Choice(HEADLINE, f"{facts.preset}-{facts.method}", controls.KEY_MODE.start, controls.PHOTO_CHOICE.start)
    first = menus(offered(groups, headline))
    labels = (words.DATASET, words.FORM, controls.KEY_MODE.label, controls.PHOTO_CHOICE.label)
    with gr.Row():
        choice = {
            name: gr.Dropdown(
                start["choices"], value=start["value"], label=label, elem_id=f"curves-{name}", min_width=220
            )
            for (name, start), label in zip(vars(first).items(), labels, strict=True)
        }
    gr.Markdown(words.OFFERED, elem_classes="hint")
    wanted, at = controls.CURVE_THRESHOLD, round(facts.threshold, controls.THRESHOLD_DIGITS)
    threshold = gr.Slider(wanted.low, wanted.high, at, step=wanted.step, label=wanted.label, elem_id="curves-threshold")
    parts: dict[str, Any] = {"source": gr.Markdown(elem_id="curves-source")}
    with gr.Row():
        with gr.Column(min_width=280):
            parts["summary"] = gr.HTML(elem_id="curves-figures")
        with gr.Column(min_width=280):
            parts["counts"] = gr.HTML(elem_id="curves-confusion")
    with gr.Accordion(words.MEANING_TITLE, open=False):
        gr.HTML(markup.table(words.MEANING_HEADERS, words.MEANING), elem_id="curves-meaning")
    with gr.Tabs():
        for name, title in zip(FIGURES, (words.ROC, words.DET, words.HISTOGRAMS, words.RATES), strict=True):
            with gr.Tab(title):
                gr.Markdown(words.FIGURE_SAYS[name])
                parts[name] = gr.Plot(label=title, visible=False, elem_id=f"curves-{name}")
                with gr.Accordion(words.TABLE_TWIN, open=False):
                    parts[f"{name}_table"] = gr.HTML(elem_id=f"curves-{name}-table")
                    gr.Button(words.CSV).click(None, None, None, js=browser.save_table(f"curves-{name}-table", name))
    with gr.Accordion(words.PROVENANCE_TITLE, open=False):
        parts["provenance"] = gr.Markdown(elem_id="curves-provenance")
    chosen = placed(Menus, **choice)
    inputs = [*chosen, threshold, visitor]
    outputs = placed(Chosen, menus=chosen, figures=placed(Figures, **parts))
    choose = shown(on_choice, groups=groups)
    # One after the other, so that an answer for an older choice never comes after that for a newer one.
    # `input` is the visitor's hand alone: the menus that an answer sets do not ask again.
    gr.on([menu.input for menu in chosen], choose, inputs, outputs, trigger_mode="multiple", **controls.ORDERED)
    threshold.change(choose, inputs, outputs, trigger_mode="always_last", **controls.ORDERED)
    page.load(choose, inputs, outputs, **controls.ORDERED)
    measured_own = _own(core, visitor, groups, chosen)
    measured_own.success(shown(on_measured, groups=groups), inputs, outputs, **controls.ORDERED)
    score_lists.build()


def _own(core: Core, visitor: gr.State, groups: Groups, chosen: list[Any]) -> Any:
    """The visitor's own photos; answers the event of a run."""
    gr.Markdown(words.OWN)
    gr.Markdown(words.OWN_LEAD, elem_classes="lead")
    with gr.Row():
        with gr.Column():
            archive = gr.File(label=words.ARCHIVE, file_types=[".zip"], type="filepath", height=150, elem_id="own-zip")
            folder = gr.Button(words.FOLDER, elem_id="own-folder")
        with gr.Column():
            wanted = controls.OWN_PEOPLE
            people = gr.Slider(wanted.low, wanted.high, wanted.start, step=wanted.step, label=wanted.label)
            modes = controls.OWN_KEY_MODE
            keys = gr.Radio(
                list(modes.choices), value=modes.start, label=modes.label, info=words.OWN_KEYS_HELP, elem_id="own-keys"
            )
            method = controls.method_menu(readers(core.methods()), "own-method")
            with gr.Row(elem_classes="run-line"):
                go = gr.Button(words.OWN_RUN, variant="primary", elem_id="own-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="own-stop", scale=1, min_width=80)
    said = gr.Markdown(elem_id="own-words", min_height=48)
    folder.click(None, None, None, js=browser.pack_folder("own-zip"))
    outputs = placed(OwnMeasured, said=said, menus=chosen, visitor=visitor)
    run = go.click(
        shown(on_own, core=core, groups=groups),
        [archive, people, keys, method, visitor],
        outputs,
        js=browser.begin("own-run", "own-words"),
        show_progress_on=[said],
        **controls.HEAVY,
    )
    run.then(None, None, None, js=browser.end("own-run", "own-words", "own-results"))
    stop_button(run, visitor, stop, OwnMeasured, outputs, ("own-run", "own-words"))
    return run
