from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from kfaar_core.errors import BadSetting
from kfaar_core.presets import LAB, PAPER, PRESETS, TINY, get_preset


def test_presets_by_name():
    assert get_preset("lab") is LAB and get_preset("tiny") is TINY
    assert list(PRESETS) == ["lab", "paper", "tiny"]
    with pytest.raises(BadSetting, match=r"The preset 'best'\. Choose one of lab, paper, tiny\."):
        get_preset("best")
    assert get_preset("paper").generator == "stylegan2"


def test_a_preset_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        LAB.side = 256  # type: ignore[misc]


def test_what_the_paper_and_the_issue_fix():
    assert LAB.match_threshold == PAPER.match_threshold == 0.7
    assert LAB.key_bits == 256 and LAB.sides == (512, 1024) and LAB.side in LAB.sides and TINY.side in TINY.sides
