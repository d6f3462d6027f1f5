"""The controls for one key, the same in the tabs Anonymise and Authenticate. The server never sends a key back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo import browser, controls, words
from demo.records import Inputs, Outputs, placed
from demo.shown import shown
from kfaar_core.errors import BadKey
from kfaar_core.keys import UserKey, weak_passphrase


@dataclass(frozen=True)
class GivenKey(Inputs):
    """What a panel holds when a button is pressed."""

    form: str
    bits: str
    text: str | None = field(repr=False)
    passphrase: str | None = field(repr=False)

    def key(self, missing: tuple[str, str] = words.NO_KEY) -> UserKey:
        """
        Args:
            missing: what to say when there is none: what came and how to mend it.

        Raises:
            BadKey: nothing was given, or it is no key.
        """
        if self.by_passphrase:
            return UserKey.from_passphrase(self.passphrase or "", bits=int(self.bits))
        if not (self.text or "").strip():
            raise BadKey(got=missing[0], mend=missing[1])
        return UserKey.parse(self.text or "")

    @property
    def by_passphrase(self) -> bool:
        return self.form == "passphrase"

    def weakness(self) -> str | None:
        """What is weak about a passphrase, as a sentence; None for a key that is none."""
        return weak_passphrase(self.passphrase or "") if self.by_passphrase else None


@dataclass(frozen=True)
class KeyPanel:
    """Its components; `inputs` are the fields of GivenKey."""

    form: gr.Radio
    bits: gr.Dropdown
    text: gr.Textbox
    passphrase: gr.Textbox
    loaded: Any  # the event after a key file was read

    @property
    def inputs(self) -> list[gr.components.Component]:
        return [self.form, self.bits, self.text, self.passphrase]

    def lay_out_settings(self) -> None:
        """Place the kind of key and its length here, away from the line that holds the key."""
        with gr.Row():
            self.form.render()
            self.bits.render()


def build(name: str, label: str, *, make: bool) -> KeyPanel:
    """Lay out the line that holds the key; the elements' ids start with `name`.

    Args:
        label: of the key's field. make: whether a new key can be made here; an old one can always be opened.
    """
    form = gr.Radio(
        list(controls.KEY_FORM.choices),
        value=controls.KEY_FORM.start,
        label=controls.KEY_FORM.label,
        elem_id=f"{name}-form",
        render=False,
    )
    bits = gr.Dropdown(
        list(controls.KEY_LENGTHS.choices),
        value=controls.KEY_LENGTHS.start,
        label=controls.KEY_LENGTHS.label,
        elem_id=f"{name}-bits",
        min_width=110,
        render=False,
    )
    with gr.Row(elem_classes="key-line", equal_height=False) as hexes:
        text = gr.Textbox(
            label=label,
            elem_id=f"{name}-text",
            max_length=200,
            lines=1,
            max_lines=2,
            scale=5,
            min_width=140,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
        )
        if make:
            new = gr.Button(words.MAKE_KEY, min_width=84, scale=1, elem_id=f"{name}-make")
            new.click(None, [bits], [text], js=browser.MAKE_KEY)
        load = gr.Button(words.LOAD_KEY, min_width=120, scale=1, elem_id=f"{name}-load")
        loaded = load.click(None, [text], [text], js=browser.LOAD_KEY)
    with gr.Row(visible=False) as phrase:
        passphrase = gr.Textbox(
            label=words.PASS,
            info=words.PASS_HELP,
            type="password",
            elem_id=f"{name}-passphrase",
            max_length=200,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
        )
    form.change(shown(on_form), [form], placed(Lines, hexes=hexes, phrase=phrase), **controls.LIGHT)
    return KeyPanel(form, bits, text, passphrase, loaded)


@dataclass(frozen=True)
class Lines(Outputs):
    """The two lines of which one is seen."""

    hexes: dict
    phrase: dict


def on_form(form: str) -> Lines:
    """Show the line of the chosen kind of key."""
    return Lines(gr.update(visible=form == "hex"), gr.update(visible=form == "passphrase"))
