"""The public endpoints for programs (HTTP, gradio_client, and MCP by flag); docs/api.md has examples."""

from __future__ import annotations

import gradio as gr

from demo import controls, pictures
from demo.core import Core
from demo.endpoints import drawing, rates, reading
from demo.shown import shown

PUBLIC = {"api_visibility": "public"}


def build(core: Core, *, mcp: bool = False, public: bool = False) -> None:
    """Endpoints without a place on the page: their components are not rendered."""
    names = [method.name for method in core.methods()]
    sizes = ["", *map(str, controls.SIZES)]
    # A model that talks has no business trying keys.
    guarded = {"api_visibility": "undocumented" if mcp else "public"}
    with gr.Row(visible=False):
        photo = pictures.photo_box("photo", "api-photo")
        virtual = pictures.photo_box("virtual", "api-virtual")
        original = pictures.photo_box("original", "api-original")
        several = gr.File(label="photos", file_count="multiple", type="filepath")
        key = gr.Textbox(label="key")
        keys = gr.JSON(label="keys")
        mode = gr.Radio([value for _, value in controls.MODES.choices], value=controls.MODES.start, label="mode")
        method = gr.Radio(names, value=names[0], label="method")
        face = gr.Number(label="face", value=0)
        refine = gr.Checkbox(label="refine", value=True)
        older = gr.Radio(["", *names], value="", label="projector")
        size = gr.Radio(sizes, value="", label="size")
        picture, packed = pictures.EncodedImage(label="picture"), pictures.EncodedFile(label="pictures")
        facts = {name: gr.JSON(label=name) for name in ("facts", "faces", "verdict", "scenarios", "likeness", "rates")}
        genuine, impostor = gr.JSON(label="genuine"), gr.JSON(label="impostor")
        threshold = gr.Number(label="threshold", value=0.7)
        run = gr.Button()
    for handler, inputs, outputs, settings in (
        (
            drawing.anonymise,
            [photo, key, mode, method, face, refine, older, size],
            [picture, facts["facts"]],
            controls.HEAVY | PUBLIC,
        ),
        (drawing.detect, [photo], [facts["faces"]], controls.LOOK | PUBLIC),
        (drawing.compare, [several, keys, method, refine], [packed, facts["likeness"]], controls.HEAVY | PUBLIC),
    ):
        run.click(shown(handler, core=core), inputs, outputs, api_name=handler.__name__, **settings)
    asked = [virtual, original, key, method]
    for reader, inputs, outputs, settings in (
        (reading.authenticate, [*asked, older], [facts["verdict"]], controls.LOOK | guarded),
        (reading.scenarios, asked, [facts["scenarios"]], controls.HEAVY | guarded),
    ):
        run.click(shown(reader, core=core, public=public), inputs, outputs, api_name=reader.__name__, **settings)
    run.click(shown(rates.metrics), [genuine, impostor, threshold], [facts["rates"]], api_name="metrics")
