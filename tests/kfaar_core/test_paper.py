"""The equations that networks are trained by lead to one loss each."""

from __future__ import annotations

import inspect

import pytest

from kfaar_core.paper import REFERENCES, resolve

LOSSES = (*range(5, 11), *range(17, 25))


@pytest.mark.parametrize("number", LOSSES)
def test_each_loss_has_one_place_and_it_is_a_function_of_the_losses(number):
    (place,) = [place for place in REFERENCES if place.label == f"Eq. {number}"]
    assert place.target.startswith("losses:")
    assert inspect.isfunction(resolve(place.target))


def test_no_two_of_them_share_a_function():
    targets = [place.target for place in REFERENCES if place.label in {f"Eq. {number}" for number in LOSSES}]
    assert len(set(targets)) == len(targets) == len(LOSSES)
