"""The manifest: size and sha256 of every committed weight file, as kfaar_core.weights checks them."""

from __future__ import annotations

import json
from pathlib import Path

from kfaar_core.files import write_whole
from kfaar_core.weights import MANIFEST, digest


def manifest_text(folder: Path) -> str:
    """The manifest of the folder's *.safetensors, at any depth, as JSON; the same files give the same text."""
    files = sorted(folder.rglob("*.safetensors"))
    pins = {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}
    listed = {name: {"sha256": pin.sha256, "size": pin.size} for name, pin in pins.items()}
    return json.dumps(listed, indent=2, sort_keys=True) + "\n"


def write_manifest(folder: Path) -> Path:
    """Write manifest.json beside the files that it lists, whole or not at all."""
    path = folder / MANIFEST
    write_whole(path, manifest_text(folder).encode(), force=True)
    return path
