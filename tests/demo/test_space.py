"""The README's front matter is what a Space is made from."""

from __future__ import annotations

from pathlib import Path

import gradio
import yaml

ROOT = Path(__file__).resolve().parents[2]
ABOUT = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])


def test_the_space_is_built_from_what_is_here():
    assert ABOUT["sdk"] == "gradio" and ABOUT["python_version"] == "3.12"
    assert (ROOT / ABOUT["app_file"]).is_file()
    assert ABOUT["sdk_version"].split(".")[0] == gradio.__version__.split(".")[0]
    assert len(ABOUT["short_description"]) <= 60 and ABOUT["tags"]  # the Hub refuses longer ones


def test_nothing_is_fetched_from_the_hub_at_the_start():
    assert "preload_from_hub" not in ABOUT and "models" not in ABOUT  # all weights are in the repository
