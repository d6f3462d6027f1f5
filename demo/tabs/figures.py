"""The tab Figures: Fig. 5 to Fig. 9a of the paper, of people who do not exist, and of the visitor's own photos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from demo import browser, controls, markup, pictures, words
from demo.core import Core, Request
from demo.records import Inputs, Outputs, placed
from demo.shown import shown
from demo.visitor import Visitor, reporter, stop_button
from kfaar_core.errors import BadPicture, DataMissing, NoFaceFound
from kfaar_core.keys import UserKey
from kfaar_core.records import Photo, VirtualFace
from kfaar_core.report.gallery import sheet

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "figures"
MADE = "figure-{}.jpg"  # by benchmarks.figures


@dataclass(frozen=True)
class Asked(Inputs):
    """Which figure, of which photos."""

    number: str
    photos: list[Any] | None
    method: str
    refine: bool


@dataclass(frozen=True)
class Drawn(Outputs):
    """One gallery."""

    said: str
    picture: Any = field(default_factory=lambda: gr.update(visible=False))

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Drawn:
        return cls(markup.trouble(head, sentence))


@dataclass
class Maker:
    """Makes the faces of a gallery through the core, with random keys, one for each name."""

    core: Core
    method: str
    refine: bool
    progress: Any
    keys: dict[str, UserKey] = field(default_factory=dict, repr=False)

    def key(self, name: str) -> UserKey:
        """The key with this name."""
        return self.keys.setdefault(name, UserKey.generate())

    def face(self, photo: Photo, key: UserKey) -> VirtualFace | None:
        """The virtual face of a photo's largest face; None without one."""
        try:
            return self.core.anonymise(Request(photo, key, self.method, refine=self.refine), self.progress)
        except NoFaceFound:
            return None


def on_figure(
    asked: Asked,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Drawn:
    """Draw one gallery of the visitor's photos; nothing of it is kept."""
    from kfaar_core.evaluate.galleries import FIGURES, gallery

    paths = [item[0] if isinstance(item, tuple | list) else item for item in asked.photos or []]
    if not paths:
        raise BadPicture(got=words.NO_PHOTO[0], mend=words.NO_PHOTO[1])
    if len(paths) > words.MAX_PHOTOS:
        raise BadPicture(got=words.TOO_MANY_PHOTOS[0], mend=words.TOO_MANY_PHOTOS[1])
    photos = [pictures.read_photo(path, words.NO_PHOTO) for path in paths]
    report = reporter(progress, visitor.stop.begin(request))
    drawn = gallery(asked.number, Maker(core, asked.method, asked.refine, report), photos)
    picture = gr.update(value=pictures.Encoded.of_face(sheet(drawn), pasted=True), visible=True)
    return Drawn(markup.card("", words.figure_drawn(FIGURES[asked.number].title), done=True), picture)


def on_number(number: str) -> Drawn:
    """The committed gallery of synthetic people."""
    picture = committed(number)
    if picture is None:
        raise DataMissing(got=words.NO_FIGURE[0], mend=words.NO_FIGURE[1])
    return Drawn(words.FIGURE_SYNTHETIC, gr.update(value=picture, visible=True))


def committed(number: str) -> Path | None:
    """A gallery that benchmarks.figures made; None without one."""
    path = FOLDER / MADE.format(number)
    return path if path.exists() else None


def build(core: Core, visitor: gr.State) -> None:
    """Lay out and wire the tab."""
    gr.Markdown(words.FIGURES_LEAD, elem_classes="lead")
    menu = controls.FIGURE
    number = gr.Radio(list(menu.choices), value=menu.start, label=menu.label, elem_id="figures-number")
    first = committed(menu.start)
    said = gr.HTML(words.FIGURE_SYNTHETIC if first is not None else "", elem_id="figures-words")
    picture = pictures.EncodedImage(
        first,
        label=words.FIGURE_LABEL,
        alt_text=words.FIGURE_ALT,
        interactive=False,
        visible=first is not None,
        elem_id="figures-picture",
    )
    outputs = placed(Drawn, said=said, picture=picture)
    number.input(shown(on_number), [number], outputs, **controls.LIGHT)
    gr.Markdown(words.FIGURE_OWN)
    photos = gr.Gallery(
        label=words.FIGURE_PHOTOS, type="filepath", columns=4, height=160, interactive=True, elem_id="figures-photos"
    )
    with gr.Row(elem_classes="run-line"):
        method = controls.method_menu(core.methods(), "figures-method")
        refine = controls.refine_box("figures-refine")
    with gr.Row(elem_classes="run-line"):
        go = gr.Button(words.FIGURE_RUN, variant="primary", elem_id="figures-run", scale=3)
        stop = gr.Button(words.STOP, elem_id="figures-stop", scale=1, min_width=80)
    run = go.click(
        shown(on_figure, core=core),
        [number, photos, method, refine, visitor],
        outputs,
        js=browser.begin("figures-run", "figures-words"),
        show_progress_on=[said],
        **controls.HEAVY,
    )
    run.then(None, None, None, js=browser.end("figures-run", "figures-words", "figures-picture"))
    stop_button(run, visitor, stop, Drawn, outputs, ("figures-run", "figures-words"))
    gr.Markdown(words.FIGURES_MORE)
