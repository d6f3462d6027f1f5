"""The tab Compare keys: several photos under several keys, and what the judge sees (Figs. 5 and 6)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, markup, pictures, words
from demo.core import Core, Request
from demo.records import Inputs, Outputs, placed
from demo.shown import shown
from demo.visitor import Visitor, reporter, stop_button
from kfaar_core.errors import BadKey, BadPicture
from kfaar_core.keys import UserKey
from kfaar_core.records import Photo, VirtualFace
from kfaar_core.report import plots


@dataclass(frozen=True)
class Table(Inputs):
    """What is to be compared."""

    gallery: list[Any] | None
    key_lines: str | None
    method: str
    refine: bool


@dataclass(frozen=True)
class Compared(Outputs):
    """The grid as far as it is drawn, then what the recogniser sees in it."""

    grid: str
    said: str = ""
    heatmap: Any = field(default_factory=lambda: gr.update(visible=False))
    table: str = ""

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Compared:
        return cls(markup.trouble(head, sentence))


def on_compare(
    asked: Table,
    visitor: Visitor,
    request: gr.Request,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> Iterator[Compared]:
    """Draw every photo under every key, one after the other, then compare all pictures with each other."""
    check = visitor.stop.begin(request)
    photos, keys = given_photos(asked.gallery), given_keys(asked.key_lines)
    faces: list[list[VirtualFace]] = []
    of, began = len(photos) * len(keys), time.monotonic()
    for photo in photos:
        faces.append([])
        for key in keys:
            done = sum(map(len, faces))
            left = words.left_over((time.monotonic() - began) / done * (of - done)) if done else ""
            report = reporter(progress, check, words.comparing(done, of, left))
            faces[-1].append(core.anonymise(Request(photo, key, asked.method, refine=asked.refine), report))
            yield Compared(picture_grid(faces, len(keys)))
    originals = [row[0].crop.picture for row in faces]
    cosines = core.judge_cosines(
        [Photo(pixels=pixels) for pixels in (*originals, *(face.portrait for row in faces for face in row))]
    )
    labels = [
        *(words.original_name(photo) for photo in range(len(photos))),
        *(words.pair_name(photo, key) for photo in range(len(photos)) for key in range(len(keys))),
    ]
    threshold = core.facts(asked.method).judge_threshold
    rows = [[label, *(f"{value:z.2f}" for value in line)] for label, line in zip(labels, cosines, strict=True)]
    yield Compared(
        picture_grid(faces, len(keys)),
        in_words(cosines, len(photos), len(keys), threshold),
        gr.update(value=plots.similarity_heatmap(cosines, labels, threshold), visible=True),
        markup.table(["", *labels], rows),
    )


def given_photos(gallery: list[Any] | None) -> list[Photo]:
    """The photos of a gallery.

    Raises:
        BadPicture: none, too many, or one that is no picture.
    """
    paths = [item[0] if isinstance(item, (tuple, list)) else item for item in gallery or []]
    if len(paths) > words.MAX_PHOTOS:
        raise BadPicture(got=words.TOO_MANY_PHOTOS[0], mend=words.TOO_MANY_PHOTOS[1])
    if not paths:
        raise BadPicture(got=words.NO_PHOTO[0], mend=words.NO_PHOTO[1])
    return [pictures.read_photo(path, words.NO_PHOTO) for path in paths]


def given_keys(lines: str | None) -> list[UserKey]:
    """One key a line.

    Raises:
        BadKey: none, too many, or a line that is no key.
    """
    texts = [line for line in (lines or "").splitlines() if line.strip()]
    if not texts:
        raise BadKey(got=words.NO_KEYS[0], mend=words.NO_KEYS[1])
    if len(texts) > words.MAX_KEYS:
        raise BadKey(got=words.TOO_MANY_KEYS[0], mend=words.TOO_MANY_KEYS[1])
    return [UserKey.parse(line) for line in texts]


def picture_grid(faces: list[list[VirtualFace]], keys: int) -> str:
    """A row a photo, a column a key, the photo itself in front; what is not drawn yet is a hole."""
    columns = [words.ORIGINAL, *(words.key_name(key) for key in range(keys))]
    rows = []
    for number, row in enumerate(faces):
        name = words.photo_name(number)
        cells: list[tuple[np.ndarray | None, str, str]] = [(row[0].crop.picture, name, "")]
        for key, face in enumerate(row):
            alt = words.virtual_alt(number, key)
            cells.append((face.portrait, alt, words.judged(face.judge_cosine, face.judge_threshold)))
        cells += [(None, "", "")] * (keys - len(row))
        rows.append((name, cells))
    return markup.grid(columns, rows)


def in_words(cosines: np.ndarray, photos: int, keys: int, threshold: float) -> str:
    """Anonymity, diversity, differentiation and synchronism of one grid; originals first, then photo by photo."""
    same = np.asarray(cosines) >= threshold

    def place(photo: int, key: int) -> int:
        return photos + photo * keys + key

    own = [same[photo, place(photo, key)] for photo in range(photos) for key in range(keys)]
    other_keys = [
        same[place(photo, a), place(photo, b)] for photo in range(photos) for a, b in combinations(range(keys), 2)
    ]
    pairs = list(combinations(range(photos), 2))
    strangers = [same[place(a, key), place(b, key)] for a, b in pairs if not same[a, b] for key in range(keys)]
    one_person = [same[place(a, key), place(b, key)] for a, b in pairs if same[a, b] for key in range(keys)]
    return words.compared(
        anonymous=(len(own) - sum(own), len(own)),
        diversity=(len(other_keys) - sum(other_keys), len(other_keys)),
        differentiation=(len(strangers) - sum(strangers), len(strangers)),
        synchronism=(int(sum(one_person)), len(one_person)),
        threshold=threshold,
    )


def build(core: Core, visitor: gr.State) -> None:
    """Lay out and wire the tab."""
    gr.Markdown(words.COMPARE_LEAD, elem_classes="lead")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            start = [str(path) for path in pictures.examples()[:2]]
            photos = gr.Gallery(
                value=start or None,
                label=words.COMPARE_PHOTOS,
                interactive=True,
                type="filepath",
                columns=2,
                height=260,
                object_fit="cover",
                elem_id="compare-photos",
                buttons=[],
            )
        with gr.Column(scale=5, min_width=300):
            with gr.Row():
                wanted = controls.COMPARE_COUNT
                count = gr.Slider(wanted.low, wanted.high, wanted.start, step=wanted.step, label=wanted.label)
                bits = gr.Dropdown(
                    list(controls.KEY_LENGTHS.choices),
                    value=controls.KEY_LENGTHS.start,
                    label=controls.KEY_LENGTHS.label,
                    min_width=110,
                )
            keys = gr.Textbox(label=words.COMPARE_KEYS, lines=4, max_lines=8, elem_id="compare-keys")
            make = gr.Button(words.COMPARE_MAKE, elem_id="compare-make")
            with gr.Row(elem_classes="run-line"):
                go = gr.Button(words.COMPARE_RUN, variant="primary", elem_id="compare-run", scale=3)
                stop = gr.Button(words.STOP, scale=1, min_width=80, elem_id="compare-stop")
            with gr.Accordion(words.ADVANCED_COMPARE, open=False):
                method = controls.method_menu(core.methods(), "compare-method")
                refine = controls.refine_box("compare-refine")
    with gr.Column(elem_id="compare-results"):
        grid = gr.HTML(markup.card("", words.COMPARE_EMPTY, "empty"), elem_id="compare-grid")
        said = gr.Markdown(elem_id="compare-words")
        heatmap = gr.Plot(label=words.HEATMAP, visible=False, elem_id="compare-heatmap")
        with gr.Accordion(words.COMPARE_TABLE, open=False):
            table = gr.HTML(elem_id="compare-table")
            gr.Button(words.CSV).click(
                None, None, None, js=browser.save_table("compare-table", "similarity-of-virtual-faces")
            )
    make.click(None, [count, bits], [keys], js=browser.MAKE_KEYS)
    outputs = placed(Compared, grid=grid, said=said, heatmap=heatmap, table=table)
    run = go.click(
        shown(on_compare, core=core),
        [photos, keys, method, refine, visitor],
        outputs,
        js=browser.begin("compare-run", "compare-grid"),
        show_progress_on=[grid],
        **controls.HEAVY,
    )
    run.then(None, None, None, js=browser.end("compare-run", "compare-grid", "compare-results"))
    stop_button(run, visitor, stop, Compared, outputs, ("compare-run", "compare-grid"))
    gr.on([photos.change, keys.change, method.change, refine.change], None, js=browser.stale("compare-results"))
