"""The controls for one key, the same in the tabs Anonymise and Authenticate. The server never sends a key back."""

from __future__ import annotations

from dataclasses import dataclass, field

import gradio as gr

from demo import browser, controls, words
from demo.shown import Inputs
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey, weak_passphrase


@dataclass(frozen=True)
class GivenKey(Inputs):
    """What a panel holds when a button is pressed."""

    form: str
    bits: str
    text: str | None = field(repr=False)
    passphrase: str | None = field(repr=False)

    def key(self) -> UserKey:
        """
        Raises:
            BadKey: nothing was given, or it is no key.
        """
        if self.form == "passphrase":
            return UserKey.from_passphrase(self.passphrase or "", bits=int(self.bits))
        if not (self.text or "").strip():
            raise BadKey(got=words.NO_KEY[0], mend=words.NO_KEY[1])
        return UserKey.parse(self.text or "")

    def weakness(self) -> str | None:
        """What is weak about a passphrase, as a sentence; None for a key that is none."""
        return weak_passphrase(self.passphrase or "") if self.form == "passphrase" else None


@dataclass(frozen=True)
class KeyPanel:
    """Its components; `inputs` are the fields of GivenKey."""

    form: gr.Radio
    bits: gr.Dropdown
    text: gr.Textbox
    passphrase: gr.Textbox

    @property
    def inputs(self) -> list[gr.components.Component]:
        return [self.form, self.bits, self.text, self.passphrase]


def build(name: str) -> KeyPanel:
    """Lay out a panel whose elements' ids start with `name`."""
    gr.Markdown(words.KEY_GROUP)
    with gr.Row():
        form = gr.Radio(
            list(controls.KEY_FORM.choices), value=controls.KEY_FORM.start, label=controls.KEY_FORM.label, scale=2
        )
        bits = gr.Dropdown(
            list(controls.KEY_LENGTHS.choices),
            value=controls.KEY_LENGTHS.start,
            label=controls.KEY_LENGTHS.label,
            elem_id=f"{name}-bits",
            min_width=110,
        )
    with gr.Column(visible=True) as hexes:
        text = gr.Textbox(
            label=words.KEY,
            info=words.KEY_HELP,
            elem_id=f"{name}-text",
            max_length=200,
            lines=2,
            max_lines=3,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
        )
        with gr.Row():
            make = gr.Button(words.MAKE_KEY, size="sm", min_width=90, elem_id=f"{name}-make")
            load = gr.Button(words.LOAD_KEY, size="sm", min_width=90)
            save = gr.Button(words.SAVE_KEY, size="sm", min_width=90)
    with gr.Column(visible=False) as phrase:
        passphrase = gr.Textbox(
            label=words.PASS,
            info=words.PASS_HELP,
            type="password",
            elem_id=f"{name}-passphrase",
            max_length=200,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
        )
    make.click(None, [bits], [text], js=browser.MAKE_KEY)
    load.click(None, [text], [text], js=browser.LOAD_KEY)
    save.click(None, [text], None, js=browser.SAVE_KEY)
    form.change(on_form, [form], [hexes, phrase], **controls.LIGHT)
    return KeyPanel(form, bits, text, passphrase)


def on_form(form: str) -> tuple[dict, dict]:
    """Show the fields of the chosen form."""
    return gr.update(visible=form == "hex"), gr.update(visible=form == "passphrase")
