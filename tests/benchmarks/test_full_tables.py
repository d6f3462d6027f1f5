from __future__ import annotations

from benchmarks import full_tables
from kfaar_core.records import Row
from kfaar_core.scenarios import populations


def test_rows_of_all_forms_meet_although_their_thresholds_differ(tmp_path, saved):
    saved("lab-floor-lfw-vi-shared.json", "VI", 0.25)
    saved("8-bit/lab-bits-lfw-vi-shared.json", "VI", 0.5, people=4)
    text = full_tables.section(tmp_path, "Authentication", "vi", populations.SHARED, "lfw")
    assert "People: floor 3; bits, 8 4." in text and "floor threshold 0.250 (dev, in force)" in text
    lines = text.splitlines()
    assert "| figure | floor | bits, 8 | paper |" in lines
    line = next(line for line in lines if line.startswith("| AUC, another photo |"))
    assert line.endswith("| 0.984 |") and " - " not in line
    assert sum("dev's threshold" in line for line in lines) == 6


def test_the_largest_cosine_stands_beside_the_mean(tmp_path, saved):
    saved("lab-hashed-lfw-vii-shared.json", "VII", 0.25)
    text = full_tables.section(tmp_path, "Scenarios", "vii", populations.SHARED, "lfw")
    assert "| Scenario 2, another photo: largest cosine | 0.400 (n 3) | - |" in text
    assert "\n- hashed, Scenario 3 (KVFA, wrong key), another photo: cosine: " in text


def test_tables_without_scores_and_what_is_not_there(tmp_path, listed):
    listed(
        "lab-bits-celeba-keys-shared.json",
        Row("random key of 256 bits: accepted, threshold 0.300 (dev, in force)", 1e-4, 0.0, 3e-4, 9, None, "1 of 9"),
        Row("8 bits, 1 wrong: accepted, threshold 0.300 (in force)", 0.5, 0.4, 0.6, 9),
        Row("random key of 256 bits: largest cosine of 90", 0.5, float("nan"), float("nan"), 90),
    )
    text = full_tables.full(tmp_path)
    assert "People: bits, 256 9." in text and "CelebA" in text and "LFW-test" not in text
    assert "| random key of 256 bits: accepted, dev's threshold | 1.0e-04 (0.000 to 3.0e-04) | - |" in text
    assert "| 8 bits, 1 wrong: accepted, threshold in force | 0.500 (0.400 to 0.600) | - |" in text
    assert "largest cosine | 0.500 (n 90)" in text and "accepted, dev's threshold: 1 of 9." in text


def test_an_ablation_is_a_column_for_each_variant(tmp_path, listed):
    """The change against all losses, and the paper's figure, stand below the figure that they belong to."""
    against = "seeds 0.700, 0.800; -0.150 (-0.200 to -0.100) against all losses"
    listed(
        "lab-hashed-lfw-ix-shared.json",
        Row("AUC, all losses", 0.9, 0.8, 0.95, 9, 0.973, "seeds 0.900, 0.900"),
        Row("AUC, w/o syn", 0.75, 0.7, 0.8, 9, None, against),
        Row("cosine: synchronism, all losses", 0.5, 0.4, 0.6, 9, None, "seeds 0.500, 0.500"),
    )
    text = full_tables.full(tmp_path)
    assert "## HPVFG without one loss (Table IX)" in text and "Table X)" not in text
    assert "| figure | all losses | w/o syn |" in text
    changed = "0.750 (0.700 to 0.800)<br>-0.150 (-0.200 to -0.100)"
    assert f"| AUC | 0.900 (0.800 to 0.950)<br>paper 0.973 | {changed} |" in text
    assert "| cosine: synchronism | 0.500 (0.400 to 0.600) | - |" in text
