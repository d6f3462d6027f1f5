from __future__ import annotations

import json
import stat

import pytest

from kfaar_core.keys import UserKey


def test_a_key_is_printed(kfaar):
    for bits in (8, 128, 256, 512):
        printed = kfaar("keygen", "--bits", bits).stdout
        assert printed.endswith("\n") and UserKey.parse(printed).bits == bits
    assert UserKey.parse(kfaar("keygen").stdout).bits == 256
    assert kfaar("keygen").stdout != kfaar("keygen").stdout


def test_a_key_file_is_the_owners_alone_and_shows_nothing(kfaar, folder):
    result = kfaar("keygen", "--bits", 64, "-o", "my.key")
    assert result.exit_code == 0
    written = (folder / "my.key").read_text()
    assert UserKey.parse(written).bits == 64 and written.strip() not in result.output
    assert stat.S_IMODE((folder / "my.key").stat().st_mode) == 0o600


def test_json(kfaar):
    answer = json.loads(kfaar("keygen", "--bits", 16, "--json").stdout)
    assert answer["bits"] == 16 and UserKey.parse(answer["key"]).bits == 16
    assert json.loads(kfaar("keygen", "-o", "a.key", "--json").stdout) == {"bits": 256, "output": "a.key"}


@pytest.mark.parametrize("bits", [0, 7, 12, 520])
def test_lengths_that_no_key_has(refused, files, bits):
    assert "8 to 512 bits" in refused("keygen", "--bits", bits, "-o", "my.key")
    assert not files()


def test_an_existing_file_asks_for_force(kfaar, refused, folder):
    (folder / "my.key").write_text("mine")
    assert "--force" in refused("keygen", "-o", "my.key")
    assert (folder / "my.key").read_text() == "mine"
    assert kfaar("keygen", "-o", "my.key", "--force").exit_code == 0
    assert UserKey.load(folder / "my.key").bits == 256


def test_a_missing_folder(refused, files):
    assert "does not exist" in refused("keygen", "-o", "no/my.key")
    assert not files()
