"""The tab Anonymise: photo and key in, virtual face out (Algorithm 1, Fig. 7)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, keys_panel, markup, pictures, words
from demo.core import Core, Request, fault, readers
from demo.records import UNCHANGED, Inputs, Outputs, placed
from demo.shown import shown
from demo.visitor import Visitor, reporter, stop_button
from kfaar_core.metrics.pose import angle_difference, expression_cosines
from kfaar_core.records import Photo, Posture, Verdict, VirtualFace

LARGEST = "largest"


@dataclass(frozen=True)
class AnonymiseTab:
    """What other tabs take from here."""

    photo: gr.Image
    final: gr.Image
    keys: keys_panel.KeyPanel
    method: gr.Radio
    done: Any  # the event after a virtual face has come


@dataclass(frozen=True)
class Seen(Outputs):
    """What the detector finds in a new photo."""

    said: str
    face: Any  # the menu of faces
    which: Any  # the photo with numbered frames, to tap on

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Seen:
        return cls(f"**{head}.** {sentence}", *hidden())


def hidden() -> tuple[Any, Any]:
    """Menu and picture when there is nothing to choose."""
    return gr.update(choices=[(words.FACE_LARGEST, LARGEST)], value=LARGEST, visible=False), gr.update(
        value=None, visible=False
    )


def on_photo(path: str | None, *, core: Core) -> Seen:
    """A new photo: say what is seen, and offer a choice when there are several faces."""
    if path is None:
        return Seen(words.PHOTO_HELP, *hidden())
    photo = pictures.read_photo(path, words.NO_PHOTO)
    faces = core.faces(photo)
    said = words.faces_found(len(faces))
    if len(faces) < 2:
        return Seen(said, *hidden())
    choices = [(f"1, {words.FACE_LARGEST}", LARGEST), *((str(n + 1), str(n)) for n in range(1, len(faces)))]
    return Seen(
        said,
        gr.update(choices=choices, value=LARGEST, visible=True),
        gr.update(value=pictures.marked(photo, faces), visible=True),
    )


def on_tap(path: str | None, at: gr.SelectData, *, core: Core) -> Any:
    """The face under a tap on the photo with numbered frames, as the menu's value."""
    photo = pictures.read_photo(path, words.NO_PHOTO)
    number = pictures.face_at(core.faces(photo), photo.pixels.shape, *at.index)
    return UNCHANGED if number is None else LARGEST if number == 0 else str(number)


def on_face(path: str | None, face: str | None, *, core: Core) -> Any:
    """Another face was chosen: its frame is the thick one."""
    if path is None:
        return UNCHANGED
    photo = pictures.read_photo(path, words.NO_PHOTO)
    return pictures.marked(photo, core.faces(photo), number_of(face))


def number_of(face: str | None) -> int:
    """A value of the menu as a face's number, 0 being the largest."""
    return 0 if face in (None, LARGEST) else int(str(face))


@dataclass(frozen=True)
class Order(Inputs):
    """What the tab holds when its button is pressed."""

    path: str | None  # of the photo
    given: keys_panel.GivenKey
    method: str
    face: str | None
    mode: str
    refine: bool

    def request(self, photo: Photo) -> Request:
        """
        Raises:
            BadKey: no key, or none that can be used.
        """
        return Request(photo, self.given.key(), self.method, number_of(self.face), self.mode, self.refine)


@dataclass(frozen=True)
class Answer(Outputs):
    """A virtual face with every step of it, or why there is none; what is not given is cleared."""

    summary: str
    visitor: Any = UNCHANGED
    retry: Any = field(default_factory=lambda: gr.update(visible=False))
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

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Answer:
        return cls(markup.trouble(head, sentence))


