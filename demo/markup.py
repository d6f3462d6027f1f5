"""Small pieces of HTML: a card with a decision, a plain table, a grid of pictures. All text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from demo.pictures import inline


def card(head: str, body: str, kind: str = "", notes: Sequence[str] = (), *, done: bool = False) -> str:
    """A headline, a sentence and notes; `kind` is good, bad or empty and never the only sign of what it means.

    `done` marks an answer, so that what runs in the browser (browser.KIT) can tell it from an error or a Stop.
    """
    extra = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    title = f"<h3>{escape(head)}</h3>" if head else ""
    mark = " data-done" if done else ""
    return f'<div class="card {kind}"{mark} role="status">{title}<p>{escape(body)}</p>{extra}</div>'


def trouble(head: str, body: str) -> str:
    """A card that says what went wrong."""
    return card(head, body, "bad")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table; columns of numbers stand to the right, under their headers."""
    to_right = [place > 0 and all(_number(row[place]) for row in rows) for place in range(len(headers))]
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(
        f'<th scope="col"{_KIND[right]}>{escape(name)}</th>' for name, right in zip(headers, to_right, strict=True)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{_KIND[right]}>{escape(cell)}</td>" for cell, right in zip(row[1:], to_right[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(headers) else ""
    return f'<div class="plain" tabindex="0"><table>{title}{top}<tbody>{body}</tbody></table></div>'


_KIND = {False: "", True: ' class="number"'}


def _number(text: str) -> bool:
    return text[:1] in "0123456789+-.—" and text[-1:] in "0123456789%s—"


def grid(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[tuple[np.ndarray | None, str, str]]]]) -> str:
    """Pictures with names for rows and columns.

    Args:
        columns: one name a column. rows: (name, [(pixels or None, alt text, line below)]); the first picture of each
            row is a photo, the others are synthetic.
    """
    head = "<td></td>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = []
    for name, pictures in rows:
        cells = "".join(
            f"<td>{_picture(pixels, alt, place > 0)}{escape(below)}</td>"
            for place, (pixels, alt, below) in enumerate(pictures)
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return f'<div class="grid" tabindex="0"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _picture(pixels: np.ndarray | None, alt: str, synthetic: bool) -> str:
    if pixels is None:
        return '<div class="hole"></div>'
    return f'<img src="{inline(pixels, synthetic=synthetic)}" alt="{escape(alt, quote=True)}">'
