"""The tab Compare keys: several photos under several keys, and what the judge sees (Figs. 5 and 6)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import combinations
from typing import Any
from zipfile import ZipFile

import gradio as gr
import numpy as np

from demo import browser, controls, markup, pictures, words
from demo.core import Core, Request
from demo.examples import photos
from demo.pace import PACE, Seldom, left, share
from demo.pictures import Encoded
from demo.records import UNCHANGED, Inputs, Outputs, placed
from demo.shown import shown
from demo.steps import Steps
from demo.visitor import Visitor, stop_button
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

    card: str  # what is being drawn, or why there is nothing
    grid: Any = ""
    said: str = ""
    saving: Any = field(default_factory=lambda: gr.update(visible=False))
    pictures: Any = None  # a zip of all of them
    heatmap: Any = field(default_factory=lambda: gr.update(visible=False))
    table: str = ""

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Compared:
        return cls(markup.trouble(head, sentence))


def on_compare(asked: Table, visitor: Visitor, request: gr.Request, *, core: Core) -> Iterator[Compared]:
    """Draw every photo under every key, one after the other, then compare all pictures with each other."""
    check = visitor.stop.begin(request)
    given, keys = given_photos(asked.gallery), given_keys(asked.key_lines)
    wanted = [Request(photo, key, asked.method, refine=asked.refine) for photo in given for key in keys]
    began, expected = time.monotonic(), PACE.expected(asked.method, asked.refine) * len(wanted)
    yield Compared(markup.working(words.comparing(0, len(wanted)), 0.0, words.left_over(expected)))

    def draw(tell: Any) -> None:
        def progress(*step: Any) -> None:
            check()
            tell(*step)

        for request in wanted:
            tell(core.anonymise(request, progress))

    faces: list[VirtualFace] = []
    due = Seldom()
    for first, *step in Steps(draw):
        if isinstance(first, VirtualFace):
            faces.append(first)
            PACE.took(asked.method, asked.refine, (time.monotonic() - began) / len(faces))
            yield Compared(UNCHANGED, picture_grid(rows_of(faces, len(keys)), len(keys)))
            continue
        if not due((len(faces), first)):
            continue
        done = (len(faces) + share(first, step[0], step[1])) / len(wanted)
        name = words.comparing(len(faces), len(wanted)) + words.stage(first, step[0], step[1])
        over = words.left_over(left(expected, time.monotonic() - began, done))
        yield Compared(markup.working(name, done, over), UNCHANGED)
    yield whole(rows_of(faces, len(keys)), core, asked.method)


def rows_of(faces: list[VirtualFace], keys: int) -> list[list[VirtualFace]]:
    """Faces as they were drawn, a row a photo."""
    return [faces[start : start + keys] for start in range(0, len(faces), keys)]


def whole(faces: list[list[VirtualFace]], core: Core, method: str) -> Compared:
    """The whole grid, and how alike all of its pictures are."""
    photos, keys = len(faces), len(faces[0])
    labels, cosines = likeness(faces, core)
    threshold = core.facts(method).judge_threshold
    rows = [[label, *(f"{value:z.2f}" for value in line)] for label, line in zip(labels, cosines, strict=True)]
    return Compared(
        "",
        picture_grid(faces, keys),
        in_words(cosines, photos, keys, threshold),
        gr.update(visible=True),
        zipped(faces),
        gr.update(value=plots.similarity_heatmap(cosines, labels, threshold), visible=True),
        markup.table(["", *labels], rows),
    )


def likeness(faces: list[list[VirtualFace]], core: Core) -> tuple[list[str], np.ndarray]:
    """Names of all pictures, photos first, and the recogniser's cosines of each two of them, (N, N)."""
    photos, keys = len(faces), len(faces[0])
    pixels = [row[0].crop.picture for row in faces] + [face.portrait for row in faces for face in row]
    labels = [
        *(words.original_name(photo) for photo in range(photos)),
        *(words.pair_name(photo, key) for photo in range(photos) for key in range(keys)),
    ]
    return labels, core.judge_cosines([Photo(pixels=picture) for picture in pixels])


