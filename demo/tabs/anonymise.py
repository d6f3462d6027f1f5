"""The tab Anonymise: photo and key in, virtual face out (Algorithm 1, Fig. 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, keys_panel, markup, pictures, words
from demo.core import Core
from demo.shown import Inputs, shown
from demo.visitor import Visitor, reporter, stop_button
from kfaar_core.metrics.pose import angle_difference, expression_cosines
from kfaar_core.records import Posture, VirtualFace


@dataclass(frozen=True)
class AnonymiseTab:
    """What other tabs take from here."""

    photo: gr.Image
    final: gr.Image
    keys: keys_panel.KeyPanel
    projector: gr.Radio
    done: Any  # the event after a virtual face has come


def on_photo(path: str | None, *, core: Core) -> tuple[str, Any, Any]:
    """A new photo: say what is seen, and offer a choice when there are several faces."""
    if path is None:
        return "", gr.update(visible=False), None
    photo = pictures.read_photo(path, words.NO_PHOTO)
    faces = core.faces(photo)
    choices = [(words.FACE_LARGEST, "largest"), *((str(n + 1), str(n)) for n in range(1, len(faces)))]
    seen = pictures.marked(photo, faces) if faces else None
    return words.faces_found(len(faces)), gr.update(choices=choices, value="largest", visible=len(faces) > 1), seen


@dataclass(frozen=True)
class Order(Inputs):
    """What the tab holds when its button is pressed."""

    path: str | None  # of the photo
    given: keys_panel.GivenKey
    projector: str
    face: str | None
    mode: str
    refine: bool


def on_anonymise(
    order: Order,
    visitor: Visitor,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> tuple[Any, ...]:
    """Anonymise one face and show every step of it."""
    photo = pictures.read_photo(order.path, words.NO_PHOTO)
    key = order.given.key()
    visitor.stop.asked = False
    which = "largest" if order.face in (None, "largest") else int(str(order.face))
    report = reporter(progress, visitor.stop, words.stage)
    answer = core.anonymise(
        photo, key, projector=order.projector, face=which, mode=order.mode, refine=order.refine, progress=report
    )
    whole = order.mode == "paste"
    before, after = (photo.pixels, answer.picture) if whole else (answer.crop.picture, answer.portrait)
    weak = order.given.weakness()
    notes = [*words.sentences([*photo.notes, *answer.warnings]), *([weak] if weak else [])]
    if not answer.detected:
        notes.append(words.UNDETECTED)
    if key.bits == 8:
        notes.append(words.EIGHT_BITS)
    head, body = words.decision(answer)
    return (
        markup.card(head, body, "good" if answer.anonymous else "bad", list(dict.fromkeys(notes))),
        gr.update(value=(pictures.small(before), pictures.small(after)), visible=True),
        gr.update(visible=True),
        pictures.marked(photo, [answer.crop.face]),
        pictures.small(answer.draft, 512),
        pictures.small(answer.portrait, 512),
        answer.picture,
        markup.table(words.POSTURE_HEADERS, posture_rows(answer), words.POSTURE),
        markup.table(["", ""], words.seconds(answer.seconds), words.TIMES),
        replace(visitor, original=photo, step=max(visitor.step, 3), outcomes=()),
    )


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
    gr.Markdown(words.ANONYMISE_LEAD, elem_classes="lead")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            photo = pictures.photo_box(words.PHOTO, "photo", height=300)
            seen = gr.Markdown(words.PHOTO_HELP, elem_id="seen")
            _examples(photo)
            keys = keys_panel.build("key")
            projector = controls.projector_menu(core.projectors(), "projector")
            with gr.Row():
                face = gr.Dropdown([(words.FACE_LARGEST, "largest")], value="largest", label=words.FACE, visible=False)
                mode = gr.Radio(list(controls.MODES.choices), value=controls.MODES.start, label=controls.MODES.label)
            refine = controls.refine_box("refine")
            with gr.Row():
                go = gr.Button(words.ANONYMISE_RUN, variant="primary", elem_id="anonymise-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="anonymise-stop", scale=1, min_width=80)
        with gr.Column(scale=7, min_width=320):
            summary = gr.HTML(markup.card("", words.RESULT_EMPTY, "empty"), elem_id="summary")
            slider = gr.ImageSlider(
                label=words.SLIDER,
                elem_id="slider",
                visible=False,
                interactive=False,
                max_height=520,
                buttons=["fullscreen"],
            )
            with gr.Column(visible=False) as steps:
                with gr.Row():
                    found = _step(words.FOUND)
                    draft = _step(words.DRAFT)
                    corrected = _step(words.CORRECTED)
                    final = _step(
                        words.FINAL, format="png", elem_id="final-picture", buttons=["download", "fullscreen"]
                    )
                with gr.Row():
                    save_picture = gr.Button(words.SAVE_PICTURE, size="sm", min_width=120)
                    save_key = gr.Button(words.SAVE_KEY, size="sm", min_width=120)
            posture = gr.HTML(elem_id="posture")
            times = gr.HTML(elem_id="times")
    photo.change(shown(on_photo, core=core), [photo], [seen, face, found], show_progress_on=[seen], **controls.HEAVY)
    run = go.click(
        shown(on_anonymise, core=core),
        [photo, *keys.inputs, projector, face, mode, refine, visitor],
        [summary, slider, steps, found, draft, corrected, final, posture, times, visitor],
        show_progress_on=[summary],
        **controls.HEAVY,
    )
    stop_button(run, visitor, stop)
    save_picture.click(None, None, None, js=browser.SAVE_PICTURE)
    save_key.click(None, [keys.text], None, js=browser.SAVE_KEY)
    return AnonymiseTab(photo, final, keys, projector, run)


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
