"""The endpoints that read virtual faces: authenticate, scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo import pictures, words
from demo.core import Core
from demo.records import Inputs
from demo.tabs.authenticate import anonymised_again, another, client_of, outcomes_at_once
from kfaar_core.keys import UserKey
from kfaar_core.tries import BANDS, band_of


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


@dataclass(frozen=True)
class Asked(Inputs):
    """What the endpoint for the scenarios is given."""

    virtual: str
    original: str
    key: str
    method: str


def scenarios(asked: Asked, request: gr.Request, *, core: Core, public: bool = False) -> list[dict[str, Any]]:
    """Ask in four ways whose face it is: the scenarios 1 to 4 of the paper. It counts as a try to authenticate.

    Args:
        virtual: the picture of a virtual face.
        original: a photo of the person.
        key: the user key that made it, as hex digits.
        method: the method that made the virtual face; the app's first one unless given.
    Returns:
        For each scenario `number`, `who` asks, `has` (what they have), `cosine`, `threshold` and `accepted`; of a
        public server a coarse `band` in place of cosine and threshold. Scenario 1 takes as long as a
        face, which is anonymised again.
    """
    face = pictures.read_photo(asked.virtual, words.NO_VIRTUAL)
    photo = pictures.read_photo(asked.original, words.NO_ORIGINAL)
    key, facts = UserKey.parse(asked.key), core.facts(asked.method)
    core.authenticate(face, photo, key, method=asked.method, client=client_of(request))  # raises at too many tries
    later = outcomes_at_once(core.readout(face, photo, method=asked.method), key, another(key))
    answers = []
    for outcome in (anonymised_again(core, (face, photo), key, asked.method), *later):
        who, has, _ = words.SCENARIO[outcome.number]
        limit = facts.judge_threshold if outcome.by_judge else facts.threshold
        exact = {"cosine": round(outcome.cosine, 4), "threshold": round(limit, 4)}
        told = {"band": BANDS[band_of(outcome.cosine, limit)]} if public else exact
        accepted = bool(outcome.cosine >= limit)
        answers.append({"number": int(outcome.number), "who": who, "has": has, **told, "accepted": accepted})
    return answers
