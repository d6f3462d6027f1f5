"""The README and TABLES.md say what the committed score files say."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from benchmarks import full_tables, readme_tables, score_files
from benchmarks.readme_tables import ROOT, SCORES, TABLES
from benchmarks.summary import misses
from kfaar_core.metrics import bootstrap
from kfaar_core.scenarios import populations

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMITTED = (SCORES / TABLES).read_text(encoding="utf-8")
AGAIN = "run: python -m benchmarks.readme_tables --write"
INTERVAL = re.compile(r"-?[\d.]+(?:e-\d+)? to -?[\d.]+(?:e-\d+)?(?=[,)])")


def without_intervals(text):
    return INTERVAL.sub("LOW to HIGH", text)


@pytest.fixture
def few_resamples(monkeypatch):
    """Intervals cost most of the time; they are then not those that are committed."""
    score_files.column.cache_clear()
    monkeypatch.setattr(bootstrap, "draws", lambda people, rng, resamples: np.ones((2, people), dtype=int))
    yield
    score_files.column.cache_clear()


def test_every_figure_and_mark_comes_from_the_committed_files(few_resamples):
    expected = f"\n{readme_tables.summary(SCORES)}\n"
    assert without_intervals(readme_tables.part(README)) == without_intervals(expected), AGAIN
    assert without_intervals(COMMITTED) == without_intervals(full_tables.full(SCORES)), AGAIN


def test_the_intervals_of_own_keys_come_from_the_committed_files():
    """These have few trials, and pass through the same code as those of shared keys."""
    for entry in full_tables.SECTIONS:
        for data in score_files.DATA:
            if entry[2] == populations.OWN:
                assert full_tables.section(SCORES, *entry, data) in COMMITTED, AGAIN


def test_every_interval_of_the_summary_stands_in_the_tables():
    found = set(INTERVAL.findall(readme_tables.part(README)))
    assert len(found) > 10 and found <= set(INTERVAL.findall(COMMITTED)), AGAIN


def test_the_cards_of_p_and_kvfa_name_every_missed_target(few_resamples):
    found = misses(SCORES)
    assert {"floor", "hashed", "bits, 8", "bits, 256"} <= found.keys()
    for form, missed in found.items():
        assert missed and all("target" in sentence for sentence in missed)
        for path in readme_tables.cards_of(form):
            said = json.loads(path.read_text(encoding="utf-8"))["missed"]
            assert [*map(without_intervals, said)] == [*map(without_intervals, missed)], AGAIN


def test_what_the_readme_marks_as_missed_is_what_the_cards_name(few_resamples):
    counted = sum(len(missed) for missed in misses(SCORES).values())
    assert readme_tables.part(README).count(", missed") == counted


@pytest.mark.slow
def test_every_interval_comes_from_the_committed_files():
    assert readme_tables.part(README) == f"\n{readme_tables.summary(SCORES)}\n", AGAIN
    assert full_tables.full(SCORES) == COMMITTED, AGAIN


def test_the_readme_leads_to_all_tables():
    assert f"](assets/scores/{TABLES})" in README


def test_written_between_the_marks_and_nowhere_else(tmp_path, saved, monkeypatch, capsys):
    saved("lab-floor-lfw-vi-shared.json", "VI", 0.25)
    monkeypatch.setattr(readme_tables, "ROOT", tmp_path)
    monkeypatch.setattr(readme_tables, "SCORES", tmp_path)
    (card,) = readme_tables.cards_of("floor")
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"command": "train floor", "missed": ["of an earlier run"]}))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{readme_tables.BEGIN}before1\n{readme_tables.END}\nafter\n")
    for _ in range(2):  # a second time changes nothing
        readme_tables.main([str(tmp_path), "--write"])
        text = readme.read_text()
        assert text.startswith("before\n<!-- measured") and text.endswith("\n\n<!-- end -->\nafter\n")
        assert "before1" not in text and text.count("**LFW-test**") == 1
        assert json.loads(card.read_text()) == {"command": "train floor", "missed": misses(tmp_path)["floor"]}
    assert (tmp_path / TABLES).read_text() == full_tables.full(tmp_path) and not capsys.readouterr().out
    readme_tables.main([str(tmp_path), "--full", str(tmp_path / "all.md")])
    assert (tmp_path / "all.md").read_text() == full_tables.full(tmp_path)
    assert f"\n{capsys.readouterr().out}\n" == readme_tables.part(text)


def test_a_readme_without_marks_is_left_as_it_is():
    with pytest.raises(SystemExit, match="has 0 generated parts"):
        readme_tables.replaced("no marks\n", "text")
