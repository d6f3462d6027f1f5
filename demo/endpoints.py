"""The public endpoints for programs (gradio_client, and MCP by flag): anonymise, authenticate, metrics."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from demo import controls, pictures, words
from demo.core import Core
from demo.shown import shown
from demo.tabs.authenticate import client_of
from kfaar_core.errors import DataMissing
from kfaar_core.keys import UserKey
from kfaar_core.metrics import verification


def anonymise(photo: str, key: str, mode: str, projector: str, *, core: Core) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw the virtual face of the largest face in a photo.

    Args:
        photo: a picture file with a face.
        key: the user key as hex digits, 8 to 512 bits; make it on your side and keep it.
        mode: "portrait", or "paste" for the whole photo with the face exchanged.
        projector: the form of P that places the identity; the app's first one unless given.
    Returns:
        The picture, and what the judge says of it.
    """
    given = pictures.read_photo(photo, words.NO_PHOTO)
    answer = core.anonymise(given, UserKey.parse(key), projector=projector, face="largest", mode=mode, progress=None)
    facts = {
        "anonymous": bool(answer.anonymous),
        "judge_cosine": round(float(answer.judge_cosine), 4),
        "judge_threshold": round(float(answer.judge_threshold), 4),
        "kvfa_cosine": answer.reading and round(answer.reading.cosine, 4),
        "seconds": {name: round(value, 3) for name, value in answer.seconds.items()},
        "warnings": words.sentences(answer.warnings),
    }
    return answer.picture, facts


def authenticate(
    virtual: str, original: str, key: str, projector: str, request: gr.Request, *, core: Core
) -> dict[str, Any]:
    """Say whether a virtual face belongs to the person of an original photo.

    Args:
        virtual: the picture of a virtual face.
        original: a photo of the person.
        key: the user key as hex digits; empty asks without a key.
        projector: the form of P that made the virtual face; the app's first one unless given.
    Returns:
        Cosine, threshold and decision.
    """
    answer = core.authenticate(
        pictures.read_photo(virtual, words.NO_VIRTUAL),
        pictures.read_photo(original, words.NO_ORIGINAL),
        UserKey.parse(key) if key.strip() else None,
        projector=projector,
        client=client_of(request),
    )
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


def build(core: Core, *, mcp: bool = False) -> None:
    """Endpoints without a place on the page: their components are not rendered."""
    heavy: dict[str, Any] = {"concurrency_id": "core", "concurrency_limit": 1}
    with gr.Row(visible=False):
        photo = pictures.photo_box("photo", "api-photo")
        virtual = pictures.photo_box("virtual", "api-virtual")
        original = pictures.photo_box("original", "api-original")
        key = gr.Textbox(label="key")
        mode = gr.Radio([value for _, value in controls.MODES.choices], value=controls.MODES.start, label="mode")
        names = core.projectors()
        projector = gr.Radio(list(names), value=names[0], label="projector")
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
        shown(anonymise, core=core), [photo, key, mode, projector], [picture, facts], api_name="anonymise", **heavy
    )
    run.click(
        shown(authenticate, core=core),
        [virtual, original, key, projector],
        [verdict],
        api_name="authenticate",
        api_visibility="undocumented" if mcp else "public",  # a model that talks has no business trying keys
        **heavy,
    )
    run.click(shown(metrics), [genuine, impostor, threshold], [rates], api_name="metrics")
