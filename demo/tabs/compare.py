"""The tab Compare keys: several photos under several keys, and what the judge sees (Figs. 5 and 6)."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import gradio as gr
import numpy as np

from demo import browser, controls, markup, pictures, words
from demo.core import Core
from demo.shown import shown
from demo.visitor import Stopped, Visitor, stop_button
from kfaar_core.errors import BadKey, BadPicture
from kfaar_core.keys import UserKey
from kfaar_core.records import Photo, VirtualFace
from kfaar_core.report import plots


def on_compare(
    gallery: list[Any] | None,
    key_lines: str | None,
    projector: str,
    refine: bool,
    visitor: Visitor,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio finds it by this default
    *,
    core: Core,
) -> tuple[str, str, Any, str]:
    """Draw every photo under every key, then compare all pictures with each other."""
    photos = given_photos(gallery)
    keys = given_keys(key_lines)
    visitor.stop.asked = False
    drawn = partial(core.anonymise, projector=projector, face="largest", mode="portrait", refine=refine, progress=None)
    faces: list[list[VirtualFace]] = []
    of = len(photos) * len(keys)
    for photo in photos:
        row: list[VirtualFace] = []
        for key in keys:
            if visitor.stop.asked:
                raise Stopped
            progress((len(faces) * len(keys) + len(row), of), desc=words.COMPARE_RUN)
            row.append(drawn(photo, key))
        faces.append(row)
    pictures_ = [
        *(face.crop.picture for row in faces for face in row[:1]),
        *(face.portrait for row in faces for face in row),
    ]
    cosines = core.judge_cosines([Photo(pixels=pixels) for pixels in pictures_])
    labels = [
        *(words.original_name(photo) for photo in range(len(photos))),
        *(words.pair_name(photo, key) for photo in range(len(photos)) for key in range(len(keys))),
    ]
    threshold = core.facts(projector).judge_threshold
    rows = [[label, *(f"{value:z.2f}" for value in line)] for label, line in zip(labels, cosines, strict=True)]
    return (
        picture_grid(faces),
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


def picture_grid(faces: list[list[VirtualFace]]) -> str:
    """A row a photo, a column a key, the photo itself in front."""
    columns = [words.ORIGINAL, *(words.key_name(key) for key in range(len(faces[0])))]
    rows = []
    for number, row in enumerate(faces):
        name = words.photo_name(number)
        cells = [(row[0].crop.picture, name, "")]
        for key, face in enumerate(row):
            alt = words.virtual_alt(number, key)
            cells.append((face.portrait, alt, words.judged(face.judge_cosine, face.anonymous)))
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
            make = gr.Button(words.COMPARE_MAKE, size="sm", elem_id="compare-make")
            projector = controls.projector_menu(core.projectors(), "compare-projector")
            refine = controls.refine_box("compare-refine")
            with gr.Row():
                go = gr.Button(words.COMPARE_RUN, variant="primary", elem_id="compare-run", scale=3)
                stop = gr.Button(words.STOP, scale=1, min_width=80)
    said = gr.Markdown(elem_id="compare-words")
    grid = gr.HTML(markup.card("", words.COMPARE_EMPTY, "empty"), elem_id="compare-grid")
    heatmap = gr.Plot(label=words.HEATMAP, visible=False, elem_id="compare-heatmap")
    with gr.Accordion(words.COMPARE_TABLE, open=False):
        table = gr.HTML(elem_id="compare-table")
        gr.Button(words.CSV, size="sm").click(
            None, None, None, js=browser.save_table("compare-table", "similarity-of-virtual-faces")
        )
    make.click(None, [count, bits], [keys], js=browser.MAKE_KEYS)
    run = go.click(
        shown(on_compare, core=core),
        [photos, keys, projector, refine, visitor],
        [grid, said, heatmap, table],
        show_progress_on=[grid],
        **controls.HEAVY,
    )
    stop_button(run, visitor, stop)
