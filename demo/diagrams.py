"""Two drawings: the six steps between the five roles (section III-B), and the method (Fig. 2)."""

from __future__ import annotations

from html import escape

from demo import words

# role -> left, top; boxes are 160 px wide
_ROLES = {"U": (4, 130), "FAS": (210, 20), "cloud": (420, 130), "VFAS": (210, 240), "AD": (642, 50), "FR": (642, 200)}
# step -> path, place of its number
_WAYS = {
    1: ("M 84 126 C 100 70 140 48 206 48", (110, 76)),
    2: ("M 372 48 C 440 48 490 70 498 126", (466, 74)),
    3: ("M 582 150 C 612 146 612 98 638 90", (612, 120)),
    4: ("M 722 120 L 722 196", (722, 158)),
    5: ("M 418 158 L 168 158", (292, 158)),
    6: ("M 84 202 C 100 250 140 268 206 268", (110, 248)),
}


def walkthrough(step: int) -> str:
    """The six steps, drawn and in words; those up to `step` are done."""
    done = [f"Step {number}{' (done)' if number <= step else ''}: {text}" for number, text in enumerate(words.STEPS, 1)]
    ways = "".join(_way(number, number <= step) for number in _WAYS)
    items = "".join(
        f'<li class="{"done" if number <= step else "open"}">{escape(text)}</li>'
        for number, text in enumerate(words.STEPS, 1)
    )
    return (
        '<div class="walk"><div class="picture" tabindex="0">'
        f'<svg viewBox="0 0 806 310" role="img" aria-label="{escape(" ".join(done), quote=True)}">{_ARROWS}{ways}'
        f"{''.join(_role(name) for name in _ROLES)}</svg></div><ol>{items}</ol></div>"
    )


_ARROWS = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M 0 0 L 8 4 L 0 8 z" fill="#649bb6"/></marker></defs>'
)


def _way(number: int, done: bool) -> str:
    path, (x, y) = _WAYS[number]
    return (
        f'<g class="{"done" if done else "open"}"><path class="way" d="{path}" marker-end="url(#tip)"/>'
        f'<circle class="badge" cx="{x}" cy="{y}" r="14"/>'
        f'<text class="number" x="{x}" y="{y + 5.5}" text-anchor="middle" font-size="16" font-weight="600">'
        f"{number}</text></g>"
    )


def _role(name: str) -> str:
    x, y = _ROLES[name]
    small = words.ROLES.get(name, words.CLOUD)
    first, _, second = small.partition(", ")
    title = name if name in words.ROLES else words.CLOUD_NAME
    lines = [line for line in (first, second) if line]
    height = 34 + 17 * len(lines)
    texts = "".join(
        f'<text class="small" x="{x + 80}" y="{y + 38 + 16 * place}" text-anchor="middle" font-size="13">'
        f"{escape(line)}</text>"
        for place, line in enumerate(lines)
    )
    return (
        f'<rect class="role" x="{x}" y="{y}" width="160" height="{height}" rx="6"/>'
        f'<text x="{x + 80}" y="{y + 21}" text-anchor="middle" font-size="16" font-weight="600">'
        f"{escape(title)}</text>{texts}"
    )


_METHOD_BOXES = (  # symbol, words, left, top
    ("x", "photo", 4, 40),
    ("E", "identity z", 150, 40),
    ("P(z, k)", "moved by the key", 290, 40),
    ("G", "virtual face x′", 430, 40),
    ("G_f", "pose, expression", 570, 40),
    ("x_v", "virtual face", 710, 40),
    ("k", "user key", 290, 150),
    ("F", "feature of x_v", 710, 150),
    ("MLP, k", "I(x_v, k)", 570, 150),
    ("cosine", "same person?", 430, 150),
    ("I(x)", "of the photo", 430, 235),
)
_METHOD_WAYS = (
    "M 126 65 L 146 65",
    "M 272 65 L 286 65",
    "M 412 65 L 426 65",
    "M 552 65 L 566 65",
    "M 692 65 L 706 65",
    "M 345 150 L 345 94",
    "M 765 90 L 765 146",
    "M 710 175 L 696 175",
    "M 570 175 L 556 175",
    "M 485 235 L 485 204",
    "M 65 90 C 65 270 200 260 426 260",
    "M 345 200 C 345 226 600 226 625 204",
)


def method() -> str:
    """Algorithm 1 above, Algorithm 2 below."""
    ways = "".join(f'<path class="way" d="{path}" marker-end="url(#tip2)"/>' for path in _METHOD_WAYS)
    boxes = "".join(
        f'<rect class="box" x="{x}" y="{y}" width="122" height="50" rx="6"/>'
        f'<text x="{x + 61}" y="{y + 21}" text-anchor="middle" font-size="15" font-weight="600">{escape(symbol)}</text>'
        f'<text class="small" x="{x + 61}" y="{y + 39}" text-anchor="middle" font-size="12.5">{escape(text)}</text>'
        for symbol, text, x, y in _METHOD_BOXES
    )
    return (
        f'<div class="method" tabindex="0"><svg viewBox="0 0 838 295" role="img" '
        f'aria-label="{escape(words.METHOD_ALT, quote=True)}">'
        f"{_ARROWS.replace('tip', 'tip2')}"
        f'<text class="small" x="10" y="22" font-size="13">{escape(words.METHOD_UP)}</text>'
        f'<text class="small" x="832" y="222" text-anchor="end" font-size="13">{escape(words.METHOD_DOWN)}</text>'
        f"{ways}{boxes}</svg></div>"
    )
