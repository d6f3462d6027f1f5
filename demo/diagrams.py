"""Two drawings in words and boxes, which a phone lays out anew: the six steps between the five roles (section III-B),
and the method (Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from demo import words

_WAYS = (("U", "FAS"), ("FAS", "cloud"), ("cloud", "AD"), ("AD", "FR"), ("cloud", "U"), ("U", "VFAS"))  # of the steps


def walkthrough(step: int) -> str:
    """The six steps, each from whom to whom; those up to `step` are done."""
    items = "".join(
        f'<li class="{"done" if number <= step else "open"}">{_way(*way)}<span>{escape(text)}'
        f"{escape(words.STEP_DONE) if number <= step else ''}</span></li>"
        for number, (way, text) in enumerate(zip(_WAYS, words.STEPS, strict=True), 1)
    )
    return f'<ol class="walk">{items}</ol>'


def _way(start: str, end: str) -> str:
    return f'<span class="way">{_box(*words.ROLES[start])}{_ARROW}{_box(*words.ROLES[end])}</span>'


_ARROW = '<span class="arrow" role="img" aria-label="to">→</span>'


def _box(name: str, term: str) -> str:
    """Plain words, and the paper's term in brackets where it has one."""
    bracket = f" <small>({escape(term)})</small>" if term else ""
    return f'<span class="box"><strong>{escape(name)}</strong>{bracket}</span>'


def method() -> str:
    """Algorithm 1, then Algorithm 2, each as a row of boxes."""
    return (
        f'<div class="method"><h3>{escape(words.METHOD_UP)}</h3>{_row(words.METHOD_STEPS_UP)}'
        f"<h3>{escape(words.METHOD_DOWN)}</h3>{_row(words.METHOD_STEPS_DOWN)}</div>"
    )


def _row(boxes: Sequence[tuple[str, str]]) -> str:
    return '<div class="flow">' + _ARROW.join(_box(name, term) for name, term in boxes) + "</div>"