def zipped(faces: list[list[VirtualFace]]) -> Encoded:
    """All virtual faces in a zip, lossless, named after photo and key."""
    stream = BytesIO()
    with ZipFile(stream, "w") as packed:
        for photo, row in enumerate(faces):
            for key, face in enumerate(row):
                packed.writestr(words.file_name(photo, key), Encoded.of_face(face.portrait, ".png").data)
    return Encoded(stream.getvalue(), "virtual-faces.zip")


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
    """A row a photo, a column a key; what is not drawn yet is a hole."""
    rows = []
    for number, row in enumerate(faces):
        cells = [
            markup.Cell(
                face.portrait,
                words.virtual_alt(number, key),
                words.judged(face.judge_cosine, face.judge_threshold),
            )
            for key, face in enumerate(row)
        ]
        rows.append((words.photo_name(number), row[0].crop.picture, [*cells, *[None] * (keys - len(row))]))
    return markup.grid([words.key_name(key) for key in range(keys)], rows)


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


def build(page: gr.Blocks, core: Core, visitor: gr.State) -> None:
    """Lay out and wire the tab."""
    gr.Markdown(words.COMPARE_LEAD, elem_classes="lead")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            start = [str(path) for path in photos()[:2]]
            gallery = gr.Gallery(
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
            pace = gr.Markdown(elem_id="compare-pace", elem_classes="hint")
            with gr.Accordion(words.ADVANCED_COMPARE, open=False):
                method = controls.method_menu(core.methods(), "compare-method")
                refine = controls.refine_box("compare-refine")
    with gr.Column(elem_id="compare-results"):
        card = gr.HTML(markup.card("", words.COMPARE_EMPTY, "empty"), elem_id="compare-card")
        grid = gr.HTML(elem_id="compare-grid")
        said = gr.Markdown(elem_id="compare-words")
        with gr.Row(visible=False, elem_id="compare-saving") as saving:
            save = gr.Button(words.SAVE_ALL, elem_id="compare-save", min_width=140)
            save_keys = gr.Button(words.SAVE_KEYS, elem_id="compare-save-keys", min_width=140)
        packed = pictures.EncodedFile(visible=False, elem_id="compare-zip")
        heatmap = gr.Plot(label=words.HEATMAP, visible=False, elem_id="compare-heatmap")
        with gr.Accordion(words.COMPARE_TABLE, open=False):
            table = gr.HTML(elem_id="compare-table")
            gr.Button(words.CSV).click(
                None, None, None, js=browser.save_table("compare-table", "similarity-of-virtual-faces")
            )
    make.click(None, [count, bits], [keys], js=browser.MAKE_KEYS)
    page.load(None, [count, bits], [keys], js=browser.MAKE_KEYS)
    outputs = placed(
        Compared, card=card, grid=grid, said=said, saving=saving, pictures=packed, heatmap=heatmap, table=table
    )
    run = go.click(
        shown(on_compare, core=core),
        [gallery, keys, method, refine, visitor],
        outputs,
        js=browser.begin("compare-run", "compare-card", "compare-results"),
        show_progress_on=[card],
        **controls.HEAVY,
    )
    run.then(None, None, None, js=browser.end("compare-run", "compare-card", "compare-results"))
    stop_button(run, visitor, stop, Compared, outputs, ("compare-run", "compare-card"))
    gr.on([gallery.change, keys.change, method.change, refine.change], None, js=browser.stale("compare-results"))
    asked = [gallery, keys, method, refine]
    gr.on([gallery.change, keys.change, method.change, refine.change], shown(on_pace), asked, [pace], **controls.LIGHT)
    run.then(shown(on_pace), asked, [pace], **controls.LIGHT)
    save.click(None, [packed], None, js=browser.SAVE_ALL)
    save_keys.click(None, None, None, js=browser.SAVE_KEYS)


def on_pace(asked: Table) -> str:
    """How long the grid will take."""
    keys = [line for line in (asked.key_lines or "").splitlines() if line.strip()]
    count = len(asked.gallery or []) * len(keys)
    return words.takes(PACE.expected(asked.method, asked.refine) * count, count)
