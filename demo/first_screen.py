"""What stands on the page before anything is done: a finished example, and a menu of more."""

from __future__ import annotations

from html import escape

import gradio as gr

from demo import markup, words
from demo.examples import ExampleAnswer, examples
from demo.pictures import Encoded, inline, small
from kfaar_core.image import open_photo

THUMB = 96  # px
FINISHED = "person-7"  # the example whose answer is shown at first


def example_menu() -> gr.Dataset | None:
    """The examples as small pictures to press; None when there are none. Its value is the number of an example."""
    if not examples():
        gr.Markdown(words.NO_EXAMPLES)
        return None
    picture = gr.Image(label=words.EXAMPLE, visible=False)
    thumbs = [
        [Encoded.of_face(small(open_photo(example.photo).pixels, THUMB)).stored(picture)] for example in examples()
    ]
    return gr.Dataset(
        components=[picture],
        samples=thumbs,
        type="index",
        label=words.EXAMPLES,
        samples_per_page=len(thumbs),
        elem_id="examples",
    )


def asks() -> str:
    """The card that waits for a photo."""
    return markup.card("", words.RESULT_EMPTY, "empty")


def finished() -> str:
    """The card of a page that nothing was done on yet, with one example from photo to proof."""
    found = [example for example in examples() if example.photo.stem == FINISHED and example.answer]
    if not found:
        return asks()
    example = found[0]
    made = example.answer
    assert made is not None
    return markup.card(words.FINISHED_HEAD, words.FINISHED, "empty", more=strip(inline_of(example.photo), made))


def inline_of(path: object) -> str:
    """A picture of this project, which is synthetic and stays marked."""
    return inline(open_photo(str(path)).pixels, 100, synthetic=True)


def strip(photo: str, made: ExampleAnswer) -> str:
    """Photo, key and virtual face in a row; below it what two keys read."""

    def figure(address: str, alt: str, below: str) -> str:
        picture = f'<img src="{address}" alt="{escape(alt, quote=True)}" width="200" height="200">'
        return f"<figure>{picture}<figcaption>{escape(below)}</figcaption></figure>"

    def read(key: str, fits: bool, sentence: str) -> str:
        kind = "good" if fits else "bad"
        return f'<p class="read {kind}"><strong>{escape(key)}</strong> {escape(sentence)}</p>'

    return (
        '<div class="finished">'
        f"{figure(photo, words.FINISHED_PHOTO, words.FINISHED_PHOTO)}"
        f'<p class="with"><span aria-hidden="true">+</span> {escape(words.FINISHED_KEY)} '
        f'<span aria-hidden="true">=</span></p>'
        f"{figure(inline_of(made.path), words.FINISHED_FACE, words.FINISHED_FACE)}"
        f'<div class="proof">{read(words.RIGHT_KEY, made.right.same_person, words.reads(made.right))}'
        f"{read(words.WRONG_KEY_SHORT, made.wrong.same_person, words.reads(made.wrong))}</div></div>"
    )
