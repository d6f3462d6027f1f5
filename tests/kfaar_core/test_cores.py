"""How many threads a machine has room for."""

from __future__ import annotations

import pytest

from kfaar_core.cores import free_cores


@pytest.mark.parametrize(
    ("load", "cores", "free"), [(0.0, 2, 2), (0.4, 2, 2), (1.0, 2, 1), (23.0, 2, 1), (3.2, 16, 13), (0.0, 1, 1)]
)
def test_others_keep_the_cores_that_they_use(load, cores, free):
    assert free_cores(load, cores) == free


def test_the_system_tells_what_is_not_given():
    assert free_cores() >= 1
