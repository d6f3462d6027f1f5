"""However a command ends, one line says why, and no word of the command line comes back."""

from __future__ import annotations

import pytest

from kfaar_core.commands import weights
from kfaar_core.commands.group import sentence_of

SECRET = "deadbeefcafe0123"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no command"),
        ((SECRET,), "no command"),
        (("anonymize", "x.jpg"), "did you mean anonymise"),
        (("authenticate", "v.png", "x.jpg", SECRET), "more words"),
        (("authenticate", "v.png"), "ORIGINAL is missing"),
        (("anonymise", "x.jpg"), "--output is missing"),
        (("authenticate", "v.png", "x.jpg", "--keys", SECRET), "did you mean --key"),
        (("authenticate", "v.png", "x.jpg", f"--passkey={SECRET}"), "no such option"),
        (("authenticate", "v.png", "x.jpg", "--key"), "the option --key came without"),
        (("anonymise", "x.jpg", "-o", "v.png", "--size", SECRET), "the value of --size cannot be used. choose 512 or"),
        (("anonymise", "x.jpg", "-o", "v.png", "--mode", SECRET), "choose portrait or paste"),
        (("anonymise", "x.jpg", "-o", "v.png", "--threads", "-1"), "the value of --threads"),
        (("keygen", "--bits", "many"), "the value of --bits"),
    ],
)
def test_a_command_line_that_is_not_understood(refused, words, said):
    sentence = refused(*words)
    assert said.lower() in sentence.lower() and SECRET not in sentence


def test_help_is_success(kfaar):
    assert "anonymise" in kfaar("--help").stdout
    assert "--key" in kfaar("anonymise", "--help").stdout


def test_what_nobody_foresaw_is_one_sentence_without_its_own_words(refused, monkeypatch):
    def fail(package):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(weights, "version_of", fail)
    sentence = refused("info", "--preset", "tiny")
    assert "RuntimeError" in sentence and "weights.py:" in sentence and SECRET not in sentence


def test_memory_and_ctrl_c(kfaar, monkeypatch):
    def stop(package):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "version_of", stop)
    result = kfaar("info", "--preset", "tiny")
    assert result.exit_code == 130 and result.stderr == "Stopped before the end.\n"
    assert "smaller picture" in str(sentence_of(MemoryError()))
