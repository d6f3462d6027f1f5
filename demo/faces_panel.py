"""Which faces of a photo are replaced: numbered frames to tap on, and boxes to tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo import controls, pictures, words
from demo.core import Core
from demo.records import Outputs, placed
from demo.shown import shown


@dataclass(frozen=True)
class FacesPanel:
    """Its components; the values of `faces` are numbers from 0, the largest, as text."""

    said: gr.Markdown
    which: gr.Image
    faces: gr.CheckboxGroup
    everybody: gr.Button


@dataclass(frozen=True)
class Seen(Outputs):
    """What the detector finds in a new photo."""

    said: str
    faces: Any
    which: Any  # the photo with numbered frames
    everybody: Any

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Seen:
        return alone(f"**{head}.** {sentence}")


def alone(said: str) -> Seen:
    """There is nothing to choose."""
    hidden = gr.update(visible=False)
    return Seen(said, gr.update(choices=[("1", "0")], value=["0"], visible=False), hidden, hidden)


def on_photo(path: str | None, *, core: Core) -> Seen:
    """A new photo: say what is seen, and offer a choice when there are several faces. All are chosen at first."""
    if path is None:
        return alone(words.PHOTO_HELP)
    photo = pictures.read_photo(path, words.NO_PHOTO)
    faces = core.faces(photo)
    said = words.faces_found(len(faces))
    if len(faces) < 2:
        return alone(said)
    every = [str(number) for number in range(len(faces))]
    return Seen(
        said,
        gr.update(choices=[(str(number + 1), str(number)) for number in range(len(faces))], value=every, visible=True),
        gr.update(value=pictures.framed(photo, faces, range(len(faces))), visible=True),
        gr.update(visible=True),
    )


def on_tap(path: str | None, chosen: list[str] | None, at: gr.SelectData, *, core: Core) -> list[str]:
    """A tap on the photo takes the face under it out of the choice, or into it."""
    photo = pictures.read_photo(path, words.NO_PHOTO)
    number = pictures.face_at(core.faces(photo), photo.pixels.shape, *at.index)
    kept = set(chosen or [])
    return sorted(kept if number is None else kept ^ {str(number)}, key=int)


def on_choice(path: str | None, chosen: list[str] | None, *, core: Core) -> Any:
    """Other faces were chosen: their frames are the thick ones."""
    photo = pictures.read_photo(path, words.NO_PHOTO)
    return pictures.framed(photo, core.faces(photo), numbers_of(chosen))


def on_everybody(path: str | None, *, core: Core) -> list[str]:
    """All faces."""
    return [str(number) for number in range(len(core.faces(pictures.read_photo(path, words.NO_PHOTO))))]


def numbers_of(chosen: list[str] | None) -> tuple[int, ...]:
    """Values of the boxes as numbers, the largest face first."""
    return tuple(sorted(int(value) for value in chosen or []))


def build() -> FacesPanel:
    """Lay out the panel, hidden until there are several faces."""
    said = gr.Markdown(words.PHOTO_HELP, elem_id="seen")
    which = gr.Image(
        label=words.FACE_TAP, interactive=False, visible=False, height=240, buttons=[], elem_id="which-face"
    )
    with gr.Row(elem_classes="faces-line"):
        faces = gr.CheckboxGroup(
            [("1", "0")], value=["0"], label=words.FACES, info=words.FACES_HELP, visible=False, elem_id="faces", scale=3
        )
        everybody = gr.Button(words.EVERYBODY, visible=False, elem_id="everybody", min_width=110, scale=1)
    return FacesPanel(said, which, faces, everybody)


def wire(panel: FacesPanel, photo: gr.Image, core: Core) -> None:
    """Let the panel follow the photo."""
    looked = placed(Seen, said=panel.said, faces=panel.faces, which=panel.which, everybody=panel.everybody)
    photo.change(shown(on_photo, core=core), [photo], looked, show_progress_on=[panel.said], **controls.LOOK)
    quiet = controls.LOOK | {"show_progress": "hidden"}
    panel.which.select(shown(on_tap, core=core), [photo, panel.faces], [panel.faces], **quiet)
    panel.faces.change(shown(on_choice, core=core), [photo, panel.faces], [panel.which], **quiet)
    panel.everybody.click(shown(on_everybody, core=core), [photo], [panel.faces], **quiet)
