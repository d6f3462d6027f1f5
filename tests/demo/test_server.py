"""What the server answers to requests that no page sends: paths, addresses, oversized files, private handlers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio import route_utils

from demo.build import LAUNCH, build
from tests.demo.stand_in import StandInCore

ROOT = Path(__file__).resolve().parents[2]
NOTHING_LISTENS = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def server():
    page = build(StandInCore())
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **LAUNCH)
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client
    page.close()


@pytest.mark.parametrize(
    "path",
    [
        "file=/etc/passwd",
        "file=/proc/self/environ",
        f"file={ROOT}/app.py",
        "file=app.py",
        "file=.git/config",
        "file=assets/weights/judge.safetensors",
        "file=..%2f..%2f..%2fetc%2fpasswd",
        "file=%2e%2e/%2e%2e/etc/passwd",
        f"file={NOTHING_LISTENS}/",
        f"proxy={NOTHING_LISTENS}/",
        "proxy=http://169.254.169.254/latest/meta-data/",
        "file//etc/passwd",
        "../assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "../static/..%2f..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_file_of_the_machine_and_no_other_address_is_served(server, path):
    assert server.get(f"gradio_api/{path}").status_code in (400, 403, 404)


def test_what_nobody_here_uses_is_closed(server):
    for path in ("monitoring", "monitoring/summary", "monitoring/x", "gradio_api/vibe-code", "docs"):
        assert server.get(path).status_code in (403, 404), path
    for path in ("agents.md", "llms.txt", "gradio_api/mcp/sse", "gradio_api/mcp/http", "gradio_api/mcp/schema"):
        assert server.get(path).status_code == 404, path
    assert server.post("gradio_api/vibe-edit", json={"prompt": "x"}).status_code in (403, 404, 422)


def test_an_upload_has_a_name_without_a_path_and_a_largest_size(server):
    kept = Path(server.post("gradio_api/upload", files={"files": ("../../../x.png", b"no picture")}).json()[0])
    assert kept.name == "x.png" and ".." not in kept.parts and kept.read_bytes() == b"no picture"
    large = server.post("gradio_api/upload", files={"files": ("x.png", bytes(61 * 2**20))})
    assert large.status_code == 413


def test_pictures_are_deleted_though_more_come_meanwhile(tmp_path, monkeypatch):
    """Gradio's own sets end its clean-up for good when an upload comes in the middle of it."""
    page = build(StandInCore())
    kept = [tmp_path / name for name in ("1.png", "2.png", "3.png", "4.png")]
    image = next(block for block in page.blocks.values() if isinstance(block, gr.Image))
    for path, names in zip(
        kept, (page.upload_file_set, page.upload_file_set, image.temp_files, image.temp_files), strict=True
    ):
        path.touch()
        names.add(str(path))
    remove = os.remove

    def meanwhile(path: str) -> None:
        remove(path)
        for names in (page.upload_file_set, image.temp_files):
            names.add(f"{path} came meanwhile")

    monkeypatch.setattr(os, "remove", meanwhile)
    route_utils.delete_files_created_by_app(page, None)
    assert not any(path.exists() for path in kept)
    route_utils.delete_files_created_by_app(page, None)


def answer(server, name: str, *values: object) -> str:
    """The event that ends a call."""
    asked = server.post(f"gradio_api/call/{name}", json={"data": values})
    if asked.status_code != 200:
        return f"refused: {asked.status_code}"
    return server.get(f"gradio_api/call/{name}/{asked.json()['event_id']}").text


@pytest.mark.parametrize("where", [{"path": "/etc/passwd"}, {"path": "app.py"}, {"path": "x", "url": NOTHING_LISTENS}])
def test_a_file_that_was_not_uploaded_is_not_read(server, where):
    told = answer(server, "detect", {**where, "meta": {"_type": "gradio.FileData"}})
    assert told.startswith(("event: error", "refused")) and "width" not in told


def test_handlers_of_the_page_have_no_address(server):
    config = server.get("config").json()
    visible = {each["api_name"] for each in config["dependencies"] if each["api_visibility"] == "public"}
    assert visible == {"anonymise", "authenticate", "compare", "detect", "metrics", "scenarios"}
    listed = server.get("gradio_api/info").json()["named_endpoints"]
    assert {name.strip("/") for name in listed} == visible


def test_the_page_tells_nothing_of_the_machine(server):
    told = server.get("config").text
    assert str(ROOT) not in told and str(Path.home()) not in told


def test_other_sites_may_not_read_answers(server):
    """No header lets the page of another site read what this one answers."""
    told = server.get("config", headers={"Origin": "https://elsewhere.example"})
    assert told.headers.get("access-control-allow-origin") in (None, "null")


def test_a_forwarded_host_changes_the_own_answer_alone(server):
    """Gradio believes the header; docs/security.md asks a proxy to set it."""
    told = server.get("config", headers={"X-Forwarded-Host": "elsewhere.example"}).json()["root"]
    assert "elsewhere.example" in told
    assert "elsewhere.example" not in json.dumps(server.get("config").json()["root"])
