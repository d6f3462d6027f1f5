"""A folder or a zip of photos: every face of every photo is replaced, and what cannot be replaced is pixelated."""

from __future__ import annotations

import csv
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import PurePosixPath
from typing import Any

import gradio as gr

from demo import browser, controls, keys_panel, markup, pictures, words
from demo.core import Core, Request
from demo.pace import PACE, Seldom, left, share
from demo.pictures import Encoded
from demo.records import Inputs, Outputs, placed
from demo.shown import shown
from demo.steps import Steps, Tell
from demo.visitor import Visitor, stop_button
from kfaar_core.errors import DataMissing, KfaarError
from kfaar_core.image import open_photo
from kfaar_core.keyring import check_master, derived_key
from kfaar_core.keys import UserKey
from kfaar_core.records import Photo

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".bmp")
MOST_PHOTOS = 100
LARGEST = 64 * 2**20  # bytes of a photo


@dataclass(frozen=True)
class Many(Inputs):
    """What stands there when the button is pressed."""

    archive: str | None
    given: keys_panel.GivenKey
    method: str
    refine: bool


@dataclass(frozen=True)
class Packed(Outputs):
    """How far it is, then a zip of the answers."""

    card: str
    pictures: Any = None
    saving: Any = field(default_factory=lambda: gr.update(visible=False))

    @classmethod
    def trouble(cls, head: str, sentence: str) -> Packed:
        return cls(markup.trouble(head, sentence))


@dataclass(frozen=True)
class Done:
    """One photo of the answer."""

    name: str  # in the zip that was given, and the label of its key
    picture: Encoded | None  # None: there is nothing to post
    said: str

    @property
    def file(self) -> str:
        """Its name in the zip of answers: inside it, whatever the given one says."""
        plain = "/".join(part for part in PurePosixPath(self.name).parts if part not in ("/", ".."))
        return plain if plain.lower().endswith((".jpg", ".jpeg")) else f"{plain}.jpg"


def on_many(asked: Many, visitor: Visitor, request: gr.Request, *, core: Core) -> Iterator[Packed]:
    """Replace all faces of all photos, each photo under a key of its own."""
    if asked.archive is None:
        raise DataMissing(got=words.NO_ARCHIVE[0], mend=words.NO_ARCHIVE[1])
    check, master = visitor.stop.begin(request), asked.given.key()
    check_master(master)
    done: list[Done] = []
    with opened(asked.archive) as archive:
        names = photos_in(archive)
        began, due = time.monotonic(), Seldom()

        def work(tell: Tell) -> None:
            for name in names:
                draw(asked, archive, name, master, core, tell)

        for photo, *step in Steps(work):
            check()
            if isinstance(photo, Done):
                done.append(photo)
            elif not due((photo, step[0])):
                continue
            part = (len(done) + (share(*step[:3]) if step else 0.0)) / len(names)
            expected = PACE.expected(asked.method, asked.refine) * len(names)
            over = words.left_over(left(expected, time.monotonic() - began, part))
            yield Packed(markup.working(words.photo_of(min(len(done) + 1, len(names)), len(names)), part, over))
    good = sum(photo.picture is not None for photo in done)
    head, body = words.many_done(good, len(done))
    lost = [f"{photo.name}: {photo.said}" for photo in done if photo.picture is None]
    yield Packed(
        markup.card(head, body, "good" if good else "bad", lost, done=bool(good)),
        packed(done) if good else None,
        gr.update(visible=bool(good)),
    )


