"""The figures hold the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest

from kfaar_core.metrics.roc_interval import roc_interval
from kfaar_core.metrics.score_pair import ScorePair
from kfaar_core.metrics.verification import roc
from kfaar_core.report import plots


def test_scenario_bars_say_the_decision_in_words():
    figure = plots.scenario_bars(["1 a", "4 b"], [0.2, 0.8], [0.4, 0.5], [{"strangers": 0.0}, {}])
    assert [("accepted" in bar, "refused" in bar) for bar in figure.data[0].y] == [(False, True), (True, False)]
    assert list(figure.data[1].x) == [0.4, 0.5] and list(figure.data[2].x) == [0.0]


def test_heatmap_marks_pairs_at_the_threshold():
    figure = plots.similarity_heatmap(np.array([[1, 0.3], [0.3, 1]]), ["a", "b"], 0.3)
    assert figure.data[0].text[0][1] == "0.30 ="


def test_random_keys_counts_and_expects_as_many(rng):
    direction = rng.standard_normal((400, 32))
    cosines = direction[:, 0] / np.linalg.norm(direction, axis=1)
    figure = plots.random_keys(cosines, 32, 0.5)
    assert sum(figure.data[0].y) == 400 and sum(figure.data[1].y) == pytest.approx(400)


def test_curves_are_drawn_on_their_axes(rng):
    genuine, impostor = rng.normal(0.6, 0.1, 50), rng.normal(0, 0.1, 50)
    curve = roc(genuine, impostor)
    far = np.logspace(-3, 0, 5)
    band = roc_interval(ScorePair(genuine, np.arange(50), impostor, np.arange(50)), far, rng)
    figure = plots.roc_curve(curve, band, (0.1, 0.9))
    assert figure.layout.xaxis.type == "log" and len(figure.data) == 3
    assert plots.det_curve(curve, None, (0.1, 0.1)).layout.yaxis.type == "log"
    rates = plots.rates_by_threshold(far, far, far, far, 0.3, 0.5)
    assert [trace.name for trace in rates.data] == ["CRR", "FAR", "FRR"]


def test_wrong_bits_are_evenly_spaced_and_the_paper_stands_beside():
    figure = plots.flipped_bits([(0, 0.8, 0.8, 0.8), (1, 0, -1, 1), (16, 0, -1, 1)], 0.5, (1, 0.1), {0: 0.862, 5: 0.5})
    assert figure.layout.xaxis.type == "category"
    assert list(figure.data[2].x) == ["0"]  # 5 is not among the places


def test_histograms_are_shares():
    figure = plots.score_histograms({"a": np.array([0.1, 0.2, 0.3, 0.4])}, 0.5)
    assert sum(figure.data[0].y) == pytest.approx(1)
