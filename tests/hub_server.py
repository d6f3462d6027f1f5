"""A Hub on this machine for tests: the part of its HTTP interface that huggingface_hub asks, on a free port.

Files can be read, whole or from a byte on, and committed. A test can make a connection break in the middle of a file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PIECE = 1 << 20  # bytes that are sent at a time


@dataclass
class Hub:
    """The repositories, by name, and what was asked of them."""

    files: dict[str, dict[str, bytes | Path]] = field(default_factory=dict)  # owner/name -> path -> content
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range header
    cuts: list[int] = field(default_factory=list)  # break the next downloads after so many bytes
    address: str = ""

    def put(self, repository: str, name: str, content: bytes | Path) -> None:
        self.files.setdefault(repository, {})[name] = content

    def commit(self, repository: str) -> str:
        """The commit hash of the repository as it is."""
        told = [f"{name} {digest(content)}" for name, content in sorted(self.files[repository].items())]
        return hashlib.sha1("\n".join(told).encode()).hexdigest()

    def downloads(self) -> list[str]:
        """The Range headers of the downloads, in order; empty for whole files."""
        return [part for method, path, part in self.asked if method == "GET" and "/resolve/" in path]


def size(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def digest(content: bytes | Path) -> str:
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(content).hexdigest()


def pieces(content: bytes | Path, first: int) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content[first:]
        return
    with content.open("rb") as file:
        file.seek(first)
        while piece := file.read(PIECE):
            yield piece


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *words: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        words = path.strip("/").split("/")
        if path == "/api/validate-yaml":
            return self.as_json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.hub.files.setdefault(name, {})
            return self.as_json({"url": f"{self.hub.address}/{name}", "name": name, "id": name})
        if words[0] == "api" and words[1] in ("models", "datasets"):
            repository, what, revision = "/".join(words[2:4]), words[4], words[5] if len(words) > 5 else "main"
        elif words[2:3] == ["resolve"]:
            repository, what, revision = "/".join(words[:2]), "resolve", words[3]
        else:
            return self.refused(404, "RepoNotFound")
        if repository not in self.hub.files:
            return self.refused(401, "RepoNotFound")
        commit = self.hub.commit(repository)
        if revision not in ("main", commit):
            return self.refused(404, "RevisionNotFound")
        files = self.hub.files[repository]
        if what == "resolve":
            name = "/".join(words[4:])
            return self.file(files[name], commit) if name in files else self.refused(404, "EntryNotFound")
        if what == "revision":
            return self.as_json({"id": repository, "sha": commit, "siblings": [{"rfilename": name} for name in files]})
        if what == "tree":
            return self.as_json(
                [{"type": "file", "path": n, "size": size(c), "oid": digest(c)[:40]} for n, c in files.items()]
            )
        if what == "preupload":
            listed = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.as_json({"files": listed})
        if what == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    assert line["value"]["encoding"] == "base64"
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            made = self.hub.commit(repository)
            return self.as_json({"commitUrl": f"{self.hub.address}/{repository}/commit/{made}", "commitOid": made})
        return self.refused(404, "EntryNotFound")

    def as_json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refused(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def file(self, content: bytes | Path, commit: str) -> None:
        whole, asked = size(content), self.headers.get("Range", "")
        first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{digest(content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(whole - first))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cuts.pop(0) if self.hub.cuts else whole
        sent = 0
        for piece in pieces(content, first):
            self.wfile.write(piece[: cut - sent])
            sent += len(piece)
            if sent > cut:
                self.close_connection = True
                return


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running Hub without repositories."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
