from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.errors import DataMissing
from kfaar_core.metrics.frechet import frechet_distance
from kfaar_core.torchvision_shim import prepare


def test_one_dimension_by_hand():
    """(m1 - m2)^2 + (s1 - s2)^2."""
    first, second = np.array([[-1.0], [1.0]]), np.array([[2.0], [8.0]])  # sd sqrt(2) and sqrt(18), means 0 and 5
    assert frechet_distance(first, second) == pytest.approx(25 + (np.sqrt(18) - np.sqrt(2)) ** 2)


def test_the_same_set_in_another_order_and_a_shift(rng):
    features = rng.standard_normal((50, 8)) @ rng.standard_normal((8, 8))
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + 2) == pytest.approx(4 * 8)


@pytest.mark.slow  # it imports a large package
@pytest.mark.parametrize("faces", [7, 60])  # fewer than dimensions, and more
def test_as_torch_fidelity_counts_fid(rng, faces):
    prepare()  # it imports torchvision
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    first, second = rng.standard_normal((2, faces, 12)) @ rng.standard_normal((2, 12, 12))
    statistics = [{"mu": np.mean(f, axis=0), "sigma": np.cov(f, rowvar=False)} for f in (first, second)]
    found = fidelity.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(first, second) == pytest.approx(found, rel=1e-6)


def test_too_few_faces_are_told(rng):
    with pytest.raises(DataMissing, match="two faces"):
        frechet_distance(rng.standard_normal((1, 3)), rng.standard_normal((5, 3)))
