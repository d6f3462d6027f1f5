"""The tab Anonymise: photo and key in, virtual face out (Algorithm 1, Fig. 7)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import numpy as np

from demo import (
    browser,
    controls,
    faces_panel,
    first_screen,
    keys_panel,
    many_panel,
    markup,
    pictures,
    remember,
    saving_panel,
    words,
)
from demo.core import Core, Request, fault, readers
from demo.examples import Example, examples, public_keys
from demo.pace import ENROLLING, PACE, Seldom, left, share
from demo.pictures import Encoded
from demo.records import UNCHANGED, Inputs, Outputs, placed
from demo.shown import shown
from demo.steps import Steps
from demo.visitor import Visitor, stop_button
from kfaar_core.errors import BadSetting, OtherPerson
from kfaar_core.metrics.pose import angle_difference, expression_cosines
from kfaar_core.records import GroupPhoto, Photo, Posture, Verdict, VirtualFace


@dataclass(frozen=True)
class AnonymiseTab:
    """What other tabs take from here."""

    photo: gr.Image
    final: gr.Image
    keys: keys_panel.KeyPanel
    method: gr.Radio
    done: list[Any]  # the events after a virtual face has come, made now or shown as an example


@dataclass(frozen=True)
class Order(Inputs):
    """What the tab holds when its button is pressed."""

    path: str | None  # of the photo
    given: keys_panel.GivenKey
    method: str
    faces: list[str] | None
    mode: str
    refine: bool
    remember: bool

    def request(self, photo: Photo) -> Request:
        """
        Raises:
            BadKey: no key, or none that can be used.
            BadSetting: no face is chosen.
        """
        numbers = faces_panel.numbers_of(self.faces)
        if not numbers:
            raise BadSetting(got=words.NO_FACE_CHOSEN[0], mend=words.NO_FACE_CHOSEN[1])
        enrol = self.remember and len(numbers) == 1
        return Request(photo, self.given.key(), self.method, numbers, self.mode, self.refine, enrol=enrol)


@dataclass(frozen=True)
class Answer(Outputs):
    """A virtual face with every step of it, or why there is none; what is not given is cleared."""

    summary: str
    visitor: Any = UNCHANGED
    retry: Any = field(default_factory=lambda: gr.update(visible=False))
    preview: Any = field(default_factory=lambda: gr.update(value=None, visible=False))
    slider: Any = field(default_factory=lambda: gr.update(value=None, visible=False))
    saving: Any = field(default_factory=lambda: gr.update(visible=False))
    pair: str = ""
    save_key: Any = field(default_factory=lambda: gr.update(visible=False))
    details: Any = field(default_factory=lambda: gr.update(visible=False))
    found: Any = None
    draft: Any = None
    corrected: Any = None
    final: Any = None
    posture: str = ""
    times: str = ""
    sealed: str = field(default="", repr=False)  # whom the key of this face remembers

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Answer:
        return cls(markup.trouble(head, sentence))

    @classmethod
    def going_on(cls, card: str, **changed: Any) -> Answer:
        """The page while a face is drawn: the card, and what else has changed."""
        same = {name: UNCHANGED for name in cls.__dataclass_fields__}
        return cls(**same | {"summary": card} | changed)


def on_anonymise(
    order: Order, held: str | None, visitor: Visitor, request: gr.Request, *, core: Core
) -> Iterator[Answer]:
    """Anonymise the chosen faces: a draft as soon as there is one, then better ones, then the answer.

    Args:
        held: people whom keys remember, from the browser (demo.remember).
    """
    check = visitor.stop.begin(request)
    photo = pictures.read_photo(order.path, words.NO_PHOTO)
    wanted = order.request(photo)
    several, networks = len(wanted.faces) > 1, core.fingerprint(order.method)
    before = remember.known(held or "", wanted.key, networks) if wanted.enrol else None
    if before:
        wanted = replace(wanted, enrol=False, person=before.person)
    refines, work = order.refine and before is None, ENROLLING if wanted.enrol and order.refine else 1.0
    expected = PACE.expected(order.method, refines) * work * len(wanted.faces)
    began = time.monotonic()
    yield Answer(markup.working(words.stage("locate"), 0.0, words.left_over(expected)))

    def draw(tell: Any) -> VirtualFace | GroupPhoto:
        def progress(*step: Any) -> None:
            check()
            tell(*step)

        return (core.anonymise_group if several else core.anonymise)(wanted, progress, tell)

    steps, card, due = Steps(draw), "", Seldom()
    for stage, first, *rest in told(steps):
        if isinstance(first, np.ndarray):
            shown_ = gr.update(value=Encoded.of_face(first), label=words.PREVIEWS[stage], visible=True)
            yield Answer.going_on(card, preview=shown_)
            continue
        of, index = rest[0], rest[1] if len(rest) > 1 else 0
        if not due((stage, index)):
            continue
        done = (index + share(stage, first, of)) / len(wanted.faces)
        name = words.face_of(index, len(wanted.faces)) if several else ""
        over = words.left_over(left(expected, time.monotonic() - began, done))
        card = markup.working(name + words.stage(stage, first, of), done, over)
        yield Answer.going_on(card)
    answer = steps.result
    PACE.took(order.method, refines, (time.monotonic() - began) / work / len(wanted.faces))
    if isinstance(answer, GroupPhoto):
        yield answered_group(order, photo, answer, len(core.faces(photo)), visitor)
    else:
        if answer.reading is None and answer.detected and wanted.method in {m.name for m in readers(core.methods())}:
            answer = replace(answer, reading=read_back(core, wanted, answer))
        sealed = before.sealed if before else remember.sealed(answer, networks) if wanted.enrol else ""
        said = words.remembers(bool(before), bool(sealed), order.given.by_passphrase) if order.remember else ""
        face = answered(order, photo, answer, visitor, said)
        yield replace(face, sealed=sealed) if face.final else face


def told(steps: Steps) -> Iterator[tuple[Any, ...]]:
    """The steps, and in words that the key remembers somebody else than the photo shows."""
    try:
        yield from steps
    except OtherPerson:
        raise OtherPerson(got=words.OTHER_PERSON[0], mend=words.OTHER_PERSON[1]) from None


def read_back(core: Core, wanted: Request, answer: VirtualFace) -> Verdict:
    """What the key reads of a face for which the core did not say it, because it was not refined."""
    person = (
        wanted.photo if wanted.faces == (0,) else Photo(pixels=answer.crop.picture)
    )  # a read-out takes the largest face
    readout = core.readout(Photo(pixels=answer.portrait), person, method=wanted.method)
    return readout.with_key(wanted.key)


def kept(order: Order, photo: Photo, visitor: Visitor) -> dict[str, Any]:
    """What an answer that may be saved says of its key, and what the other tabs are given."""
    by_passphrase = order.given.by_passphrase
    return {
        "visitor": replace(visitor, original=photo, step=max(visitor.step, 3), outcomes=()),
        "saving": gr.update(visible=True),
        "pair": words.PAIR_PASSPHRASE.format(bits=order.given.bits) if by_passphrase else words.PAIR,
        "save_key": gr.update(visible=not by_passphrase),
    }


def compared(before: np.ndarray, after: np.ndarray, handle: float = 50.0) -> Any:
    """The slider over two pictures; the second one is synthetic."""
    pair = Encoded.of_photo(pictures.small(before)), Encoded.of_face(pictures.small(after))
    return gr.update(value=pair, slider_position=handle, visible=True)


def answered(order: Order, photo: Photo, answer: VirtualFace, visitor: Visitor, said: str = "") -> Answer:
    """The page for a virtual face. One that betrays the person, or is no face, is not offered for saving.

    Args:
        said: whether the key remembers the person.
    """
    code = fault(answer)
    keep = code in (None, "unread")
    by_passphrase = order.given.by_passphrase
    head, body = words.decision(answer, code, by_passphrase)
    notes = notes_on(order, photo, answer, code)
    if said and keep:
        notes.append(said)
    card = markup.card(head, body, "bad" if code else "good", notes, done=keep)
    whole = order.mode == "paste"
    before, after = (photo.pixels, answer.picture) if whole else (answer.crop.picture, answer.portrait)
    shown_ = Answer(card, retry=gr.update(visible=code is not None and not by_passphrase))
    if answer.detected:
        shown_ = replace(shown_, slider=compared(before, after, handle_at(answer, photo) if whole else 50.0))
    if not keep:
        return replace(shown_, visitor=replace(visitor, original=photo, step=max(visitor.step, 3), outcomes=()))
    return replace(
        shown_,
        **kept(order, photo, visitor),
        details=gr.update(visible=True),
        found=pictures.framed(photo, [answer.crop.face]),
        draft=Encoded.of_face(pictures.small(answer.draft, 512)),
        corrected=Encoded.of_face(pictures.small(answer.portrait, 512)),
        final=Encoded.of_face(answer.picture, ".png", pasted=whole),
        posture=markup.table(words.POSTURE_HEADERS, posture_rows(answer), words.POSTURE),
        times=markup.table(["", ""], words.seconds(answer.seconds), words.TIMES),
    )


def answered_group(order: Order, photo: Photo, answer: GroupPhoto, of: int, visitor: Visitor) -> Answer:
    """The page for a photo in which several faces were replaced.

    Args:
        of: faces in the photo.
    """
    code = "hidden" if answer.pixelated else None
    head, body = words.group_decision(answer)
    alone = sorted(set(range(of)) - set(answer.replaced) - set(answer.pixelated))
    notes = words.group_notes(answer, alone) + about_key(order, order.given.key().bits)
    if order.remember:
        notes.append(words.SEVERAL_NOT_ENROLLED)
    done = bool(answer.replaced)
    shown_ = Answer(
        markup.card(head, body, "bad" if code else "good", [*notes, *words.sentences(photo.notes)], done=done),
        retry=gr.update(visible=code is not None and not order.given.by_passphrase),
        slider=compared(photo.pixels, answer.picture),
    )
    if not done:
        return shown_
    final = Encoded.of_face(answer.picture, ".png", pasted=True)
    return replace(shown_, **kept(order, photo, visitor), final=final)


def notes_on(order: Order, photo: Photo, answer: VirtualFace, code: str | None) -> list[str]:
    """What else is to be said of a virtual face: reading, key and photo."""
    notes = [words.read_back(answer.reading)] if answer.reading and code in (None, "unread") else []
    if code == "unread" and not order.refine:
        notes.append(words.UNREFINED_FAILS)
    return [*notes, *words.sentences(photo.notes), *about_key(order, answer.key.bits)]


def about_key(order: Order, bits: int) -> list[str]:
    """What is weak about a key."""
    weak = order.given.weakness()
    notes = [weak] if weak else []
    notes += [words.EIGHT_BITS] if bits == 8 else []
    public = not order.given.by_passphrase and (order.given.text or "").strip() in public_keys()
    return [*notes, *([words.PUBLIC_KEY] if public else [])]


@dataclass(frozen=True)
class Filled(Outputs):
    """An example: its photo, and the answer that was made before. Its key is filled in by the browser."""

    photo: Any
    faces: Any = UNCHANGED
    method: Any = UNCHANGED
    answer: Answer = field(default_factory=lambda: Answer(first_screen.asks()))


def on_example(number: int, visitor: Visitor, *, core: Core) -> Filled:
    """Fill everything in, and show the committed answer at once."""
    example = examples()[number]
    if example.answer is None:
        return Filled(str(example.photo))
    visitor.stop.ask()  # what is being drawn would take the answer's place
    photo = pictures.read_photo(str(example.photo), words.NO_PHOTO)
    answer = example_answer(example, photo, visitor)
    numbers = [str(number) for number in range(example.answer.faces)]
    faces = gr.update(
        choices=[(str(int(number) + 1), number) for number in numbers], value=numbers, visible=len(numbers) > 1
    )
    return Filled(str(example.photo), faces, core.methods()[0].name, answer)


def example_answer(example: Example, photo: Photo, visitor: Visitor) -> Answer:
    """The page for an example's committed answer."""
    made = example.answer
    assert made is not None
    head, body = words.example_decision(made)
    return Answer(
        markup.card(head, body, "good", words.example_notes(made), done=True),
        replace(visitor, original=photo, step=max(visitor.step, 3), outcomes=()),
        slider=gr.update(
            value=(Encoded.of_face(pictures.small(photo.pixels)), made.path), slider_position=50.0, visible=True
        ),
        saving=gr.update(visible=True),
        pair=words.PAIR_EXAMPLE,
        save_key=gr.update(visible=True),
        final=made.path,
    )


