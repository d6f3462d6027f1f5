from __future__ import annotations

import pytest

from kfaar_core.report.paper_figures import DATASETS, FIGURES, paper_figure


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("VI", "crr", "lfw"), 0.927),
        (("VI", "far", "celeba"), 0.064),
        (("VII", "scenario 3", "celeba"), 0.398),
        (("VII", "scenario 4"), 0.852),
        (("II", "anonymity", "celeba", "ciagan"), 0.0628),
        (("VIII", "crr", "ffhq"), 0.887),
        (("VIII", "crr", "celeba"), None),
        (("X", "auc", "lfw"), 0.987),
        (("X", "auc", "celeba"), None),
        (("VI", "crr", "mine"), None),
        (("VI", "eer"), None),
        (("III", "auc", "lfw", "ciagan"), None),
        (("XX", "eer"), None),
    ],
)
def test_looked_up(place, expected):
    assert paper_figure(*place) == expected


def test_what_the_paper_prints_twice_agrees():
    for figure in ("crr", "far"):
        assert paper_figure("VIII", figure) == paper_figure("VI", figure)
    for figure, table in {"auc": "III", "eer": "III", "anonymity": "II", "diversity": "II", "fid": "V"}.items():
        assert paper_figure("IX", figure) == paper_figure(table, figure)
    assert paper_figure("XI", "anonymity, 8 bits") == paper_figure("II", "anonymity")
    assert paper_figure("XI", "fid, 8 bits") == paper_figure("V", "fid")


def test_shares_and_cosines_are_at_most_1():
    for table, figures in FIGURES.items():
        for figure, methods in figures.items():
            for values in methods.values():
                assert 1 <= len(values) <= len(DATASETS)
                if (table != "IV" and not figure.startswith("fid")) or figure == "emotion":
                    assert all(value is None or 0 <= value <= 1 for value in values)
