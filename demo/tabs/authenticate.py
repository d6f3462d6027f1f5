"""The tab Authenticate: the six steps of section III-B, scenarios 1 to 4 (Table VII), and attacks on the key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, diagrams, keys_panel, markup, pictures, words
from demo.core import Core, Facts, Reading
from demo.shown import Inputs, shown
from demo.tabs.anonymise import AnonymiseTab
from demo.visitor import Outcome, Stopped, Visitor, reporter, stop_button
from kfaar_core.errors import BadSetting
from kfaar_core.keys import COMMON_PASSPHRASES, UserKey
from kfaar_core.metrics.random_direction import tail
from kfaar_core.records import Photo
from kfaar_core.report import plots
from kfaar_core.report.paper_figures import paper_figure
from kfaar_core.runtime import stream


@dataclass(frozen=True)
class Case(Inputs):
    """What the tab holds when a button is pressed: two pictures, a key, and the form of P that made the face."""

    virtual: str | None
    original: str | None
    given: keys_panel.GivenKey
    projector: str

    def pictures(self) -> tuple[Photo, Photo]:
        """The virtual face and the original photo."""
        return (
            pictures.read_photo(self.virtual, words.NO_VIRTUAL),
            pictures.read_photo(self.original, words.NO_ORIGINAL),
        )

    def open(self, core: Core) -> tuple[Reading, UserKey]:
        """Both pictures, looked at, and the key."""
        face, photo = self.pictures()
        key = self.given.key()  # before the networks look, which takes a second
        return core.readout(face, photo, projector=self.projector), key


def on_authenticate(case: Case, visitor: Visitor, request: gr.Request, *, core: Core) -> tuple[str, str, Visitor]:
    """Algorithm 2 with the visitor's key; when it fails, say what may be wrong."""
    face, photo = case.pictures()
    key = case.given.key()
    answer = core.authenticate(face, photo, key, projector=case.projector, client=client_of(request))
    notes = [words.FITS]
    if not answer.same_person:
        swapped = core.readout(photo, face, projector=case.projector).with_key(key)
        notes = [words.SWAPPED if swapped.same_person else words.WRONG_KEY]
    visitor = replace(visitor, step=6 if answer.same_person else max(visitor.step, 5))
    head, body = words.verdict(answer)
    return (
        markup.card(head, body, "good" if answer.same_person else "bad", notes),
        diagrams.walkthrough(visitor.step),
        visitor,
    )


def client_of(request: gr.Request | None) -> str:
    """Whom the authentication server counts tries for."""
    client = getattr(request, "client", None)
    return str(getattr(client, "host", "local")) if client is not None else "local"


