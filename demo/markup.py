"""Small pieces of HTML: a card with a decision, a plain table, a grid of pictures. All text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from demo.pictures import inline


def card(head: str, body: str, kind: str = "", notes: Sequence[str] = ()) -> str:
    """A headline, a sentence and notes; `kind` is good, bad or empty and never the only sign of what it means."""
    extra = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    title = f"<h3>{escape(head)}</h3>" if head else ""
    return f'<div class="card {kind}" role="status">{title}<p>{escape(body)}</p>{extra}</div>'


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


def grid(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[tuple[np.ndarray, str, str]]]]) -> str:
    """Pictures with names for rows and columns.

    Args:
        columns: one name a column. rows: (name, [(pixels, alt text, line below)]).
    """
    head = "<td></td>" + "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = []
    for name, pictures in rows:
        cells = "".join(
            f'<td><img src="{inline(pixels)}" alt="{escape(alt, quote=True)}">{escape(below)}</td>'
            for pixels, alt, below in pictures
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return f'<div class="grid" tabindex="0"><table><tr>{head}</tr>{"".join(lines)}</table></div>'
