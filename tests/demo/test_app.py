"""The flags of app.py."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

import app
from demo.core import preset_with
from kfaar_core.errors import BadSetting


def test_mcp_without_its_package_leaves_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(app, "find_spec", lambda name: None if name == "mcp" else find_spec(name))
    monkeypatch.setattr(app, "load", lambda *_, **__: pytest.fail("networks were loaded first"))
    monkeypatch.setattr(sys, "argv", ["app.py", "--preset", "tiny", "--mcp"])
    with pytest.raises(BadSetting, match=r"pip install 'gradio\[mcp\]'"):
        app.main()


@pytest.mark.parametrize("flag", ["--method", "--projector"])
def test_the_method_has_an_older_name(monkeypatch, flag):
    monkeypatch.setattr(sys, "argv", ["app.py", flag, "bits"])
    assert app.flags().method == "bits"


def test_a_preset_takes_another_method():
    assert preset_with("tiny", "bits").method == "bits"
    assert preset_with("tiny", None).method == "floor"
