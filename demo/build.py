"""All tabs in one page, and the public endpoints. No decisions."""

from __future__ import annotations

import os
from html import escape
from typing import Any

import gradio as gr

from demo import browser, endpoints, visitor, words
from demo.core import Core
from demo.tabs import about, anonymise, attacks, authenticate, compare, curves, figures
from demo.theme import CSS, theme

LAUNCH: dict[str, Any] = {  # for launch(), next to address and port
    "theme": theme(),
    "css_paths": CSS,
    "ssr_mode": False,
    "enable_monitoring": False,  # its summary would be open to everybody
    "run_history": False,  # it would keep keys and photos in the browser
    "footer_links": ["api"],
    "max_file_size": "60mb",
    "state_session_capacity": 200,
}
DELETE_CACHE = (600, 600)  # s: look every ten minutes, delete pictures older than that


def build(core: Core, *, mcp: bool = False, public: bool = False) -> gr.Blocks:
    """The page; launch() gets the theme and the style (demo.theme).

    Args:
        mcp: serve some endpoints to language models.
        public: strangers may ask: Authenticate answers bands in place of cosines.
    """
    with gr.Blocks(title=words.TITLE, delete_cache=DELETE_CACHE, analytics_enabled=False) as page:
        gr.HTML(head(), elem_id="head")
        person = visitor.state()
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            with gr.Tab(words.ANONYMISE, id="anonymise"):
                source = anonymise.build(core, person)
            with gr.Tab(words.COMPARE, id="compare"):
                compare.build(page, core, person)
            with gr.Tab(words.AUTHENTICATE, id="authenticate"):
                authenticate.build(core, person, source, public)
            with gr.Tab(words.CURVES, id="curves"):
                curves.build(page, core, person)
            with gr.Tab(words.ATTACKS_TAB, id="attacks"):
                attacks.build(core, person)
            with gr.Tab(words.FIGURES, id="figures"):
                figures.build(core, person)
            with gr.Tab(words.ABOUT, id="about"):
                about.build(core)
        page.load(None, [source.keys.bits], [source.keys.text], js=browser.MAKE_KEY)
        page.load(None, js=browser.KIT)
        page.load(None, js=browser.MEND_ACCESS)
        page.unload(visitor.LEFT.add)
        endpoints.build(core, mcp=mcp, public=public)
    page.queue(default_concurrency_limit=4, max_size=64)
    return page


def head() -> str:
    """Name, purpose and links; a Space links its own code."""
    links = [words.LINK_PAPER]
    space = os.environ.get("SPACE_ID")
    if space:
        at = f"{words.LINK_SPACE}/{space}"
        links += [(words.LINK_CODE, f"{at}/tree/main"), (words.LINK_README, f"{at}/blob/main/README.md")]
    linked = " · ".join(f'<a href="{escape(url, quote=True)}">{escape(text)}</a>' for text, url in links)
    return f"<h1>{escape(words.TITLE)}</h1><p>{escape(words.LEAD)} <span class='links'>{linked}</span></p>"
