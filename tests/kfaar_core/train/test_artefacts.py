from __future__ import annotations

import csv

import numpy as np
import pytest

from kfaar_core.train.artefacts import cosine_report, last_losses


def test_the_report_is_a_cosine():
    codes = np.eye(6)[:2]
    found = cosine_report(np.stack([3 * codes[0], codes[0] + codes[1]]), codes, "code")
    assert found["n"] == 2 and found["code_cosine_mean"] == pytest.approx((1 + 0.5**0.5) / 2)
    assert found["code_cosine_sd"] == pytest.approx((1 - 0.5**0.5) / 2)


def test_a_card_takes_the_last_line_of_the_log(tmp_path):
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "ano"])
        writer.writeheader()
        writer.writerows([{"step": 100, "ano": 0.5}, {"step": 150, "ano": 0.25}])
    assert last_losses(tmp_path) == {"step": 150, "ano": 0.25}
