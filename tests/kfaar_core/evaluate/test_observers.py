from __future__ import annotations

import numpy as np
import pytest

from kfaar_core import weights
from kfaar_core.evaluate.context import hashes
from kfaar_core.evaluate.observers import ATTRIBUTES, Observers
from kfaar_core.methods import names, with_method
from kfaar_core.presets import LAB


def test_the_square_around_eyes_and_mouth():
    left, right, _, *mouth = ATTRIBUTES.template
    eyes, lips = (left + right) / 2, np.mean(mouth, axis=0)
    assert lips[1] - eyes[1] == pytest.approx(0.45 * 112)
    np.testing.assert_allclose((left + right + lips) / 3, [56, 0.43 * 112], atol=1e-9)


@pytest.mark.parametrize("method", sorted(set(names()) - {"folder"}))
def test_nothing_that_makes_or_reads_a_face_uses_them(method):
    """Their hashes are no part of a result, and so no part of what the result depends on."""
    observing = {"age_sex", "expression", "mobile_facenet"}
    assert {name for name, weight in weights.WEIGHTS.items() if weight.observer} == observing == set(Observers.pins())
    assert not observing & set(hashes(with_method(LAB, method)))