def handle_at(answer: VirtualFace, photo: Photo) -> float:
    """Where the handle between before and after starts: the middle of the face, in percent of the photo's width."""
    left, right = float(answer.crop.face.box[0]), float(answer.crop.face.box[2])
    return round(min(95.0, max(5.0, 50 * (left + right) / photo.pixels.shape[1])), 1)


def posture_rows(answer: VirtualFace) -> list[list[str]]:
    """Pose and expression of the photo, of x' and of x_v, and what is left of the difference."""
    photo, before, after = answer.posture_original, answer.posture_before, answer.posture_after
    rows = []
    for name, start, middle, end in zip(words.DEGREES, angles(photo), angles(before), angles(after), strict=True):
        left = float(angle_difference(np.array(start), np.array(end)))
        rows.append([name, f"{start:+z.1f}", f"{middle:+z.1f}", f"{end:+z.1f}", f"{left:.1f}"])
    shapes = np.stack([before.blendshapes, after.blendshapes])
    alike = expression_cosines(np.stack([photo.blendshapes] * 2), shapes)
    return [*rows, [words.EXPRESSION, "1.00", f"{alike[0]:z.2f}", f"{alike[1]:z.2f}", f"{1 - alike[1]:z.2f}"]]


def angles(posture: Posture) -> tuple[float, float, float]:
    return posture.yaw, posture.pitch, posture.roll


