"""The public endpoints for programs (gradio_client, and MCP by flag): anonymise, authenticate, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import controls, pictures, words
from demo.core import Core, Request, fault
from demo.records import Inputs
from demo.shown import shown
from demo.tabs.authenticate import client_of
from kfaar_core.errors import BadSetting, DataMissing
from kfaar_core.keys import UserKey
from kfaar_core.metrics import verification
from kfaar_core.tries import BANDS, band_of


@dataclass(frozen=True)
class Drawing(Inputs):
    """What the endpoint for drawing is given."""

    photo: str
    key: str
    mode: str
    method: str
    face: float
    refine: bool
    projector: str  # the older name of `method`, which counts when it is given


def anonymise(drawing: Drawing, *, core: Core) -> tuple[Image.Image, dict[str, Any]]:
    """Draw the virtual face of one face in a photo.

    Args:
        photo: a picture file with a face.
        key: the user key as hex digits, 8 to 512 bits; make it on your side and keep it.
        mode: "portrait", or "paste" for the whole photo with the face exchanged.
        method: how the key moves the identity; the app's first one unless given.
        face: which face, by size: 0 is the largest.
        refine: draw the face so that the key reads it reliably; slower, for the default method only.
        projector: an older name of method.
    Returns:
        The picture, which says of itself that it is synthetic, and what an independent recogniser says of it.
    """
    given = pictures.read_photo(drawing.photo, words.NO_PHOTO)
    method = drawing.projector or drawing.method
    number = whole("face", drawing.face)
    wanted = Request(given, UserKey.parse(drawing.key), method, number, drawing.mode, drawing.refine)
    answer = core.anonymise(wanted)
    found = fault(answer)
    facts = {
        "anonymous": bool(answer.anonymous),
        "judge_cosine": round(float(answer.judge_cosine), 4),
        "judge_threshold": round(float(answer.judge_threshold), 4),
        "kvfa_cosine": answer.reading and round(answer.reading.cosine, 4),
        "seconds": {name: round(value, 3) for name, value in answer.seconds.items()},
        "fault": found,
        "warnings": [*words.sentences(given.notes), *([words.fault(found, answer)] if found else [])],
    }
    return pictures.signed(answer.picture), facts


def whole(name: str, value: Any) -> int:
    """A number without a fraction, 0 or more.

    Raises:
        BadSetting: it is none.
    """
    if isinstance(value, (int, float)) and value == int(value) and value >= 0:
        return int(value)
    raise BadSetting(got=f"{name} is {value!r}", mend="give a whole number, 0 or more")


@dataclass(frozen=True)
class Question(Inputs):
    """What the endpoint for authentication is given."""

    virtual: str
    original: str
    key: str
    method: str
    projector: str  # the older name of `method`, which counts when it is given


def authenticate(question: Question, request: gr.Request, *, core: Core, public: bool = False) -> dict[str, Any]:
    """Say whether a virtual face belongs to the person of an original photo.

    Args:
        virtual: the picture of a virtual face.
        original: a photo of the person.
        key: the user key as hex digits; empty asks without a key.
        method: the method that made the virtual face; the app's first one unless given.
        projector: an older name of method.
    Returns:
        Decision, and cosine and threshold; of a public server a coarse band in place of both.
    """
    answer = core.authenticate(
        pictures.read_photo(question.virtual, words.NO_VIRTUAL),
        pictures.read_photo(question.original, words.NO_ORIGINAL),
        UserKey.parse(question.key) if question.key.strip() else None,
        method=question.projector or question.method,
        client=client_of(request),
    )
    if public:
        return {"same_person": bool(answer.same_person), "band": BANDS[band_of(answer.cosine, answer.threshold)]}
    return {
        "same_person": bool(answer.same_person),
        "cosine": round(float(answer.cosine), 4),
        "threshold": round(float(answer.threshold), 4),
        "dimension": answer.dimension,
        "compared": answer.compared,
    }


def metrics(genuine: list[float], impostor: list[float], threshold: float) -> dict[str, float]:
    """Error rates of a verifier from its scores; a pair is accepted at a score >= threshold.

    Args:
        genuine: scores of pairs of one person, higher means more alike.
        impostor: scores of pairs of two people.
        threshold: where FAR, FRR and CRR are taken.
    Returns:
        auc, eer, far, frr, crr.
    """
    ours, others = scores("genuine", genuine), scores("impostor", impostor)
    if not isinstance(threshold, (int, float)) or not np.isfinite(threshold):
        raise DataMissing(got="a threshold that is no number", mend="give one, such as 0.7")
    rates = verification.error_rates(ours, others, threshold)
    return {
        "auc": verification.auc(ours, others),
        "eer": verification.eer(ours, others).rate,
        "far": rates.far,
        "frr": rates.frr,
        "crr": verification.crr(ours, others, threshold),
    }


def scores(name: str, values: Any) -> np.ndarray:
    """A list of numbers as (N,) float64.

    Raises:
        DataMissing: it is no such list.
    """
    try:
        return np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise DataMissing(
            got=f"{name} scores that are no list of numbers", mend="give a list such as [0.1, 0.7]"
        ) from None


def build(core: Core, *, mcp: bool = False, public: bool = False) -> None:
    """Endpoints without a place on the page: their components are not rendered."""
    names = [method.name for method in core.methods()]
    with gr.Row(visible=False):
        photo = pictures.photo_box("photo", "api-photo")
        virtual = pictures.photo_box("virtual", "api-virtual")
        original = pictures.photo_box("original", "api-original")
        key = gr.Textbox(label="key")
        mode = gr.Radio([value for _, value in controls.MODES.choices], value=controls.MODES.start, label="mode")
        method = gr.Radio(names, value=names[0], label="method")
        face = gr.Number(label="face", value=0)
        refine = gr.Checkbox(label="refine", value=True)
        older = gr.Radio(["", *names], value="", label="projector")
        picture, facts, verdict = (
            gr.Image(label="picture", format="png"),
            gr.JSON(label="facts"),
            gr.JSON(label="verdict"),
        )
        genuine, impostor = gr.JSON(label="genuine"), gr.JSON(label="impostor")
        threshold = gr.Number(label="threshold", value=0.7)
        rates = gr.JSON(label="rates")
        run = gr.Button()
    run.click(
        shown(anonymise, core=core),
        [photo, key, mode, method, face, refine, older],
        [picture, facts],
        api_name="anonymise",
        **(controls.HEAVY | {"api_visibility": "public"}),
    )
    run.click(
        shown(authenticate, core=core, public=public),
        [virtual, original, key, method, older],
        [verdict],
        api_name="authenticate",
        # A model that talks has no business trying keys.
        **(controls.LOOK | {"api_visibility": "undocumented" if mcp else "public"}),
    )
    run.click(shown(metrics), [genuine, impostor, threshold], [rates], api_name="metrics")
