"""The app: `python app.py`, then open the address it prints. Reads flags, loads the core, launches on localhost."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec

from kfaar_core.cores import PASSIVE, free_cores

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported
os.environ.setdefault(*PASSIVE)  # before torch is imported

if find_spec("spaces") is not None:
    import spaces  # type: ignore[import-not-found, unused-ignore]  # before torch, which it prepares for ZeroGPU

    from demo.duration import of_drawing

    gpu = spaces.GPU(duration=of_drawing)
else:
    gpu = None

from demo.build import LAUNCH, build
from demo.core import METHOD_NAMES, LocalCore, preset_with
from kfaar_core import cast, weights
from kfaar_core.errors import BadSetting, KfaarError
from kfaar_core.pipeline import load
from kfaar_core.presets import PRESETS

INSTALL_MCP = f"{sys.executable} -m pip install 'gradio[mcp]'"


def flags() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="KFAAR: keyed face anonymisation in the browser.")
    parser.add_argument("--preset", default=os.environ.get("KFAAR_PRESET", "lab"), choices=tuple(PRESETS))
    parser.add_argument("--fetch", action="store_true", help="download what the preset lacks; a Space always does")
    names = ", ".join(METHOD_NAMES)
    parser.add_argument("--method", "--projector", metavar="NAME", help=f"{names}; instead of the preset's")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; as many as cores are free when left out")
    parser.add_argument("--port", type=int, help="7860, or the next free one, when left out")
    parser.add_argument("--share", action="store_true", help="a public address through Gradio's server")
    parser.add_argument("--mcp", action="store_true", help="serve anonymise and metrics to language models (MCP)")
    strangers = "answer strangers bands in place of cosines in Authenticate; by default on a Space and with --share"
    parser.add_argument("--public", action=argparse.BooleanOptionalAction, help=strangers)
    return parser.parse_args()


def main() -> None:
    """Load, build, launch."""
    asked = flags()
    if asked.mcp and find_spec("mcp") is None:
        raise BadSetting(got="--mcp needs the package mcp, which is not here", mend=f"run {INSTALL_MCP}")
    preset = preset_with(asked.preset, asked.method)
    if asked.fetch or os.environ.get("SPACE_ID"):
        weights.fetch(cast.needed(preset), print)
    public = asked.public if asked.public is not None else asked.share or "SPACE_ID" in os.environ
    core = LocalCore(load(preset, asked.device, asked.threads or free_cores()), wrap=gpu)
    page = build(core, mcp=asked.mcp, public=public)
    page.launch(server_port=asked.port, share=asked.share, mcp_server=asked.mcp, **LAUNCH)


if __name__ == "__main__":
    try:
        main()
    except KfaarError as error:
        raise SystemExit(f"error: {error}") from None