def on_pace(faces: list[str] | None, method: str, refine: bool, remember_: bool) -> str:
    """How long the chosen faces will take."""
    enrols = refine and remember_ and len(faces or []) == 1
    seconds = PACE.expected(method, refine) * len(faces or []) * (ENROLLING if enrols else 1.0)
    return words.takes(seconds, len(faces or []), enrols)


def build(core: Core, visitor: gr.State) -> AnonymiseTab:
    """Lay out and wire the tab."""
    methods = core.methods()
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            chosen = first_screen.example_menu()
            photo = pictures.photo_box(words.PHOTO, "photo", height=215)
            panel = faces_panel.build()
            keys = keys_panel.build("key", words.KEY, make=True)
            with gr.Row(elem_classes="run-line"):
                go = gr.Button(words.ANONYMISE_RUN, variant="primary", elem_id="anonymise-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="anonymise-stop", scale=1, min_width=80)
            pace = gr.Markdown(on_pace(["0"], methods[0].name, True, False), elem_id="pace", elem_classes="hint")
            with gr.Accordion(words.ADVANCED, open=False, elem_id="advanced"):
                keys.lay_out_settings()
                method = controls.method_menu(methods, "method")
                mode = gr.Radio(
                    list(controls.MODES.choices),
                    value=controls.MODES.start,
                    label=controls.MODES.label,
                    info=words.MODE_HELP,
                )
                refine = controls.refine_box("refine")
                again = gr.Checkbox(False, label=words.REMEMBER, info=words.REMEMBER_HELP, elem_id="remember")
        with gr.Column(scale=7, min_width=300, elem_id="anonymise-results"):
            outputs, retry, saving = _results(visitor)
    with gr.Accordion(words.MANY, open=False, elem_id="many"):
        many_panel.build(core, visitor, keys, method, refine)
    faces_panel.wire(panel, photo, core)
    inputs = [photo, *keys.inputs, method, panel.faces, mode, refine, again]
    asked = [panel.faces, method, refine, again]
    answer = placed(Answer, **outputs)
    run = go.click(
        shown(on_anonymise, core=core),
        [*inputs, outputs["sealed"], visitor],
        answer,
        js=browser.begin_face("anonymise-run", "summary", "anonymise-results"),
        show_progress_on=[outputs["summary"]],
        **controls.HEAVY,
    )
    done = [run.then(None, [outputs["summary"], outputs["sealed"], *inputs], None, js=browser.KEEP)]
    keys.loaded.then(None, [again], [again], js=browser.REMEMBERS)
    stop_button(run, visitor, stop, Answer, answer, ("anonymise-run", "summary"))
    if chosen is not None:
        filled = placed(Filled, photo=photo, faces=panel.faces, method=method, answer=answer)
        example = chosen.click(
            shown(on_example, core=core),
            [chosen, visitor],
            filled,
            js=browser.ON_EXAMPLE,
            cancels=[run],
            **controls.LIGHT,
        ).then(None, [keys.form, keys.text], [keys.form, keys.text], js=browser.EXAMPLE_KEY)
        done.append(example.then(None, [outputs["summary"], *inputs], None, js=browser.KEEP_EXAMPLE))
    changed = [
        photo.change,
        method.change,
        panel.faces.change,
        mode.change,
        refine.change,
        again.change,
        keys.form.change,
    ]
    changed += [keys.text.change, keys.passphrase.input, keys.bits.input]
    gr.on(changed, None, inputs, None, js=browser.compare("anonymise-results"))
    gr.on([photo.upload, photo.input], None, [keys.text, keys.bits], [keys.text], js=browser.OWN_KEY)
    estimate = shown(on_pace)
    gr.on([panel.faces.change, method.change, refine.change, again.change], estimate, asked, [pace], **controls.LIGHT)
    run.then(estimate, asked, [pace], **controls.LIGHT)
    retry.click(None, [keys.bits], [keys.text], js=browser.MAKE_KEY).success(
        None, None, None, js=browser.press("anonymise-run")
    )
    saving.wire(outputs["final"], outputs["sealed"])
    return AnonymiseTab(photo, outputs["final"], keys, method, done)


def _results(visitor: gr.State) -> tuple[dict[str, Any], gr.Button, saving_panel.SavingPanel]:
    """The right side: components by the names of Answer's fields, the button for another key, what saves."""
    summary = gr.HTML(first_screen.finished(), elem_id="summary")
    retry = gr.Button(words.RETRY, visible=False, elem_id="retry")
    preview = pictures.EncodedImage(
        label=words.DRAFT,
        interactive=False,
        visible=False,
        height=430,
        buttons=[],
        elem_id="preview",
        alt_text=words.ALT[words.DRAFT],
    )
    slider = pictures.EncodedSlider(
        label=words.SLIDER, interactive=False, elem_id="slider", visible=False, max_height=430, buttons=["fullscreen"]
    )
    saving = saving_panel.build()
    with gr.Accordion(words.STEPS_TITLE, open=False, visible=False, elem_id="details") as details:
        with gr.Row():
            found = gr.Image(format="webp", **_step(words.FOUND))
            draft, corrected = (pictures.EncodedImage(**_step(label)) for label in (words.DRAFT, words.CORRECTED))
            final = pictures.EncodedImage(**_step(words.FINAL), elem_id="final-picture")
        posture = gr.HTML(elem_id="posture")
        times = gr.HTML(elem_id="times")
    sealed = gr.Textbox(label=words.SEALED, visible=False)
    components = {
        "summary": summary,
        "visitor": visitor,
        "retry": retry,
        "preview": preview,
        "slider": slider,
        "saving": saving.whole,
        "pair": saving.pair,
        "save_key": saving.save_key,
        "details": details,
        "found": found,
        "draft": draft,
        "corrected": corrected,
        "final": final,
        "posture": posture,
        "times": times,
        "sealed": sealed,
    }
    return components, retry, saving


def _step(label: str) -> dict[str, Any]:
    shape = {"min_width": 130, "height": 190, "interactive": False}
    return {"label": label, "alt_text": words.ALT[label], "buttons": ["fullscreen"], **shape}
