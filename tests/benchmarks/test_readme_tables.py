"""README, docs/results.md and TABLES.md say what the committed score files say."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from benchmarks import full_tables, readme_tables, score_files
from benchmarks.readme_tables import HEADLINE, MEASURED, METHODS, PARTS, ROOT, SCORES, TABLES
from benchmarks.summary import misses
from kfaar_core.methods import registered
from kfaar_core.metrics import bootstrap
from kfaar_core.presets import LAB
from kfaar_core.scenarios import populations

WRITTEN = {part.name: part.of((ROOT / part.file).read_text(encoding="utf-8")) for part in PARTS}
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
    for part in PARTS:
        assert without_intervals(WRITTEN[part.name]) == without_intervals(f"\n{part.text(SCORES)}\n"), AGAIN
    assert without_intervals(COMMITTED) == without_intervals(full_tables.full(SCORES)), AGAIN


def test_the_intervals_of_own_keys_come_from_the_committed_files():
    """These have few trials, and pass through the same code as those of shared keys."""
    for entry in full_tables.SECTIONS:
        for data in score_files.DATA:
            if entry[2] == populations.OWN:
                assert full_tables.section(SCORES, *entry, data) in COMMITTED, AGAIN


@pytest.mark.parametrize(("part", "least"), [(HEADLINE, 8), (MEASURED, 10)])
def test_every_interval_of_a_part_stands_in_the_tables(part, least):
    found = set(INTERVAL.findall(WRITTEN[part.name]))
    assert len(found) >= least and found <= set(INTERVAL.findall(COMMITTED)), AGAIN


def test_the_cards_of_p_and_kvfa_name_every_missed_target(few_resamples):
    found = misses(SCORES)
    assert {"floor", "hashed", "bits, 8", "bits, 256"} <= {source.words for source in found}
    for form, missed in found.items():
        assert missed and all("target" in sentence for sentence in missed)
        for path in readme_tables.cards_of(form):
            said = json.loads(path.read_text(encoding="utf-8"))["missed"]
            assert [*map(without_intervals, said)] == [*map(without_intervals, missed)], AGAIN


def test_what_is_marked_as_missed_is_what_the_cards_name(few_resamples):
    counted = sum(len(missed) for missed in misses(SCORES).values())
    assert WRITTEN[MEASURED.name].count(", missed") == counted


def test_the_headline_repeats_figures_of_the_default_method(few_resamples):
    """Ours stands in the column of `hashed` in the summary, the paper's in the column of the paper."""
    lines = [line.strip("| ").split(" | ") for line in WRITTEN[HEADLINE.name].splitlines() if "**" in line]
    assert len(lines) == 4
    for place, data in ((1, "LFW-test"), (3, "CelebA")):
        table = WRITTEN[MEASURED.name].partition(f"**{data}**")[2].partition("**Posture")[0]
        head, *rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
        ours, paper = head.index("hashed"), head.index("paper")
        found = {row[ours].replace(", met", "").replace(", missed", ""): row[paper] for row in rows}
        for line in lines:
            assert found[line[place].replace("**", "")] == line[place + 1]


def test_the_methods_are_those_that_are_registered():
    rows = [line for line in WRITTEN[METHODS.name].splitlines() if "](kfaar_core/methods/" in line]
    found = [method for method in registered() if method.readable]
    assert [re.match(r"\| `(\w+)`", row)[1] for row in rows] == [method.name for method in found]
    assert [" (default) " in row for row in rows] == [method.name == LAB.method for method in found]
    compared = {method.name for method in registered() if not method.readable}
    others = next(line for line in WRITTEN[METHODS.name].splitlines() if "docs/compared.md" in line)
    assert set(re.findall(r"`(\w+)`", others)) == compared


@pytest.mark.slow
def test_every_interval_comes_from_the_committed_files():
    for part in PARTS:
        assert WRITTEN[part.name] == f"\n{part.text(SCORES)}\n", AGAIN
    assert full_tables.full(SCORES) == COMMITTED, AGAIN


def test_the_readme_leads_to_all_tables():
    assert "](docs/results.md)" in (ROOT / HEADLINE.file).read_text(encoding="utf-8")
    assert f"](../assets/scores/{TABLES})" in (ROOT / MEASURED.file).read_text(encoding="utf-8")


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """A root with the files that have generated parts, each with an old text between its marks."""
    monkeypatch.setattr(readme_tables, "ROOT", tmp_path)
    monkeypatch.setattr(readme_tables, "SCORES", tmp_path)
    for file in {part.file for part in PARTS}:
        parts = "\n".join(f"{part.begin}old text\n{readme_tables.END}" for part in PARTS if part.file == file)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(f"before\n{parts}\nafter\n")
    return tmp_path


def test_written_between_the_marks_and_nowhere_else(copies, saved, capsys):
    saved("lab-floor-lfw-vi-shared.json", "VI", 0.25)
    (source,) = misses(copies)
    (card,) = readme_tables.cards_of(source)
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"command": "train floor", "missed": ["of an earlier run"]}))
    for _ in range(2):  # a second time changes nothing
        readme_tables.main([str(copies), "--write"])
        for part in PARTS:
            text = (copies / part.file).read_text()
            assert text.startswith("before\n<!-- ") and text.endswith("\n<!-- end -->\nafter\n")
            assert "old text" not in text and part.of(text) == f"\n{part.text(copies)}\n"
        assert json.loads(card.read_text()) == {"command": "train floor", "missed": misses(copies)[source]}
    assert (copies / TABLES).read_text() == full_tables.full(copies) and not capsys.readouterr().out
    measured = MEASURED.of((copies / MEASURED.file).read_text())
    assert measured.count("**LFW-test**") == 1
    readme_tables.main([str(copies), "--full", str(copies / "all.md")])
    assert (copies / "all.md").read_text() == full_tables.full(copies)
    assert f"\n{capsys.readouterr().out}\n" == measured


def test_the_headline_of_a_folder_without_the_default_method_has_dashes(copies, saved):
    saved("lab-floor-lfw-vi-shared.json", "VI", 0.25)
    rows = [line.strip("| ").split(" | ") for line in HEADLINE.text(copies).splitlines()[2:]]
    assert len(rows) == 4 and all(row[1] == row[3] == "-" for row in rows)


def test_nothing_is_written_where_marks_are_missing(copies):
    (copies / MEASURED.file).write_text("no marks\n")
    before = (copies / HEADLINE.file).read_text()
    with pytest.raises(SystemExit, match=r"docs/results\.md has 0 generated parts named measured"):
        readme_tables.main([str(copies), "--write"])
    assert (copies / HEADLINE.file).read_text() == before and not (copies / TABLES).exists()
