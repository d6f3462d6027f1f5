"""The buttons that save a virtual face and its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import browser, controls, pictures, words
from demo.pictures import Encoded
from demo.shown import shown
from kfaar_core import mark


@dataclass(frozen=True)
class SavingPanel:
    """Its components, and what connects them with the picture."""

    whole: gr.Column
    pair: gr.Markdown
    save_key: gr.Button
    wire: Callable[[gr.Image, gr.Textbox], None]


def on_save(path: str | None, ending: str) -> Any:
    """The picture in another format, with the mark that it has."""
    if path is None or Path(path).suffix == ending:
        return path
    with Image.open(path) as picture:
        pasted = mark.COMPOSITE.encode() in picture.info.get("xmp", b"")
        return Encoded.of_face(np.asarray(picture.convert("RGB")), ending, pasted=pasted)


def build() -> SavingPanel:
    """Lay out the panel, hidden until there is something to save."""
    with gr.Column(visible=False, elem_id="saving") as whole:
        with gr.Row(elem_classes="saving-line"):
            picture = gr.Button(words.SAVE_PICTURE, min_width=120, elem_id="save-picture")
            key = gr.Button(words.SAVE_KEY, min_width=120, elem_id="save-key")
            menu = controls.ENDINGS
            ending = gr.Dropdown(
                list(menu.choices), value=menu.start, label=menu.label, elem_id="save-as", min_width=150
            )
        pair = gr.Markdown(elem_id="pair")
        ready = pictures.EncodedImage(label=words.FINAL, visible=False, elem_id="ready")

    def wire(final: gr.Image, sealed: gr.Textbox) -> None:
        picture.click(shown(on_save), [final, ending], [ready], **controls.LIGHT).success(
            None, [ready], None, js=browser.SAVE_PICTURE
        )
        key.click(None, [sealed], None, js=browser.SAVE_KEY)

    return SavingPanel(whole, pair, key, wire)
