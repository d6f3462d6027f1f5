"""The index of the paper leads to code, and the code there says so itself."""

from __future__ import annotations

import inspect
import re

import pytest

from kfaar_core.paper import DEVIATIONS, REFERENCES, resolve

LABEL = re.compile(r"(Eq\. \d+|Alg\. [12]|Fig\. \d+[ab]?|Table [IVX]+|Section [IVX]+(-[A-Z](-\d)?)?)")


def names(text: str, label: str) -> bool:
    """Whether the label stands in the text by itself: "Eq. 1" is not in "Eq. 11", nor "Table V" in "Table VI"."""
    return re.search(rf"(?<!\w){re.escape(label)}(?![\w-])", text) is not None


@pytest.mark.parametrize("place", REFERENCES, ids=lambda place: f"{place.label} {place.target}")
def test_every_place_exists_and_names_itself(place):
    assert LABEL.fullmatch(place.label)
    assert names(inspect.getdoc(resolve(place.target)) or "", place.label)


def test_the_rule_sees_a_label_only_by_itself():
    assert names("see Eq. 1, and more", "Eq. 1") and names("(Table VI)", "Table VI")
    assert not names("see Eq. 11", "Eq. 1") and not names("Table VII", "Table VI")
    assert not names("Section III-C", "Section III")


def test_no_place_is_listed_twice():
    listed = [(place.label, place.target) for place in REFERENCES]
    assert len(listed) == len(set(listed))
    assert len({place.what for place in REFERENCES}) == len(REFERENCES)


def test_the_properties_of_both_modules_are_listed():
    labels = {place.label for place in REFERENCES}
    assert {f"Eq. {number}" for number in (1, 2, 3, 4, 11, 12, 13, 14)} <= labels
    assert {"Alg. 1", "Alg. 2", "Fig. 3", "Table VI", "Table VII", "Section VI-C-2"} <= labels


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.ours[:40])
def test_every_deviation_belongs_to_a_place_and_gives_a_reason(deviation):
    assert deviation.label in {place.label for place in REFERENCES}
    assert deviation.paper and deviation.ours and deviation.reason and deviation.paper != deviation.ours
