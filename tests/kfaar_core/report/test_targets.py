from __future__ import annotations

import pytest

from kfaar_core import methods
from kfaar_core.report.targets import target
from kfaar_core.targets import TARGETS, Target


@pytest.mark.parametrize(
    ("bounds", "kept", "broken", "words"),
    [
        ({"at_least": 0.985}, 0.985, 0.9849, ">= 0.985"),
        ({"at_most": 1e-4}, 1e-4, 1.1e-4, "<= 0.0001"),
        ({"below": 0.05}, 0.0499, 0.05, "< 0.05"),
        ({"of_zero": 0.05}, -0.05, -0.051, "within 0.05 of 0"),
        ({"below_threshold": True}, 0.29, 0.3, "< threshold"),
    ],
)
def test_bounds(bounds, kept, broken, words):
    aim = Target(**bounds)
    assert aim.met(kept, threshold=0.3) and not aim.met(broken, threshold=0.3)
    assert aim.words() == words


def test_nothing_is_below_a_threshold_that_is_not_known():
    assert not Target(below_threshold=True).met(-1.0)


def test_the_methods_differ_where_they_should():
    assert target("scenario 4, same photo", "lfw", "hashed") == target("scenario 4, same photo", "lfw", "floor")
    assert target("scenario 4, same photo", "lfw", "bits") == Target(at_least=0.80)
    assert target("scenario 2", "lfw", "hashed") == Target(of_zero=0.05)
    assert target("scenario 2", "lfw", "bits") == Target(below=0.326)
    assert target("scenario 3", "celeba", "bits") == Target(below=0.398)
    assert target("scenario 3, largest", "lfw", "bits") is None
    assert target("synchronism EER", "lfw", "bits") == Target(at_most=0.07)
    assert target("yaw", "lfw", "hashed") is None
    assert all(set(method.targets) <= set(TARGETS) for method in methods.registered())