def opened(path: str) -> zipfile.ZipFile:
    """
    Raises:
        DataMissing: it is no zip.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        raise DataMissing(got="a file that is no whole zip", mend="pack the photos again") from None


def photos_in(archive: zipfile.ZipFile) -> list[str]:
    """The names of the photos in a zip, in order; hidden ones are left out.

    Raises:
        DataMissing: none, or too many.
    """
    names = sorted(
        name
        for name in archive.namelist()
        if PurePosixPath(name).suffix.lower() in ENDINGS and not PurePosixPath(name).name.startswith(".")
    )
    if not names:
        raise DataMissing(got="a zip without photos", mend=f"pack files that end with {', '.join(ENDINGS)}")
    if len(names) > MOST_PHOTOS:
        raise DataMissing(got=f"a zip of {len(names)} photos", mend=f"give at most {MOST_PHOTOS} at once")
    return names


def draw(asked: Many, archive: zipfile.ZipFile, name: str, master: UserKey, core: Core, tell: Tell) -> None:
    """Replace the faces of one photo, and tell what came of it."""
    try:
        photo = read(archive, name)
        count = len(core.faces(photo))
        if count == 0:
            tell(Done(name, None, words.faces_found(0)))
            return
        wanted = Request(photo, derived_key(master, name), asked.method, tuple(range(count)), "paste", asked.refine)
        group = core.anonymise_group(wanted, lambda *step: tell(name, *step))
    except KfaarError as error:
        tell(Done(name, None, str(error)))
        return
    said = words.group_decision(group)
    tell(Done(name, Encoded.of_face(group.picture, ".jpg", pasted=True), " ".join(said)))


def read(archive: zipfile.ZipFile, name: str) -> Photo:
    """One photo of a zip.

    Raises:
        DataMissing: it is too large or damaged.
        BadPicture: it is no picture.
    """
    if archive.getinfo(name).file_size > LARGEST:
        raise DataMissing(got="a photo of more than 64 MB", mend="make it smaller")
    try:
        return open_photo(archive.read(name))
    except (zipfile.BadZipFile, RuntimeError, OSError):
        raise DataMissing(got="a photo that is damaged in the zip", mend="pack it again") from None


def packed(done: Sequence[Done]) -> Encoded:
    """A zip of the answers, and a table of whose key each has."""
    stream, table = BytesIO(), StringIO()
    lines = csv.writer(table)
    lines.writerow(words.MANY_HEADERS)
    with zipfile.ZipFile(stream, "w") as answer:
        for photo in done:
            lines.writerow([photo.name, photo.file if photo.picture else "", photo.said])
            if photo.picture:
                answer.writestr(photo.file, photo.picture.data)
        answer.writestr("labels.csv", table.getvalue())
    return Encoded(stream.getvalue(), "virtual-faces.zip")


def build(core: Core, visitor: gr.State, keys: keys_panel.KeyPanel, method: gr.Radio, refine: gr.Checkbox) -> None:
    """Lay out and wire the panel; key, method and refinement are those of the tab."""
    gr.Markdown(words.MANY_LEAD, elem_classes="lead")
    with gr.Row():
        archive = gr.File(label=words.ARCHIVE, file_types=[".zip"], type="filepath", height=150, elem_id="many-zip")
        with gr.Column():
            folder = gr.Button(words.FOLDER, elem_id="many-folder")
            with gr.Row(elem_classes="run-line"):
                go = gr.Button(words.MANY_RUN, variant="primary", elem_id="many-run", scale=3)
                stop = gr.Button(words.STOP, elem_id="many-stop", scale=1, min_width=80)
    with gr.Column(elem_id="many-results"):
        card = gr.HTML(elem_id="many-card", min_height=48)
        with gr.Row(visible=False, elem_id="many-saving") as saving:
            save = gr.Button(words.SAVE_ALL, elem_id="many-save", min_width=140)
            save_key = gr.Button(words.SAVE_KEY, elem_id="many-save-key", min_width=140)
        answer = pictures.EncodedFile(visible=False, elem_id="many-pictures")
    folder.click(None, None, None, js=browser.pack_folder("many-zip"))
    outputs = placed(Packed, card=card, pictures=answer, saving=saving)
    run = go.click(
        shown(on_many, core=core),
        [archive, *keys.inputs, method, refine, visitor],
        outputs,
        js=browser.begin("many-run", "many-card", "many-results"),
        show_progress_on=[card],
        **controls.HEAVY,
    )
    run.then(None, None, None, js=browser.end("many-run", "many-card", "many-results"))
    stop_button(run, visitor, stop, Packed, outputs, ("many-run", "many-card"))
    save.click(None, [answer], None, js=browser.SAVE_ALL)
    save_key.click(None, None, None, js=browser.SAVE_MANY_KEY)
