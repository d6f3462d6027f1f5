"""Licences are read from every form in which packages state them."""

from __future__ import annotations

from email.message import Message

import pytest

from benchmarks import licences

LONG = "MIT License  " + "words " * 99


class Package:
    def __init__(self, *stated: tuple[str, str]) -> None:
        self.metadata = Message()
        for name, value in stated:
            self.metadata[name] = value


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0")], "MIT OR Apache-2.0"),
        ([("License", "BSD-3-Clause")], "BSD-3-Clause"),
        ([("License", LONG), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT License"),
        ([("Classifier", "License :: OSI Approved"), ("Classifier", "Topic :: Text")], None),
        ([], None),
    ],
)  # fmt: skip
def test_a_licence_is_read_where_it_is_stated(stated, licence):
    assert licences.licence(Package(*stated)) == licence


def test_every_package_of_the_requirements_and_theirs_is_listed():
    found = licences.needed()
    assert {"torch", "gradio", "pillow", "starlette"} <= found.keys() and "pytest" not in found
    assert not [name for name, package in found.items() if licences.licence(package) is None]
