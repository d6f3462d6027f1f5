from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.evaluate import looks
from kfaar_core.evaluate.looks import looks_table, typology


def test_typology_by_hand():
    """L = 50 is 0 degrees whatever b is; as far above 50 as b is 45 degrees."""
    found = typology(np.array([[50, 9, 20], [70, 9, 20], [30, 9, 20], [np.nan, np.nan, np.nan]]))
    np.testing.assert_allclose(found, [0, 45, -45, np.nan])


def test_shares_of_sexes_ages_and_skins_add_up(context, people, monkeypatch):
    monkeypatch.setattr(looks, "KEYS", 7)
    rows = {row.name: row for row in looks_table(context, people, "shared", 1).rows}
    for words in ("years", "skin"):
        assert sum(row.value for name, row in rows.items() if words in name) == pytest.approx(1)
    assert rows["men"].n == 7
