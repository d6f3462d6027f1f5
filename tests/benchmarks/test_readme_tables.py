from __future__ import annotations

import numpy as np

from benchmarks import readme_tables
from kfaar_core.evaluate.results import Result, Thresholds, save_result
from kfaar_core.records import Row, Scores
from kfaar_core.scenarios import populations
from kfaar_core.tables import Table, to_json


def saved(path, table, dev, people=3):
    owners = np.arange(people)
    names = populations.names_for(table)
    values = {name: np.linspace(0.1, 0.2 + 0.1 * place, people) for place, name in enumerate(names)}
    result = Result(
        table=table,
        dataset="lfw",
        key_mode=populations.SHARED,
        preset="lab",
        preset_sha256="0" * 64,
        data_sha256="1" * 64,
        weights={},
        seed=0,
        people=people,
        trials=1,
        dimension=8,
        command="",
        thresholds=Thresholds(0.7, dev, "dev", {"FMR 1 %": 0.3}),
        populations=tuple(Scores(name, found, owners) for name, found in values.items()),
    )
    path.parent.mkdir(exist_ok=True)
    save_result(path, result)


def test_rows_of_all_forms_meet_although_their_thresholds_differ(tmp_path):
    saved(tmp_path / "lab-floor-lfw-vi-shared.json", "VI", 0.25)
    saved(tmp_path / "8-bit" / "lab-bits-lfw-vi-shared.json", "VI", 0.5, people=4)
    text = readme_tables.section(tmp_path, "Authentication", "vi", populations.SHARED, "lfw")
    assert "People: floor 3; bits, 8 4." in text and "floor threshold 0.250 (dev, in force)" in text
    lines = text.splitlines()
    assert "| figure | floor | bits, 8 | paper |" in lines
    line = next(line for line in lines if line.startswith("| AUC, another photo |"))
    assert line.endswith("| 0.984 |") and " - " not in line
    assert sum("dev's threshold" in line for line in lines) == 6


def test_the_largest_cosine_stands_beside_the_mean(tmp_path):
    saved(tmp_path / "lab-hashed-lfw-vii-shared.json", "VII", 0.25)
    text = readme_tables.section(tmp_path, "Scenarios", "vii", populations.SHARED, "lfw")
    assert "| Scenario 2, another photo: largest cosine | 0.400 (n 3) | - |" in text
    assert "\n- hashed, Scenario 3 (KVFA, wrong key), another photo: cosine: " in text


def test_tables_without_scores_and_what_is_not_there(tmp_path, capsys):
    rows = (
        Row("random key of 256 bits: accepted, threshold 0.300 (dev, in force)", 1e-4, 0.0, 3e-4, 9, None, "1 of 9"),
        Row("8 bits, 1 wrong: accepted, threshold 0.300 (in force)", 0.5, 0.4, 0.6, 9),
        Row("random key of 256 bits: largest cosine of 90", 0.5, float("nan"), float("nan"), 90),
    )
    (tmp_path / "lab-bits-celeba-keys-shared.json").write_text(
        to_json(Table("XII", "Keys", "celeba, 9 test people", rows))
    )
    readme_tables.main(tmp_path)
    text = capsys.readouterr().out
    assert "CelebA. People: bits, 256 9." in text and "LFW-test" not in text
    assert "| random key of 256 bits: accepted, dev's threshold | 1.0e-04 (0.000 to 3.0e-04) | - |" in text
    assert "| 8 bits, 1 wrong: accepted, threshold in force | 0.500 (0.400 to 0.600) | - |" in text
    assert "largest cosine | 0.500 (n 90)" in text and "accepted, dev's threshold: 1 of 9." in text
