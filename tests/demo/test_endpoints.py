"""The endpoints for programs, over HTTP, with the stand-in core."""

from __future__ import annotations

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo.build import LAUNCH, build
from tests.demo.stand_in import StandInCore

KEY = "01" * 32


@pytest.fixture(scope="module")
def client():
    page = build(StandInCore())
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **LAUNCH)
    yield Client(address, verbose=False)
    page.close()


def test_a_face_is_made_marked_and_read(client, photo):
    picture, facts = client.predict(handle_file(photo), KEY, "portrait", api_name="/anonymise")
    with Image.open(picture) as opened:
        assert opened.format == "PNG" and opened.info["Comment"] == "synthetic face"
    assert facts["anonymous"] is True and facts["fault"] is None and facts["warnings"] == []
    answer = client.predict(handle_file(picture), handle_file(photo), KEY, api_name="/authenticate")
    assert answer["same_person"] is True and answer["threshold"] == 0.5


@pytest.mark.parametrize("name", ["method", "projector"])
def test_the_method_goes_by_both_names(client, photo, name):
    asked = {"photo": handle_file(photo), "key": "01" * 4, "mode": "portrait"}
    with pytest.raises(AppError, match="128 or 256 bits"):  # which only the stand-in's bits says
        client.predict(**asked, **{name: "bits"}, api_name="/anonymise")


def test_face_and_refinement_can_be_asked_for(client, photo):
    asked = {"photo": handle_file(photo), "key": KEY, "api_name": "/anonymise"}
    assert client.predict(**asked, refine=False)[1]["kvfa_cosine"] is None
    assert client.predict(**asked)[1]["kvfa_cosine"] == 0.8
    with pytest.raises(AppError, match="whole number"):
        client.predict(**asked, face=1.5)


def test_a_face_that_is_too_close_has_a_code_and_a_sentence(client, photo):
    _, facts = client.predict(handle_file(photo), "ff" * 32, "portrait", api_name="/anonymise")
    assert facts["fault"] == "close" and "0.60" in facts["warnings"][0] and facts["anonymous"] is False
