"""A laboratory of the tiny preset with people who do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kfaar_core.data.split import TEST
from kfaar_core.evaluate.laboratory import Laboratory, Setup
from kfaar_core.presets import TINY
from kfaar_core.scenarios import pairs


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFAAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Setup(TINY, "synthetic", limit=5).laboratory()


@pytest.fixture(scope="module")
def people(laboratory: Laboratory) -> tuple[pairs.Person, ...]:
    return pairs.people(laboratory.data.samples, laboratory.data.identities_of(TEST))
