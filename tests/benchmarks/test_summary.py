from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import summary
from benchmarks.score_files import sources
from kfaar_core.evaluate import robustness
from kfaar_core.records import Row
from kfaar_core.report.targets import TARGETS, Target


def line(text, words):
    """The cells of the line that begins so."""
    found = [entry for entry in text.splitlines() if entry.startswith(f"| {words}")]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def wrong(bits, value):
    return Row(f"{bits} bits, 1 wrong: cosine", value, value - 0.01, value + 0.01, 9)


def test_every_target_has_a_line_and_the_reverse():
    assert sorted(figure.name for figure in summary.FIGURES) == sorted(TARGETS)


def test_every_line_finds_its_row_in_what_evaluate_writes():
    """The committed files show it for all tables but the two that none of them has yet."""
    folder = Path(__file__).parents[2] / "assets" / "scores"
    text = summary.measured(folder, "lfw")
    for figure in summary.FIGURES:
        if figure.table not in ("robustness", "mask"):
            assert line(text, f"{figure.words} |"), figure.words


def test_marks_thresholds_and_the_worse_photo(tmp_path, saved):
    saved("lab-hashed-lfw-vii-shared.json", "VII", 0.45)
    saved("lab-bits-lfw-vii-shared.json", "VII", 0.45)
    saved("lab-hashed-lfw-vi-shared.json", "VI", 0.45, people=4)
    text = summary.measured(tmp_path, "lfw")
    assert "hashed: 3 or 4 people, threshold 0.450 (dev); bits, 256: 3 people, threshold 0.450 (dev)." in text
    assert "target (327 people)" in text
    # populations: 0.1 to 0.2 + 0.1 * place; scenario 2 stands third and fourth, so the same photo is the worse
    _, hashed, bits, paper, aim = line(text, "scenario 2 (no key): mean cosine")
    assert (
        hashed.startswith("0.300, missed<br>") and hashed.endswith("n 3, same photo") and bits.startswith("0.300, met")
    )
    assert (paper, aim) == ("0.326", "within 0.05 of 0; bits: < 0.326")
    _, hashed, bits, paper, aim = line(text, "scenario 2 (no key): largest cosine")
    assert hashed == "0.500, missed<br>n 3, same photo" and bits == "0.500<br>n 3, same photo"
    assert (paper, aim) == ("-", "< threshold; bits: none")
    assert line(text, "d, compared dimensions")[1:3] == ["8, missed", "-"]
    assert line(text, "FAR")[2:4] == ["-", "0.078"]
    assert "No score file of LFW-test yet: random key accepted; 1 wrong bit: mean cosine; " in text


def test_each_form_of_bits_shows_the_wrong_bit_of_its_own_keys(tmp_path, listed):
    rows = [wrong(8, 0.71), wrong(128, 0.5), wrong(256, 0.3)]
    for folder in ("", "8-bit/", "128-bit/"):
        listed(f"{folder}lab-bits-lfw-keys-shared.json", *rows)
    text = summary.measured(tmp_path, "lfw")
    cells = [cell.partition("<br>")[0] for cell in line(text, "1 wrong bit")]
    assert cells[1:4] == ["0.710, missed", "0.500, met", "0.300, met"]
    assert cells[4:] == ["0.708 (8 bits); 0.691 (128 bits); 0.702 (256 bits)", "< 0.7"]
    celeba = summary.Figure("-", "1 wrong bit", "keys", "-", ("XII", ""))
    assert summary.paper_words(celeba, "celeba", dict.fromkeys(sources())) == "-"


def test_what_was_lost_by_saving_and_what_the_surrounding_moves(tmp_path, listed):
    losses = dict(zip(robustness.DAMAGES, (0.9, 0.001, 0.006, -0.2, 0.8), strict=True))  # all at once is no target
    rows = [
        Row(f"AUC, another photo, {name}: loss against {robustness.REFERENCE}", value, -0.01, 0.01, 7)
        for name, value in losses.items()
        if name != robustness.REFERENCE
    ]
    listed("lab-hashed-celeba-robustness-shared.json", *rows, Row("AUC, same photo, PNG", 0.9, 0.8, 1.0, 7))
    moved = [
        Row(f"{photo}: |difference| of the cosine", 0.04, 0.0, 0.1, 7) for photo in ("same photo", "another photo")
    ]
    listed("lab-hashed-celeba-mask-shared.json", *moved)
    text = summary.measured(tmp_path, "celeba")
    assert line(text, "AUC lost")[1] == "0.006, missed<br>-0.010 to 0.010, n 7, another photo, 256 px"
    assert line(text, "cosine moved")[1].startswith("0.040, met<br>")
    assert "target (150 people)" in text and not summary.measured(tmp_path, "lfw")


@pytest.mark.parametrize(
    ("value", "printed"), [(0.9849, "0.9849"), (0.98496, "0.98496"), (0.985, "0.985"), (0.5, "0.500")]
)
def test_what_is_printed_agrees_with_its_mark(value, printed):
    row = Row("AUC", value, 0.9, 1.0, 9)
    assert summary.value_words(row, Target(at_least=0.985), float("nan")) == printed


def test_posture_and_the_recognisers(tmp_path, listed):
    listed("lab-floor-lfw-posture-shared.json", Row("yaw, degrees (Face Landmarker)", 1.5, 1.0, 2.0, 9))
    alone = Row("judge: AUC", 0.7, 0.6, 0.8, 9), Row("u: AUC", 0.95, 0.9, 1.0, 9), Row("E: AUC", 0.9, 0.8, 1.0, 9)
    listed("lab-floor-lfw-recognisers-shared.json", *alone, people=5)
    text = summary.summary(tmp_path)
    assert line(text, "yaw") == ["yaw, degrees", "1.500<br>1.000 to 2.000, n 9", "2.018"]
    assert line(text, "pitch") == ["pitch, degrees", "-", "3.102"]
    ending = "E 0.900 (0.800 to 1.000, n 9); u 0.950 (0.900 to 1.000, n 9); judge 0.700 (0.600 to 0.800, n 9).\n"
    assert text.endswith("real photos of 5 people: AUC of " + ending)
    assert "target" not in text
