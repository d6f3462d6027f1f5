"""The generated part of docs/security.md."""

from __future__ import annotations

from benchmarks import attacks as page
from kfaar_core.attacks import result as results
from tests.demo.stand_in import attacked


def test_without_results_it_says_so(tmp_path):
    assert page.security(tmp_path) == page.NONE


def test_every_result_its_curve_and_what_was_missed_and_not_run(tmp_path):
    for made in (attacked("known-pairs", "hashed"), attacked("linkage", "floor")):
        results.save(made, tmp_path / page.FOLDER)
    text = page.security(tmp_path)
    assert "Words about known-pairs." in text and "Words about linkage." in text
    assert "| one key for all | 0.113<br>0.000 to 1.000 | 0.900<br>0.000 to 1.000 |" in text
    assert "Targets met: 0 of 2. Missed:" in text and "| A6 | floor, not refined | a | <= 0.1 |" in text
    assert page.failed(tmp_path, "floor") == [
        "A6 (linking two virtual faces without a key; floor, not refined, 50 people of synthetic): a, target <= 0.1"
    ]
    assert "A9 (guessing keys and passphrases)" in text and "A6 (" not in text
