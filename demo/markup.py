"""Small pieces of HTML: a card with a decision, a plain table, a grid of pictures. All text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from demo import words
from demo.pictures import inline


def card(head: str, body: str, kind: str = "", notes: Sequence[str] = (), *, done: bool = False, more: str = "") -> str:
    """A headline, a sentence and notes; `kind` is good, bad or empty and never the only sign of what it means.

    `more` is HTML that stands below. `done` marks an answer, so that what runs in the browser (browser.KIT) can tell
    it from an error or a Stop.
    """
    extra = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    title = f"<h2>{escape(head)}</h2>" if head else ""
    mark = " data-done" if done else ""
    return f'<div class="card {kind}"{mark} role="status">{title}<p>{escape(body)}</p>{extra}{more}</div>'


def working(text: str, share: float, left: str) -> str:
    """A card of work that goes on: what is done now, a bar, what is left."""
    return (
        f'<div class="card running"><p>{escape(text)}</p>'
        f'<progress max="1" value="{share:.3f}" aria-label="{escape(text, quote=True)}"></progress>'
        f'<p class="note">{escape(left)}</p></div>'
    )


def trouble(head: str, body: str) -> str:
    """A card that says what went wrong."""
    return card(head, body, "bad")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table; columns of numbers stand to the right, under their headers."""
    to_right = [place > 0 and all(_number(row[place]) for row in rows) for place in range(len(headers))]
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(
        f'<th scope="col"{_KIND[right]}>{escape(name)}</th>' if name else "<td></td>"
        for name, right in zip(headers, to_right, strict=True)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(
            f'<td{_KIND[right]} data-label="{escape(name, quote=True)}">{escape(cell)}</td>'
            for name, cell, right in zip(headers[1:], row[1:], to_right[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(headers) else ""
    kind = "plain" if len(headers) < 3 or all(to_right[1:]) else "plain words"  # of words: a phone lays it out anew
    return f'<div class="{kind}" tabindex="0"><table>{title}{top}<tbody>{body}</tbody></table></div>'


_KIND = {False: "", True: ' class="number"'}


def _number(text: str) -> bool:
    return text[:1] in "0123456789+-.—" and text[-1:] in "0123456789%s—"


@dataclass(frozen=True)
class Cell:
    """A virtual face in a grid."""

    pixels: np.ndarray  # (S, S, 3) uint8
    alt: str
    below: str  # a line


def grid(columns: Sequence[str], rows: Sequence[tuple[str, np.ndarray, Sequence[Cell | None]]]) -> str:
    """Photos in front, and beside each its virtual faces, which a slider lays over it.

    Args:
        columns: one name for each virtual face of a row.
        rows: (name of the photo, its pixels, cells); None is a hole.
    """
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = []
    for name, photo, cells in rows:
        address = inline(photo)
        drawn = "".join(f"<td>{_cell(cell)}</td>" for cell in cells)
        front = f'<td><img src="{address}" alt="{escape(name, quote=True)}">{escape(words.ORIGINAL)}</td>'
        lines.append(f'<tr style="--photo: url({address})"><th scope="row">{escape(name)}</th>{front}{drawn}</tr>')
    return f'<div class="grid" tabindex="0"><table><tr><td></td><td></td>{names}</tr>{"".join(lines)}</table></div>'


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return '<div class="hole"></div>'
    alt, over = escape(cell.alt, quote=True), escape(words.OVER.format(name=cell.alt), quote=True)
    return (
        f'<div class="over"><img src="{inline(cell.pixels, synthetic=True)}" alt="{alt}"></div>'
        f'<input type="range" min="0" max="100" value="0" aria-label="{over}" '
        "oninput=\"this.previousElementSibling.style.setProperty('--at', this.value + '%')\">"
        f"{escape(cell.below)}"
    )
