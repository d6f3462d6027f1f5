"""All tabs in one page, and the public endpoints. No decisions."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
    keep_deleting(page)
    return page


class Steady(set[str]):
    """A set of names that may grow while it is gone through; what is added meanwhile comes next time."""

    def __iter__(self) -> Iterator[str]:
        return iter(frozenset(self))  # copies at once, without this method


def keep_deleting(page: gr.Blocks) -> None:
    """Let uploads that come while old ones are deleted do no harm.

    Gradio goes through these sets in a thread. If one of them grows meanwhile, the thread ends for good, and no
    visitor's picture is deleted any more.
    """
    page.upload_file_set = Steady(page.upload_file_set)
    page.temp_file_sets = [page.upload_file_set]
    for component in page.blocks.values():
        component.temp_files = Steady(component.temp_files)
        page.temp_file_sets.append(component.temp_files)


def head() -> str:
    """Name, purpose and links; a Space links its own code."""
    links = [words.LINK_PAPER]
    space = os.environ.get("SPACE_ID")
    if space:
        at = f"{words.LINK_SPACE}/{space}"
        links += [(words.LINK_CODE, f"{at}/tree/main"), (words.LINK_README, f"{at}/blob/main/README.md")]
    linked = " · ".join(f'<a href="{escape(url, quote=True)}">{escape(text)}</a>' for text, url in links)
    return f"<h1>{escape(words.TITLE)}</h1><p>{escape(words.LEAD)} <span class='links'>{linked}</span></p>"
