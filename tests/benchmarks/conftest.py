from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.records import Scores
from kfaar_core.report.tables import Table, to_json
from kfaar_core.results import Result, Thresholds, save_result
from kfaar_core.scenarios import populations


@pytest.fixture
def saved(tmp_path):
    """Write a score file of Table VI or VII: NAME, table, dev's threshold."""

    def saved(name, table, dev, *, people=3, dataset="lfw", dimension=8):
        owners = np.arange(people)
        names = populations.names_for(table)
        values = {name: np.linspace(0.1, 0.2 + 0.1 * place, people) for place, name in enumerate(names)}
        result = Result(
            table=table,
            dataset=dataset,
            key_mode=populations.SHARED,
            preset="lab",
            method="floor",
            preset_sha256="0" * 64,
            data_sha256="1" * 64,
            weights={},
            seed=0,
            people=people,
            trials=1,
            dimension=dimension,
            command="",
            thresholds=Thresholds(0.7, dev, "dev", {"FMR 1 %": 0.3}),
            populations=tuple(Scores(name, found, owners) for name, found in values.items()),
        )
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save_result(path, result)

    return saved


@pytest.fixture
def listed(tmp_path):
    """Write a table file: NAME and rows."""

    def listed(name, *rows, people=9):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(to_json(Table("-", "-", f"-, {people} test people", rows)))

    return listed
