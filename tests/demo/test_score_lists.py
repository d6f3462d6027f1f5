"""Scores of others in the tab ROC: what a visitor's files show, first without and then with intervals."""

from __future__ import annotations

import numpy as np
import pytest

from demo.tabs import score_lists
from demo.tabs.score_lists import Lists, on_lists
from kfaar_core.errors import DataMissing


@pytest.fixture
def files(tmp_path, rng) -> list[str]:
    """The two files of pyeer; the impostors' comes first by name."""
    for name, centre in (("b-genuine.txt", 40.0), ("a-impostor.txt", 10.0)):
        (tmp_path / name).write_text("\n".join(map(str, rng.normal(centre, 5, 200))))
    return sorted(str(path) for path in tmp_path.iterdir())


def test_curves_come_first_and_intervals_after_them(files):
    first, whole = on_lists(Lists(files, False))
    assert "200 genuine and 200 impostor scores" in first.said and "data-done" in whole.said
    assert "being drawn" in first.figures and "being drawn" not in whole.figures
    for shown in (first, whole):
        assert "FMR1000" in shown.figures and "EER" in shown.figures
        assert shown.roc["visible"] and shown.det["visible"] and shown.histograms["visible"]
    assert len(whole.roc["value"].data) == len(first.roc["value"].data) + 1  # the band
    low, high = whole.histograms["value"].layout.xaxis.range
    assert low < 10 < 40 < high


def test_distances_are_turned_and_nothing_is_said(files):
    *_, whole = on_lists(Lists(files, True))
    assert ">0.99" in whole.figures.split("EER")[1][:60]  # nearly every decision is wrong
    with pytest.raises(DataMissing, match="no score file yet"):
        next(on_lists(Lists(None, False)))


def test_a_bad_row_is_named_where_the_answer_stands(files):
    with open(files[0], "a") as file:
        file.write("\nhigh\n")
    with pytest.raises(DataMissing, match="line 201"):
        next(on_lists(Lists(files, False)))
    assert "line 201" in score_lists.ListShown.trouble("", "bad row in line 201").said


def test_what_is_drawn_of_many_scores_is_little(tmp_path, rng):
    """A million scores would be a page of 40 MB; the curve is thinned to what a screen can show."""
    np.savez(tmp_path / "s.npz", genuine=rng.normal(3, 1, 5_000), impostor=rng.normal(0, 1, 60_000))
    first = next(on_lists(Lists([str(tmp_path / "s.npz")], False)))
    assert len(first.roc["value"].data[0].x) < 2_500 and len(first.roc["value"].to_json()) < 200_000
