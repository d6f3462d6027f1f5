"""The tab Authenticate: the six steps of section III-B, scenarios 1 to 4 (Table VII), and attacks on the key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, diagrams, keys_panel, markup, pictures, words
from demo.core import Core, Facts, Progress, Reading, Request, readers
from demo.records import UNCHANGED, Inputs, Outputs, placed
from demo.shown import shown
from demo.tabs.anonymise import AnonymiseTab
from demo.visitor import Outcome, Visitor, reporter, stop_button
from kfaar_core.attacks import guessing
from kfaar_core.errors import BadSetting
from kfaar_core.keyring import derived_key
from kfaar_core.keys import UserKey
from kfaar_core.metrics.random_direction import tail
from kfaar_core.records import Photo
from kfaar_core.report import plots
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.runtime import stream

FORWARDED = "KFAAR_FORWARDED"  # environment variable: the header in which a proxy names the client


@dataclass(frozen=True)
class Case(Inputs):
    """What the tab holds when a button is pressed: two pictures, a key, and the method that made the face."""

    virtual: str | None
    original: str | None
    given: keys_panel.GivenKey
    method: str
    label: str | None = None  # of a photo that was one of many

    def pictures(self) -> tuple[Photo, Photo]:
        """The virtual face and the original photo."""
        return (
            pictures.read_photo(self.virtual, words.NO_VIRTUAL),
            pictures.read_photo(self.original, words.NO_ORIGINAL),
        )

    def open(self, core: Core) -> tuple[Reading, UserKey]:
        """Both pictures, looked at, and the key."""
        face, photo = self.pictures()
        key = self.key()  # before the networks look, which takes a second
        return core.readout(face, photo, method=self.method), key

    def key(self) -> UserKey:
        """
        Raises:
            BadKey: none was given, or it is no key.
        """
        key, label = self.given.key(words.NO_KEY_READ), (self.label or "").strip()
        return derived_key(key, label) if label else key


@dataclass(frozen=True)
class Told(Outputs):
    """The answer of the authentication server."""

    card: str
    walk: Any = UNCHANGED
    visitor: Any = UNCHANGED

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Told:
        return cls(markup.trouble(head, sentence))


def on_authenticate(case: Case, visitor: Visitor, request: gr.Request, *, core: Core, public: bool = False) -> Told:
    """Algorithm 2 with the visitor's key; when it fails, say what may be wrong. Strangers get no cosine."""
    face, photo = case.pictures()
    key = case.key()
    answer = core.authenticate(face, photo, key, method=case.method, client=client_of(request))
    notes = [words.FITS]
    if not answer.same_person:
        swapped = core.readout(photo, face, method=case.method).with_key(key)
        notes = [words.SWAPPED if swapped.same_person else words.WRONG_KEY]
    visitor = replace(visitor, step=6 if answer.same_person else max(visitor.step, 5))
    head, body = words.verdict(answer, public)
    return Told(
        markup.card(head, body, "good" if answer.same_person else "bad", notes, done=True),
        diagrams.walkthrough(visitor.step),
        visitor,
    )


def client_of(request: gr.Request | None) -> str:
    """Whom the authentication server counts tries for.

    A header that names the client counts only if the operator declares it (FORWARDED), as anybody can send one. Of
    several addresses in it the last one was added by the nearest proxy.
    """
    header = os.environ.get(FORWARDED, "").lower()
    named = str((getattr(request, "headers", None) or {}).get(header, "")) if header else ""
    if named.strip():
        return named.rsplit(",", 1)[-1].strip()
    client = getattr(request, "client", None)
    return str(getattr(client, "host", "local")) if client is not None else "local"


@dataclass(frozen=True)
class Decided(Outputs):
    """Bars, table and sentence of the scenarios."""

    bars: Any
    table: str
    said: str

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Decided:
        return cls(gr.update(visible=False), "", markup.trouble(head, sentence))


@dataclass(frozen=True)
class Ran(Outputs):
    """A run of the scenarios."""

    decided: Decided
    walk: Any = UNCHANGED
    visitor: Any = UNCHANGED

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Ran:
        return cls(Decided.trouble(head, sentence))