def on_scenarios(
    case: Case,
    threshold: float,
    visitor: Visitor,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> tuple[Any, ...]:
    """Scenarios 1 to 4 on the visitor's own pictures."""
    report = reporter(progress, visitor.stop, str)
    visitor.stop.asked = False
    report(words.scenario_line("4"), 0, 4)
    reading, key = case.open(core)
    outcomes = [
        Outcome("2", reading.without_key().cosine),
        Outcome("3", reading.with_key(another(key)).cosine),
        Outcome("4", reading.with_key(key).cosine),
    ]
    report(words.scenario_line("1"), 1, 4)
    face, photo = case.pictures()

    def between(stage: str, done: int, of: int) -> None:
        report(words.stage(stage), of + 2 * done, 4 * of)

    again = core.anonymise(face, key, projector=case.projector, face="largest", mode="portrait", progress=between)
    report(words.stage("judge"), 3, 4)
    judged = float(core.judge_cosines([photo, Photo(pixels=again.portrait)])[0, 1])
    first = Outcome("1", judged, by_recogniser=True)
    visitor = replace(visitor, outcomes=(first, *outcomes), step=max(visitor.step, 4))
    return (*decided(threshold, visitor, core.facts(case.projector)), diagrams.walkthrough(visitor.step), visitor)


def another(key: UserKey) -> UserKey:
    """A random key of the same length that is not this one."""
    while (other := UserKey.generate(key.bits)) == key:
        pass
    return other


def decided(threshold: float, visitor: Visitor, facts: Facts) -> tuple[Any, str, str]:
    """Bars, table and sentence of the outcomes at a threshold."""
    limits = [facts.judge_threshold if outcome.by_recogniser else threshold for outcome in visitor.outcomes]
    marks = [facts.judge_marks if outcome.by_recogniser else facts.marks for outcome in visitor.outcomes]
    accepted = [o.number for o, limit in zip(visitor.outcomes, limits, strict=True) if o.cosine >= limit]
    names = [words.scenario_line(outcome.number) for outcome in visitor.outcomes]
    figure = plots.scenario_bars(names, [outcome.cosine for outcome in visitor.outcomes], limits, marks)
    rows = []
    for outcome, limit in zip(visitor.outcomes, limits, strict=True):
        title, has, used = words.SCENARIO[outcome.number]
        decision = words.ACCEPTED if outcome.cosine >= limit else words.REFUSED
        rows.append([f"{outcome.number}  {title}", has, used, f"{outcome.cosine:z.2f}", f"{limit:.2f}", decision])
    table = markup.table(words.SCENARIO_HEADERS, rows, words.SCENARIO_TABLE)
    return gr.update(value=figure, visible=True), table, words.scenarios(accepted)


def on_threshold(threshold: float, projector: str, visitor: Visitor, *, core: Core) -> tuple[Any, Any, Any]:
    """Decide the outcomes anew; nothing is computed again."""
    if not visitor.outcomes:
        return gr.skip(), gr.skip(), gr.skip()
    return decided(threshold, visitor, core.facts(projector))


def on_projector(projector: str, visitor: Visitor, *, core: Core) -> tuple[Any, ...]:
    """Another form of P has another threshold, and the outcomes on the page were not its own."""
    at = round(core.facts(projector).threshold, 2)
    return at, gr.update(visible=False), "", words.SCENARIOS_EMPTY, replace(visitor, outcomes=())


def on_flip(
    case: Case,
    count: float,
    threshold: float,
    *,
    core: Core,
) -> tuple[str, Any, str]:
    """Flip bits of the key: the visitor's own number of them, and the whole curve."""
    reading, key = case.open(core)
    chosen = int(count)
    if chosen > key.bits:
        raise BadSetting(got=f"{chosen} bits to flip in a key of {key.bits}", mend=f"flip at most {key.bits}")
    places = sorted({place for place in controls.FLIP_PLACES if place <= key.bits} | {chosen})
    rng = stream(0, "demo, flipped bits")
    draws = [[key.flip_random(place, rng) for _ in range(controls.FLIP_DRAWS if place else 1)] for place in places]
    cosines = reading.with_keys([flipped for some in draws for flipped in some])
    parts = np.split(cosines, np.cumsum([len(some) for some in draws])[:-1])
    mean, low, high = ([float(kind(part)) for part in parts] for kind in (np.mean, np.min, np.max))
    own = float(parts[places.index(chosen)][0])
    paper = {place: paper_figure("XII", f"{key.bits} bits, {place} wrong") for place in places}
    figure = plots.flipped_bits(
        places, mean, low, high, threshold, (chosen, own), {place: value for place, value in paper.items() if value}
    )
    rows = [
        [
            str(place),
            f"{a:.3f}",
            f"{b:.3f}",
            f"{c:.3f}",
            words.NOT_YET if paper[place] is None else f"{paper[place]:.3f}",
        ]
        for place, a, b, c in zip(places, mean, low, high, strict=True)
    ]
    table = markup.table(words.FLIP_HEADERS, rows)
    return words.flipped(chosen, own, threshold), gr.update(value=figure, visible=True), table


def on_brute(
    case: Case,
    threshold: float,
    visitor: Visitor,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> tuple[str, Any, str]:
    """Brute force: a thousand random keys of the same length."""
    visitor.stop.asked = False
    reading, key = case.open(core)
    cosines = tried(reading, lambda: UserKey.generate(key.bits), controls.RANDOM_KEYS, progress, visitor)
    right = reading.with_key(key)
    chance = float(tail(threshold, right.dimension))
    said = words.brute(cosines, threshold, chance, right.dimension, key.bits)
    figure = plots.random_keys(cosines, right.dimension, threshold, right.cosine)
    edges = np.linspace(-1, 1, 21)
    counts, _ = np.histogram(cosines, edges)
    rows = [
        [f"{low:+.1f} to {high:+.1f}", str(n)] for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True) if n
    ]
    return said, gr.update(value=figure, visible=True), markup.table(words.BRUTE_HEADERS, rows)


def tried(
    reading: Reading, make: Callable[[], UserKey], count: int, progress: gr.Progress, visitor: Visitor
) -> np.ndarray:
    """Cosines of `count` keys, a few at a time, so that the bar moves and Stop is heard."""
    parts: list[np.ndarray] = []
    for done in range(0, count, controls.RANDOM_KEYS_AT_ONCE):
        if visitor.stop.asked:
            raise Stopped
        progress((done, count), desc=words.trying(done, count))
        parts.append(reading.with_keys([make() for _ in range(min(controls.RANDOM_KEYS_AT_ONCE, count - done))]))
    return np.concatenate(parts)


def on_dictionary(
    case: Case,
    known: str,
    threshold: float,
    visitor: Visitor,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> str:
    """Guess the passphrase from common ones and from what is known about the visitor (section III-C)."""
    case.pictures()  # refuses missing ones, with words
    if case.given.form != "passphrase":
        return words.DICTIONARY_HEX
    visitor.stop.asked = False
    reading, _ = case.open(core)
    guessed = guesses(known)
    for number, guess in enumerate(guessed, start=1):
        if visitor.stop.asked:
            raise Stopped
        progress((number - 1, len(guessed)), desc=words.trying(number - 1, len(guessed)))
        cosine = reading.with_keys([UserKey.from_passphrase(guess, bits=int(case.given.bits))])[0]
        if cosine >= threshold:
            return words.dictionary(len(guessed), number)
    return words.dictionary(len(guessed), None)


def guesses(known: str | None) -> list[str]:
    """What is known, alone and joined in pairs, then common passphrases; none twice, a bounded number."""
    facts = (known or "").split()[:8]
    joined = [first + second for first, second in permutations(facts, 2)]
    spelt = [form for fact in [*facts, *joined] for form in (fact, fact.lower())]
    return list(dict.fromkeys([*spelt, *sorted(COMMON_PASSPHRASES)]))[: controls.MOST_GUESSES]


def on_take(visitor: Visitor, final: str | None) -> tuple[Any, Any, str]:
    """The pictures of the last anonymisation, for this tab."""
    if visitor.original is None or final is None:
        raise BadSetting(got=words.NO_VIRTUAL[0], mend=words.NO_VIRTUAL[1])
    return final, visitor.original.pixels, diagrams.walkthrough(visitor.step)


def build(core: Core, visitor: gr.State, source: AnonymiseTab) -> None:
    """Lay out and wire the tab."""
    gr.Markdown(words.AUTHENTICATE_LEAD, elem_classes="lead")
    walk = gr.HTML(diagrams.walkthrough(0), elem_id="walk")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                virtual = pictures.photo_box(words.VIRTUAL, "auth-virtual", height=220, min_width=140)
                original = pictures.photo_box(words.ORIGINAL_PHOTO, "auth-original", height=220, min_width=140)
            take = gr.Button(words.TAKE, size="sm", elem_id="auth-take")
            keys = keys_panel.build("auth-key")
            projector = controls.projector_menu(core.projectors(), "auth-projector")
            go = gr.Button(words.AUTH_RUN, variant="primary", elem_id="auth-run")
            answer = gr.HTML(elem_id="auth-answer")
        with gr.Column(scale=7, min_width=320):
            with gr.Row():
                run = gr.Button(words.SCENARIOS_RUN, variant="primary", elem_id="scenarios-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="scenarios-stop", scale=1, min_width=80)
            said = gr.Markdown(words.SCENARIOS_EMPTY, elem_id="scenarios-words")
            bars = gr.Plot(label=words.SCENARIOS, visible=False, elem_id="scenarios-bars")
            wanted = controls.KVFA_THRESHOLD
            threshold = gr.Slider(
                wanted.low,
                wanted.high,
                round(core.facts(core.projectors()[0]).threshold, 2),
                step=wanted.step,
                label=wanted.label,
                info=wanted.help,
                elem_id="auth-threshold",
            )
            table = gr.HTML(elem_id="scenarios-table")
    inputs = [virtual, original, *keys.inputs, projector]  # the fields of Case
    go.click(
        shown(on_authenticate, core=core),
        [*inputs, visitor],
        [answer, walk, visitor],
        show_progress_on=[answer],
        **controls.HEAVY,
    )
    scenarios = run.click(
        shown(on_scenarios, core=core),
        [*inputs, threshold, visitor],
        [bars, table, said, walk, visitor],
        show_progress_on=[said],
        **controls.HEAVY,
    )
    threshold.change(
        shown(on_threshold, core=core),
        [threshold, projector, visitor],
        [bars, table, said],
        trigger_mode="always_last",
        **controls.LIGHT,
    )
    stop_button(scenarios, visitor, stop)
    projector.change(
        shown(on_projector, core=core),
        [projector, visitor],
        [threshold, bars, table, said, visitor],
        show_progress_on=[said],
        **controls.HEAVY,
    )
    targets = [virtual, original, walk]
    for event in (take.click, source.done.success):
        # Pictures come by the server; the key goes from one field of the page to the other inside the browser.
        event(shown(on_take), [visitor, source.final], targets, show_progress_on=[walk], **controls.LIGHT).success(
            None, [*source.keys.inputs, source.projector], [*keys.inputs, projector], js=browser.COPY
        )
    _attacks(core, visitor, inputs, threshold)


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
            flip_said, flip_plot, flip_table = _result("flip", words.FLIP_CURVE, "flipped-bits")
        with gr.Tab(words.BRUTE):
            with gr.Row():
                brute = gr.Button(words.BRUTE_RUN, elem_id="brute-run", scale=3)
                brute_stop = gr.Button(words.STOP, min_width=80)
            brute_said, brute_plot, brute_table = _result("brute", words.BRUTE_PLOT, "random-keys")
        with gr.Tab(words.DICTIONARY):
            known = gr.Textbox(label=words.KNOWN, info=words.KNOWN_HELP, elem_id="known", max_length=200)
            with gr.Row():
                dictionary = gr.Button(words.DICTIONARY_RUN, elem_id="dictionary-run", scale=3)
                dictionary_stop = gr.Button(words.STOP, min_width=80)
            dictionary_said = gr.Markdown(elem_id="dictionary-words", min_height=48)
    flip_event = shown(on_flip, core=core)
    flip_out = [flip_said, flip_plot, flip_table]
    flip.click(flip_event, [*inputs, count, threshold], flip_out, show_progress_on=[flip_said], **controls.HEAVY)
    count.release(flip_event, [*inputs, count, threshold], flip_out, show_progress_on=[flip_said], **controls.HEAVY)
    brute_run = brute.click(
        shown(on_brute, core=core),
        [*inputs, threshold, visitor],
        [brute_said, brute_plot, brute_table],
        show_progress_on=[brute_said],
        **controls.HEAVY,
    )
    dictionary_run = dictionary.click(
        shown(on_dictionary, core=core),
        [*inputs, known, threshold, visitor],
        [dictionary_said],
        show_progress_on=[dictionary_said],
        **controls.HEAVY,
    )
    stop_button(brute_run, visitor, brute_stop)
    stop_button(dictionary_run, visitor, dictionary_stop)


def _result(name: str, title: str, file: str) -> tuple[gr.Markdown, gr.Plot, gr.HTML]:
    said = gr.Markdown(elem_id=f"{name}-words", min_height=48)
    plot = gr.Plot(label=title, visible=False, elem_id=f"{name}-plot")
    with gr.Accordion(words.TABLE_TWIN, open=False):
        table = gr.HTML(elem_id=f"{name}-table")
        gr.Button(words.CSV, size="sm").click(None, None, None, js=browser.save_table(f"{name}-table", file))
    return said, plot, table
