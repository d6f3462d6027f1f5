"""Sliders and menus as data: range, default and words stand in one place, for the tabs and their tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo import words
from demo.core import ROUGH, Method


@dataclass(frozen=True)
class Range:
    """A slider."""

    label: str
    low: float
    high: float
    start: float
    step: float
    help: str = ""


@dataclass(frozen=True)
class Menu:
    """A choice among a few: what the visitor reads, and what the core gets."""

    label: str
    choices: tuple[tuple[str, str], ...]
    start: str


KEY_LENGTHS = Menu(words.BITS, (("8", "8"), ("128", "128"), ("256", "256")), "256")
KEY_FORM = Menu(words.HOW, ((words.HEX, "hex"), (words.PASSPHRASE, "passphrase")), "hex")
MODES = Menu(words.MODE, ((words.PORTRAIT, "portrait"), (words.ROUGH, ROUGH), (words.PASTE, "paste")), "portrait")
SIZES = (512, 1024)  # px of a portrait that programs may ask for
ENDINGS = Menu(words.SAVE_AS, (("PNG, lossless", ".png"), ("JPEG", ".jpg"), ("WebP, lossless", ".webp")), ".png")
COMPARE_COUNT = Range(words.COMPARE_COUNT, 1, words.MAX_KEYS, 4, 1)
THRESHOLD_DIGITS = 3
KVFA_THRESHOLD = Range(words.THRESHOLD, -0.2, 1.0, 0.7, 0.001, words.THRESHOLD_HELP)
CURVE_THRESHOLD = Range(words.MOVABLE, -0.2, 1.0, 0.7, 0.001)
OWN_PEOPLE = Range(words.OWN_PEOPLE, 2, 20, 8, 1)
ATTACK_PEOPLE = Range(words.ATTACK_PEOPLE, 12, 60, 24, 4)
FLIP_COUNT = Range(words.FLIP_COUNT, 0, 128, 1, 1)
PHOTO_CHOICE = Menu(words.COMPARED, ((words.OTHER_PHOTO, "other"), (words.SAME_PHOTO, "same")), "other")
KEY_MODE = Menu(words.KEYS, ((words.SHARED_KEY, "shared"), (words.OWN_KEY, "own")), "shared")
OWN_KEY_MODE = Menu(words.KEYS, ((words.OWN_KEY, "own"), (words.SHARED_KEYS, "shared")), "own")

FIGURE = Menu(words.FIGURE, tuple((name, number) for number, name in words.FIGURE_NAMES.items()), "5")

RANDOM_KEYS = 1000
RANDOM_KEYS_AT_ONCE = 50
FLIP_PLACES = (0, 1, 2, 3, 4, 5, 8, 16, 32, 64, 128)
FLIP_DRAWS = 8  # at each place
MOST_GUESSES = 96  # of the dictionary; each costs a tenth of a second or more

# One queue for everything that draws faces or takes much time: a place in it is a place in all.
HEAVY: dict[str, Any] = {"concurrency_id": "core", "concurrency_limit": 1, "api_visibility": "private"}
# What only looks at pictures takes a second or two, and nobody shall wait for a drawing to get it.
LOOK: dict[str, Any] = {"concurrency_id": "look", "concurrency_limit": 1, "api_visibility": "private"}
LIGHT: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private", "show_progress": "hidden"}
ORDERED: dict[str, Any] = LIGHT | {"concurrency_id": "curves", "concurrency_limit": 1}


def method_menu(methods: Sequence[Method], elem_id: str) -> gr.Radio:
    """The methods that can be asked for, the default first; with only one there is nothing to choose."""
    return gr.Radio(
        [(method.label, method.name) for method in methods],
        value=methods[0].name,
        label=words.METHOD,
        info=words.method_help(methods),
        visible=len(methods) > 1,
        elem_id=elem_id,
    )


def refine_box(elem_id: str) -> gr.Checkbox:
    """Whether faces are refined (stages.refine)."""
    return gr.Checkbox(True, label=words.REFINE, info=words.REFINE_HELP, elem_id=elem_id)