def on_anonymise(
    order: Order,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Answer:
    """Anonymise one face and show every step of it."""
    check = visitor.stop.begin(request)
    photo = pictures.read_photo(order.path, words.NO_PHOTO)
    wanted = order.request(photo)
    answer = core.anonymise(wanted, reporter(progress, check))
    if answer.reading is None and answer.detected and wanted.method in {m.name for m in readers(core.methods())}:
        answer = replace(answer, reading=read_back(core, wanted, answer))
    return answered(order, photo, answer, visitor)


def read_back(core: Core, wanted: Request, answer: VirtualFace) -> Verdict:
    """What the key reads of a face for which the core did not say it, because it was not refined."""
    person = (
        wanted.photo if wanted.face == 0 else Photo(pixels=answer.crop.picture)
    )  # a read-out takes the largest face
    readout = core.readout(Photo(pixels=answer.portrait), person, method=wanted.method)
    return readout.with_key(wanted.key)


def answered(order: Order, photo: Photo, answer: VirtualFace, visitor: Visitor) -> Answer:
    """The page for a virtual face. One that betrays the person, or is no face, is not offered for saving."""
    code = fault(answer)
    keep = code in (None, "unread")
    by_passphrase = order.given.by_passphrase
    head, body = words.decision(answer, code, by_passphrase)
    card = markup.card(head, body, "bad" if code else "good", notes_on(order, photo, answer, code), done=keep)
    whole = order.mode == "paste"
    before, after = (photo.pixels, answer.picture) if whole else (answer.crop.picture, answer.portrait)
    shown_ = Answer(
        card,
        replace(visitor, original=photo, step=max(visitor.step, 3), outcomes=()),
        retry=gr.update(visible=code is not None and not by_passphrase),
        slider=gr.update(
            value=(pictures.small(before), pictures.signed(pictures.small(after))),
            slider_position=handle_at(answer, photo) if whole else 50,
            visible=answer.detected,
        ),
    )
    if not keep:
        return shown_
    return replace(
        shown_,
        saving=gr.update(visible=True),
        pair=words.PAIR_PASSPHRASE.format(bits=order.given.bits) if by_passphrase else words.PAIR,
        save_key=gr.update(visible=not by_passphrase),
        details=gr.update(visible=True),
        found=pictures.marked(photo, [answer.crop.face]),
        draft=pictures.signed(pictures.small(answer.draft, 512)),
        corrected=pictures.signed(pictures.small(answer.portrait, 512)),
        final=pictures.signed(answer.picture),
        posture=markup.table(words.POSTURE_HEADERS, posture_rows(answer), words.POSTURE),
        times=markup.table(["", ""], words.seconds(answer.seconds), words.TIMES),
    )


def notes_on(order: Order, photo: Photo, answer: VirtualFace, code: str | None) -> list[str]:
    """What else is to be said of a virtual face: reading, key and photo."""
    weak = order.given.weakness()
    notes = [words.read_back(answer.reading)] if answer.reading and code in (None, "unread") else []
    if code == "unread" and not order.refine:
        notes.append(words.UNREFINED_FAILS)
    notes += words.sentences(photo.notes)
    notes += [weak] if weak else []
    notes += [words.EIGHT_BITS] if answer.key.bits == 8 else []
    return notes


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


def build(core: Core, visitor: gr.State) -> AnonymiseTab:
    """Lay out and wire the tab."""
    methods = core.methods()
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            photo = pictures.photo_box(words.PHOTO, "photo", height=240)
            said = gr.Markdown(words.PHOTO_HELP, elem_id="seen")
            which = gr.Image(
                label=words.FACE_TAP, interactive=False, visible=False, height=240, buttons=[], elem_id="which-face"
            )
            face = gr.Radio(
                [(words.FACE_LARGEST, LARGEST)], value=LARGEST, label=words.FACE, visible=False, elem_id="face"
            )
            _examples(photo)
            keys = keys_panel.build("key", words.KEY, make=True)
            with gr.Row(elem_classes="run-line"):
                go = gr.Button(words.ANONYMISE_RUN, variant="primary", elem_id="anonymise-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="anonymise-stop", scale=1, min_width=80)
            with gr.Accordion(words.ADVANCED, open=False, elem_id="advanced"):
                keys.lay_out_settings()
                method = controls.method_menu(methods, "method")
                mode = gr.Radio(list(controls.MODES.choices), value=controls.MODES.start, label=controls.MODES.label)
                refine = controls.refine_box("refine")
        with gr.Column(scale=7, min_width=300, elem_id="anonymise-results"):
            outputs, retry, saves = _results(visitor)
    looked = placed(Seen, said=said, face=face, which=which)
    photo.change(shown(on_photo, core=core), [photo], looked, show_progress_on=[said], **controls.LOOK)
    which.select(shown(on_tap, core=core), [photo], [face], **controls.LOOK)
    face.change(shown(on_face, core=core), [photo, face], [which], show_progress="hidden", **controls.LOOK)
    inputs = [photo, *keys.inputs, method, face, mode, refine]
    run = go.click(
        shown(on_anonymise, core=core),
        [*inputs, visitor],
        list(outputs.values()),
        js=browser.begin("anonymise-run", "summary", key_at=1),
        show_progress_on=[outputs["summary"]],
        **controls.HEAVY,
    )
    kept = run.then(None, [outputs["summary"], *keys.inputs, method], None, js=browser.KEEP)
    stop_button(run, visitor, stop, Answer, placed(Answer, **outputs), ("anonymise-run", "summary"))
    old = browser.stale("anonymise-results")
    gr.on([photo.change, method.change, face.input, mode.change, refine.change, keys.form.change], None, js=old)
    gr.on([keys.text.change, keys.passphrase.input, keys.bits.input], None, js=old)
    retry.click(None, [keys.bits], [keys.text], js=browser.MAKE_KEY).success(
        None, None, None, js=browser.press("anonymise-run")
    )
    saves[0].click(None, [outputs["final"]], None, js=browser.SAVE_PICTURE)
    saves[1].click(None, None, None, js=browser.SAVE_KEY)
    return AnonymiseTab(photo, outputs["final"], keys, method, kept)


def _results(visitor: gr.State) -> tuple[dict[str, Any], gr.Button, tuple[gr.Button, gr.Button]]:
    """The right side: components by the names of Answer's fields, the button for another key, those that save."""
    summary = gr.HTML(markup.card("", words.RESULT_EMPTY, "empty"), elem_id="summary")
    retry = gr.Button(words.RETRY, visible=False, elem_id="retry")
    slider = gr.ImageSlider(
        label=words.SLIDER, elem_id="slider", visible=False, interactive=False, max_height=430, buttons=["fullscreen"]
    )
    with gr.Column(visible=False, elem_id="saving") as saving:
        with gr.Row():
            save_picture = gr.Button(words.SAVE_PICTURE, min_width=120, elem_id="save-picture")
            save_key = gr.Button(words.SAVE_KEY, min_width=120, elem_id="save-key")
        pair = gr.Markdown(elem_id="pair")
    with gr.Accordion(words.STEPS_TITLE, open=False, visible=False, elem_id="details") as details:
        with gr.Row():
            found, draft, corrected = _step(words.FOUND), _step(words.DRAFT), _step(words.CORRECTED)
            final = _step(words.FINAL, format="png", elem_id="final-picture")
        posture = gr.HTML(elem_id="posture")
        times = gr.HTML(elem_id="times")
    components = {
        "summary": summary,
        "visitor": visitor,
        "retry": retry,
        "slider": slider,
        "saving": saving,
        "pair": pair,
        "save_key": save_key,
        "details": details,
        "found": found,
        "draft": draft,
        "corrected": corrected,
        "final": final,
        "posture": posture,
        "times": times,
    }
    return components, retry, (save_picture, save_key)


def _step(label: str, **settings: Any) -> gr.Image:
    defaults: dict[str, Any] = {"format": "webp", "buttons": ["fullscreen"]}
    return gr.Image(
        label=label, alt_text=words.ALT[label], interactive=False, min_width=130, height=190, **(defaults | settings)
    )


def _examples(photo: gr.Image) -> None:
    found = [str(path) for path in pictures.examples()]
    if not found:
        gr.Markdown(words.NO_EXAMPLES)
        return
    gr.Examples(
        found, [photo], label=words.EXAMPLES, examples_per_page=12, cache_examples=False, api_visibility="private"
    )