def on_scenarios(
    case: Case,
    threshold: float,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Iterator[Ran]:
    """Scenarios 1 to 4 on the visitor's own pictures; three of them at once, the first when its face is drawn."""
    check = visitor.stop.begin(request)
    reading, key = case.open(core)
    check()
    facts = core.facts(case.method)
    outcomes = outcomes_at_once(reading, key, another(key))
    early = decided(threshold, replace(visitor, outcomes=outcomes), facts)
    yield Ran(replace(early, said=markup.card("", words.SCENARIO_1_WAITS, "empty")))
    report = reporter(progress, check, f"{words.scenario_line('1')}: ")
    first = anonymised_again(core, case.pictures(), key, case.method, report)
    visitor = replace(visitor, outcomes=(first, *outcomes), step=max(visitor.step, 4))
    yield Ran(decided(threshold, visitor, facts), diagrams.walkthrough(visitor.step), visitor)


def outcomes_at_once(reading: Reading, key: UserKey, wrong: UserKey) -> tuple[Outcome, ...]:
    """Scenarios 2 to 4, which need no new face."""
    return (
        Outcome("2", reading.without_key().cosine),
        Outcome("3", reading.with_key(wrong).cosine),
        Outcome("4", reading.with_key(key).cosine),
    )


def anonymised_again(
    core: Core, pictures_: tuple[Photo, Photo], key: UserKey, method: str, report: Progress | None = None
) -> Outcome:
    """Scenario 1: the virtual face is anonymised once more with the key, and a recogniser sees it beside the photo.

    Args:
        pictures_: virtual face and photo.
    """
    face, photo = pictures_
    again = core.anonymise(Request(face, key, method), report)
    judged = float(core.judge_cosines([photo, Photo(pixels=again.portrait)])[0, 1])
    return Outcome("1", judged, by_judge=True)


def another(key: UserKey) -> UserKey:
    """A random key of the same length that is not this one."""
    while (other := UserKey.generate(key.bits)) == key:
        pass
    return other


def decided(threshold: float, visitor: Visitor, facts: Facts) -> Decided:
    """Bars, table and sentence of the outcomes at a threshold."""
    at = exact(threshold, facts)
    limits = [facts.judge_threshold if outcome.by_judge else at for outcome in visitor.outcomes]
    marks = [facts.judge_marks if outcome.by_judge else facts.marks for outcome in visitor.outcomes]
    accepted = [o.number for o, limit in zip(visitor.outcomes, limits, strict=True) if o.cosine >= limit]
    names = [words.scenario_line(outcome.number) for outcome in visitor.outcomes]
    figure = plots.scenario_bars(names, [outcome.cosine for outcome in visitor.outcomes], limits, marks)
    rows = []
    for outcome, limit in zip(visitor.outcomes, limits, strict=True):
        title, has, used = words.SCENARIO[outcome.number]
        decision = words.ACCEPTED if outcome.cosine >= limit else words.REFUSED
        value, at_least = words.compared_with(outcome.cosine, limit)
        rows.append([f"{outcome.number}  {title}", has, used, value, at_least, decision])
    table = markup.table(words.SCENARIO_HEADERS, rows, words.SCENARIO_TABLE)
    return Decided(gr.update(value=figure, visible=True), table, words.scenarios(accepted))


def shown_threshold(facts: Facts) -> float:
    """KVFA's threshold as the slider has it."""
    return round(facts.threshold, controls.THRESHOLD_DIGITS)


def exact(threshold: float, facts: Facts) -> float:
    """The slider's threshold; where it stands at KVFA's own, that one to its last digit."""
    return facts.threshold if threshold == shown_threshold(facts) else threshold


def on_threshold(threshold: float, method: str, visitor: Visitor, *, core: Core) -> Decided:
    """Decide the outcomes anew; nothing is computed again."""
    if not visitor.outcomes:
        return Decided(UNCHANGED, UNCHANGED, UNCHANGED)
    return decided(threshold, visitor, core.facts(method))


@dataclass(frozen=True)
class Emptied(Outputs):
    """The scenarios of another method: none yet, at its threshold."""

    threshold: float
    decided: Decided
    visitor: Visitor


def on_method(method: str, visitor: Visitor, *, core: Core) -> Emptied:
    """Another method has another threshold, and the outcomes on the page were not its own."""
    empty = Decided(gr.update(visible=False), "", words.SCENARIOS_EMPTY)
    return Emptied(shown_threshold(core.facts(method)), empty, replace(visitor, outcomes=()))


def on_input(visitor: Visitor) -> Visitor:
    """Another picture or key: the threshold shall not decide the outcomes of the earlier one."""
    return replace(visitor, outcomes=())


@dataclass(frozen=True)
class Experiment(Outputs):
    """An attack on the key: sentence, figure and its numbers."""

    said: str
    plot: Any = field(default_factory=lambda: gr.update(visible=False))
    table: str = ""

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Experiment:
        return cls(markup.trouble(head, sentence))


def on_flip(
    case: Case,
    count: float,
    threshold: float,
    *,
    core: Core,
) -> Experiment:
    """Flip bits of the key: the visitor's own number of them, and the whole curve."""
    reading, key = case.open(core)
    threshold, chosen = exact(threshold, core.facts(case.method)), int(count)
    if chosen > key.bits:
        raise BadSetting(got=f"{chosen} bits to flip in a key of {key.bits}", mend=f"flip at most {key.bits}")
    places = sorted({place for place in controls.FLIP_PLACES if place <= key.bits} | {chosen})
    rng = stream(0, "demo, flipped bits")
    draws = [[key.flip_random(place, rng) for _ in range(controls.FLIP_DRAWS if place else 1)] for place in places]
    cosines = reading.with_keys([flipped for some in draws for flipped in some])
    parts = np.split(cosines, np.cumsum([len(some) for some in draws])[:-1])
    cosines_of = [
        (place, float(part.mean()), float(part.min()), float(part.max()))
        for place, part in zip(places, parts, strict=True)
    ]
    own = float(parts[places.index(chosen)][0])
    paper = {place: paper_figure("XII", f"{key.bits} bits, {place} wrong") for place in places}
    figure = plots.flipped_bits(
        cosines_of, threshold, (chosen, own), {place: value for place, value in paper.items() if value}
    )
    rows = [
        [
            str(place),
            f"{a:.3f}",
            f"{b:.3f}",
            f"{c:.3f}",
            words.NOT_YET if paper[place] is None else f"{paper[place]:.3f}",
        ]
        for place, a, b, c in cosines_of
    ]
    table = markup.table(words.FLIP_HEADERS, rows)
    return Experiment(words.flipped(chosen, own, threshold), gr.update(value=figure, visible=True), table)


def on_brute(
    case: Case,
    threshold: float,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Experiment:
    """Brute force: a thousand random keys of the same length."""
    check = visitor.stop.begin(request)
    reading, key = case.open(core)
    threshold = exact(threshold, core.facts(case.method))
    cosines = tried(reading, lambda: UserKey.generate(key.bits), controls.RANDOM_KEYS, progress, check)
    right = reading.with_key(key)
    chance = float(tail(threshold, right.dimension))
    said = words.brute(cosines, threshold, chance, right.dimension, key.bits)
    figure = plots.random_keys(cosines, right.dimension, threshold, right.cosine)
    edges = np.linspace(-1, 1, 21)
    counts, _ = np.histogram(cosines, edges)
    rows = [
        [f"{low:+.1f} to {high:+.1f}", str(n)] for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True) if n
    ]
    return Experiment(said, gr.update(value=figure, visible=True), markup.table(words.BRUTE_HEADERS, rows))


def tried(
    reading: Reading, make: Callable[[], UserKey], count: int, progress: gr.Progress, check: Callable[[], None]
) -> np.ndarray:
    """Cosines of `count` keys, a few at a time, so that the bar moves and Stop is heard."""
    parts: list[np.ndarray] = []
    for done in range(0, count, controls.RANDOM_KEYS_AT_ONCE):
        check()
        progress((done, count), desc=words.trying(done, count))
        parts.append(reading.with_keys([make() for _ in range(min(controls.RANDOM_KEYS_AT_ONCE, count - done))]))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Guessed(Outputs):
    """What a dictionary finds."""

    said: str

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Guessed:
        return cls(markup.trouble(head, sentence))


def on_dictionary(
    case: Case,
    known: str,
    threshold: float,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Guessed:
    """Guess the passphrase from common ones and from what is known about the visitor (section III-C)."""
    case.pictures()  # refuses missing ones, with words
    if not case.given.by_passphrase:
        return Guessed(words.DICTIONARY_HEX)
    check = visitor.stop.begin(request)
    reading, _ = case.open(core)
    threshold = exact(threshold, core.facts(case.method))
    guessed = guessing.guesses(known)[: controls.MOST_GUESSES]
    numbers = count()

    def cosine_of(guess: str) -> float:
        done = next(numbers)
        check()
        progress((done, len(guessed)), desc=words.trying(done, len(guessed)))
        return float(reading.with_keys([UserKey.from_passphrase(guess, bits=int(case.given.bits))])[0])

    return Guessed(words.dictionary(len(guessed), guessing.first_hit(cosine_of, guessed, threshold)))


@dataclass(frozen=True)
class Taken(Outputs):
    """What comes from the tab Anonymise; the key comes inside the browser."""

    virtual: Any = UNCHANGED
    original: Any = UNCHANGED
    walk: Any = UNCHANGED
    card: Any = UNCHANGED

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Taken:
        return cls(card=markup.trouble(head, sentence))


def on_take(visitor: Visitor, final: str | None) -> Taken:
    """The pictures of the last anonymisation, for this tab."""
    if visitor.original is None or final is None:
        raise BadSetting(got=words.NO_VIRTUAL[0], mend=words.NO_VIRTUAL[1])
    return Taken(final, visitor.original.pixels, diagrams.walkthrough(visitor.step))


def on_done(visitor: Visitor, final: str | None) -> Taken:
    """The same right after an anonymisation, which may have made nothing to take."""
    return Taken() if final is None else on_take(visitor, final)


def build(core: Core, visitor: gr.State, source: AnonymiseTab, public: bool = False) -> None:
    """Lay out and wire the tab."""
    methods = readers(core.methods())
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            gr.Markdown(words.AUTHENTICATE_LEAD, elem_classes="lead")
            with gr.Row():
                virtual = pictures.photo_box(words.VIRTUAL, "auth-virtual", height=220, min_width=130)
                original = pictures.photo_box(words.ORIGINAL_PHOTO, "auth-original", height=220, min_width=130)
            take = gr.Button(words.TAKE, elem_id="auth-take")
            keys = keys_panel.build("auth-key", words.KEY_READ, make=False)
            go = gr.Button(words.AUTH_RUN, variant="primary", elem_id="auth-run")
            with gr.Column(elem_id="auth-results"):
                answer = gr.HTML(markup.card("", words.AUTH_EMPTY, "empty"), elem_id="auth-answer")
            with gr.Accordion(words.ADVANCED_READ, open=False, elem_id="auth-advanced"):
                keys.lay_out_settings()
                method = controls.method_menu(methods, "auth-method")
                label = gr.Textbox(label=words.LABEL, info=words.LABEL_HELP, max_length=200, elem_id="auth-label")
        with gr.Column(scale=7, min_width=300):
            with gr.Row(elem_classes="run-line"):
                run = gr.Button(words.SCENARIOS_RUN, variant="primary", elem_id="scenarios-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="scenarios-stop", scale=1, min_width=80)
            with gr.Column(elem_id="scenarios-results"):
                said = gr.Markdown(words.SCENARIOS_EMPTY, elem_id="scenarios-words")
                bars = gr.Plot(label=words.SCENARIOS, visible=False, elem_id="scenarios-bars")
                table = gr.HTML(elem_id="scenarios-table")
            wanted = controls.KVFA_THRESHOLD
            threshold = gr.Slider(
                wanted.low,
                wanted.high,
                shown_threshold(core.facts(methods[0].name)),
                step=wanted.step,
                label=wanted.label,
                info=wanted.help,
                elem_id="auth-threshold",
            )
    with gr.Accordion(words.WALK, open=False, elem_id="walk-fold"):
        walk = gr.HTML(diagrams.walkthrough(0), elem_id="walk")
    inputs = [virtual, original, *keys.inputs, method, label]  # the fields of Case
    go.click(
        shown(on_authenticate, core=core, public=public),
        [*inputs, visitor],
        placed(Told, card=answer, walk=walk, visitor=visitor),
        js=browser.begin("auth-run", "auth-answer"),
        show_progress_on=[answer],
        **controls.LOOK,
    ).then(None, None, None, js=browser.end("auth-run", "auth-answer", "auth-results"))
    shown_ = placed(Decided, bars=bars, table=table, said=said)
    ran = placed(Ran, decided=shown_, walk=walk, visitor=visitor)
    scenarios = run.click(
        shown(on_scenarios, core=core),
        [*inputs, threshold, visitor],
        ran,
        js=browser.begin("scenarios-run", "scenarios-words"),
        show_progress_on=[said],
        **controls.HEAVY,
    )
    scenarios.then(None, None, None, js=browser.end("scenarios-run", "scenarios-words", "scenarios-results"))
    stop_button(scenarios, visitor, stop, Ran, ran, ("scenarios-run", "scenarios-words"))
    threshold.change(
        shown(on_threshold, core=core),
        [threshold, method, visitor],
        shown_,
        trigger_mode="always_last",
        **controls.LIGHT,
    )
    threshold.change(None, None, None, js=browser.stale(*ATTACKS))
    method.change(
        shown(on_method, core=core),
        [method, visitor],
        placed(Emptied, threshold=threshold, decided=shown_, visitor=visitor),
        show_progress_on=[said],
        **controls.LOOK,
    )
    changed = [virtual.change, original.change, keys.text.change, keys.passphrase.input, keys.form.change]
    changed += [keys.bits.input, label.input, method.change]
    gr.on(changed, None, js=browser.stale("auth-results", "scenarios-results", *ATTACKS))
    gr.on(changed[:-1], on_input, [visitor], [visitor], **controls.LIGHT)
    targets = placed(Taken, virtual=virtual, original=original, walk=walk, card=answer)
    for event, handler in ((take.click, on_take), *((event.success, on_done) for event in source.done)):
        # Pictures come by the server; the key goes from one tab to the other inside the browser.
        event(shown(handler), [visitor, source.final], targets, show_progress_on=[walk], **controls.LIGHT).success(
            None, [*keys.inputs, method], [*keys.inputs, method], js=browser.CARRY
        )
    _attacks(core, visitor, inputs, threshold)


ATTACKS = ("flip-results", "brute-results", "dictionary-results")


def _attacks(core: Core, visitor: gr.State, inputs: Sequence[Any], threshold: gr.Slider) -> None:
    gr.Markdown(words.ATTACKS)
    gr.Markdown(words.ATTACKS_LEAD, elem_classes="lead")
    with gr.Tabs():
        with gr.Tab(words.FLIP):
            wanted = controls.FLIP_COUNT
            with gr.Row():
                count = gr.Slider(
                    wanted.low,
                    wanted.high,
                    wanted.start,
                    step=wanted.step,
                    label=wanted.label,
                    elem_id="flip-count",
                    scale=4,
                    min_width=260,
                )
                flip = gr.Button(words.FLIP_RUN, elem_id="flip-run", min_width=120)
            flipped = _result("flip", words.FLIP_CURVE, "flipped-bits")
        with gr.Tab(words.BRUTE):
            with gr.Row(elem_classes="run-line"):
                brute = gr.Button(words.BRUTE_RUN, elem_id="brute-run", scale=3)
                brute_stop = gr.Button(words.STOP, min_width=80, elem_id="brute-stop")
            forced = _result("brute", words.BRUTE_PLOT, "random-keys")
        with gr.Tab(words.DICTIONARY):
            known = gr.Textbox(label=words.KNOWN, info=words.KNOWN_HELP, elem_id="known", max_length=200)
            with gr.Row(elem_classes="run-line"):
                dictionary = gr.Button(words.DICTIONARY_RUN, elem_id="dictionary-run", scale=3)
                dictionary_stop = gr.Button(words.STOP, min_width=80, elem_id="dictionary-stop")
            with gr.Column(elem_id="dictionary-results"):
                guessed = placed(Guessed, said=gr.Markdown(elem_id="dictionary-words", min_height=48))
    gr.on(
        [flip.click, count.release],
        shown(on_flip, core=core),
        [*inputs, count, threshold],
        flipped,
        js=browser.begin("flip-run", "flip-words"),
        show_progress_on=flipped[:1],
        **controls.LOOK,
    ).then(None, None, None, js=browser.end("flip-run", "flip-words", "flip-results"))
    for name, button, stop, handler, extra, record, outputs in (
        ("brute", brute, brute_stop, on_brute, [], Experiment, forced),
        ("dictionary", dictionary, dictionary_stop, on_dictionary, [known], Guessed, guessed),
    ):
        run = button.click(
            shown(handler, core=core),
            [*inputs, *extra, threshold, visitor],
            outputs,
            js=browser.begin(f"{name}-run", f"{name}-words"),
            show_progress_on=outputs[:1],
            **controls.HEAVY,
        )
        run.then(None, None, None, js=browser.end(f"{name}-run", f"{name}-words", f"{name}-results"))
        stop_button(run, visitor, stop, record, outputs, (f"{name}-run", f"{name}-words"))


def _result(name: str, title: str, file: str) -> list[Any]:
    """The components of an Experiment."""
    with gr.Column(elem_id=f"{name}-results"):
        said = gr.Markdown(elem_id=f"{name}-words", min_height=48)
        plot = gr.Plot(label=title, visible=False, elem_id=f"{name}-plot")
        with gr.Accordion(words.TABLE_TWIN, open=False):
            table = gr.HTML(elem_id=f"{name}-table")
            gr.Button(words.CSV).click(None, None, None, js=browser.save_table(f"{name}-table", file))
    return placed(Experiment, said=said, plot=plot, table=table)
