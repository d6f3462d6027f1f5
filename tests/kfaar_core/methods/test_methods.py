"""The registry: methods are found by their files, and what is said of them is one object."""

from __future__ import annotations

import pytest

from kfaar_core import methods, weights
from kfaar_core.errors import BadSetting
from kfaar_core.presets import LAB, TINY
from kfaar_core.weights import our_weight


def test_methods_by_name():
    assert {"bits", "floor", "hashed", "blur", "folder"} <= set(methods.names())
    listed = methods.registered()
    assert {method.name for method in listed} == set(methods.names())
    assert [method.name for method in listed][:4] == ["floor", "hashed", "look", "bits"]  # of menus and tables
    assert [method.name for method in listed if method.readable] == list(methods.readable()) == READABLE
    with pytest.raises(BadSetting, match=r"The method 'mlp'\. Choose one of bits, blur, floor"):
        methods.get("mlp")


READABLE = ["floor", "hashed", "look", "bits"]


def test_a_method_with_an_argument_is_a_variant():
    assert methods.get("blur:0.05").name == "blur-0.05" and methods.get("blur:0.1").name == "blur"
    assert methods.with_method(LAB, "pixelate:12").method == "pixelate:12"
    for wrong in ("blur:much", "blur:7", "hashed:2", "mask:1", "folder", "folder:", "folder:nowhere"):
        with pytest.raises(BadSetting):
            methods.get(wrong)
    assert "folder" not in methods.available(TINY) and "blur" in methods.available(TINY)


def test_a_preset_with_another_method():
    assert methods.with_method(LAB, "floor").method == "floor"
    assert methods.with_method(LAB, None) == LAB and methods.with_method(TINY, "floor") == TINY
    with pytest.raises(BadSetting, match="Choose one of"):
        methods.with_method(LAB, "base")  # the module of the protocol is no method


def test_what_a_method_says_of_itself_is_complete():
    for method in methods.registered():
        assert method.label and method.about
        for bits in method.key_lengths or (8, 256):
            assert set(method.networks(bits)) <= set(method.weights(bits))
        assert set(method.all_weights()) <= set(weights.WEIGHTS)
        assert all(weight.limits for weight in method.registers)


def test_two_weights_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(weights, "WEIGHTS", dict(weights.WEIGHTS))
    mine = our_weight("mine", limits="none")
    weights.register(mine)
    weights.register(mine)  # the same once more
    assert weights.entry("mine") == mine
    with pytest.raises(BadSetting, match="Two weights are called 'mine'"):
        weights.register(our_weight("mine", limits="others"))
