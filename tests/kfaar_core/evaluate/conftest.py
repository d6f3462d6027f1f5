"""A context of the tiny preset with people who do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kfaar_core.data.split import TEST
from kfaar_core.evaluate.context import EvaluationConfig, EvaluationContext
from kfaar_core.presets import TINY
from kfaar_core.scenarios import pairs


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvaluationContext]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFAAR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield EvaluationConfig(TINY, "synthetic", limit=5).open()


@pytest.fixture(scope="module")
def people(context: EvaluationContext) -> tuple[pairs.Person, ...]:
    return pairs.people(context.data.samples, context.data.identities_of(TEST))
