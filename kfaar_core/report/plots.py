"""Plotly figures, one function for each.

All figures are transparent, and their colours are readable on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from kfaar_core.metrics import random_direction
from kfaar_core.metrics.roc_interval import ConfidenceBand
from kfaar_core.metrics.verification import Roc

# Distinguishable with most colour blindness; contrast at least 3:1 to white and to near-black.
INK, RUST, MOSS, PLUM, GREY = "#3d7ea6", "#c0682c", "#4d8f5c", "#9468ad", "#858d96"
FONT = "ui-sans-serif, system-ui, sans-serif"
SCALE = ((0.0, "#f3efe6"), (0.5, "#7fb0c4"), (1.0, "#1f4e68"))
SYMBOLS = ("circle-open", "diamond-open", "square-open", "triangle-up-open", "cross-open", "star-open")
LEAST_FAR = 1e-4  # left end of a logarithmic FAR axis


def _house(figure: go.Figure, x: str, y: str, height: int = 400) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 56, "r": 16, "t": 56, "b": 96},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 14, "color": GREY},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "font": {"size": 14}},
        bargap=0.35,
        hovermode="closest",
        dragmode=False,
    )
    axis = {"gridcolor": "rgba(133,141,150,0.25)", "zerolinecolor": "rgba(133,141,150,0.5)", "automargin": True}
    figure.update_xaxes(title={"text": x, "font": {"size": 14}}, **axis)
    figure.update_yaxes(title={"text": y, "font": {"size": 14}}, **axis)
    return figure


def _threshold_line(figure: go.Figure, threshold: float, words: str, *, vertical: bool) -> None:
    line = {"color": RUST, "width": 2, "dash": "dash"}
    note = {"text": words, "font": {"color": RUST, "size": 14}}
    if vertical:
        figure.add_vline(x=threshold, line=line, annotation=note, annotation_position="top")
    else:
        figure.add_hline(y=threshold, line=line, annotation=note, annotation_position="top right")


def similarity_heatmap(cosines: np.ndarray, labels: Sequence[str], threshold: float) -> go.Figure:
    """Heat map of the judge's cosines between all pairs of pictures (Figs. 5 and 6 as numbers).

    Args:
        cosines: (N, N).
        labels: N names.
        threshold: of the judge; cells at or above it are marked with an equals sign.
    """
    values = np.asarray(cosines, dtype=np.float64)
    marks = [[f"{value:z.2f}{' =' if value >= threshold else ''}" for value in row] for row in values]
    figure = go.Figure(
        go.Heatmap(
            z=values.tolist(),
            x=list(labels),
            y=list(labels),
            text=marks,
            texttemplate="%{text}" if len(labels) <= 16 else None,
            hovertemplate="%{y} with %{x}: %{text}<extra></extra>",
            colorscale=[list(stop) for stop in SCALE],
            zmin=-0.2,
            zmax=1,
            xgap=2,
            ygap=2,
            colorbar={
                "orientation": "h",
                "thickness": 12,
                "y": 1.02,
                "yanchor": "bottom",
                "tickvals": [0, threshold, 1],
                "ticktext": ["0", f"{threshold:.2f} threshold", "1"],
            },
        )
    )
    figure = _house(figure, "", "", height=min(800, 240 + 34 * len(labels)))
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=-40)
    return figure


def scenario_bars(
    names: Sequence[str],
    cosines: Sequence[float],
    thresholds: Sequence[float],
    marks: Sequence[Mapping[str, float]],
) -> go.Figure:
    """Bar chart of the scenarios of Table VII for one face, with thresholds and reference cosines.

    Args:
        names: of the scenarios.
        cosines: one for each scenario.
        thresholds: one for each scenario.
        marks: for each scenario, name -> reference cosine of the network that decides it.
    """
    accepted = [cosine >= limit for cosine, limit in zip(cosines, thresholds, strict=True)]
    bars = [
        f"{name}<br><b>{cosine:z.2f}, {'accepted' if yes else 'refused'}</b>"
        for name, cosine, yes in zip(names, cosines, accepted, strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=list(cosines),
            y=bars,
            orientation="h",
            marker={"color": [MOSS if yes else INK for yes in accepted]},
            hovertemplate="%{y}: cosine %{x:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_trace(_marks("threshold", thresholds, bars, RUST, "line-ns-open", 26))
    for name, symbol in zip(dict.fromkeys(name for mark in marks for name in mark), SYMBOLS, strict=False):
        points = [(mark[name], bar) for mark, bar in zip(marks, bars, strict=True) if name in mark]
        if points:
            figure.add_trace(_marks(name, [x for x, _ in points], [bar for _, bar in points], GREY, symbol, 11))
    figure = _house(figure, "cosine with the photo", "", height=170 + 62 * len(names))
    figure.update_xaxes(range=[min(-0.25, *cosines) - 0.05, 1.05], tickvals=[0, 0.5, 1])
    figure.update_yaxes(autorange="reversed")
    return figure


def _marks(name: str, at: Sequence[float], bars: Sequence[str], colour: str, symbol: str, size: int) -> go.Scatter:
    return go.Scatter(
        x=list(at),
        y=list(bars),
        mode="markers",
        name=name,
        marker={"symbol": symbol, "size": size, "color": colour, "line": {"width": 2.5, "color": colour}},
        hovertemplate=f"{name}: %{{x:.3f}}<extra></extra>",
    )


def flipped_bits(
    draws: Sequence[tuple[int, float, float, float]],
    threshold: float,
    chosen: tuple[int, float] | None = None,
    paper: Mapping[int, float] | None = None,
) -> go.Figure:
    """Line plot of the cosine against the number of wrong bits of the key (Table XII).

    Args:
        draws: (wrong bits, mean, lowest and highest cosine) of the draws with so many wrong bits.
        threshold: of KVFA.
        chosen: (wrong bits, cosine) of the user's flipped key.
        paper: wrong bits -> the paper's cosine.
    """
    bits, mean, low, high = zip(*draws, strict=True)
    ticks = [str(count) for count in bits]  # categories, evenly spaced: small numbers of bits matter most
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[*ticks, *reversed(ticks)],
            y=[*high, *reversed(list(low))],
            fill="toself",
            mode="none",
            fillcolor="rgba(61,126,166,0.2)",
            name="lowest to highest draw",
            hoverinfo="skip",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=ticks,
            y=list(mean),
            mode="lines+markers",
            name="mean of the draws",
            line={"color": INK, "width": 2.5},
            hovertemplate="%{x} wrong bits: %{y:.3f}<extra></extra>",
        )
    )
    known = {str(count): value for count, value in (paper or {}).items() if str(count) in ticks}
    if known:
        figure.add_trace(
            go.Scatter(
                x=list(known),
                y=list(known.values()),
                mode="markers",
                name="the paper, LFW",
                marker={"symbol": "diamond-open", "size": 10, "color": PLUM, "line": {"width": 2}},
                hovertemplate="the paper, %{x} wrong bits: %{y:.3f}<extra></extra>",
            )
        )
    if chosen is not None and str(chosen[0]) in ticks:
        figure.add_trace(
            go.Scatter(
                x=[str(chosen[0])],
                y=[chosen[1]],
                mode="markers",
                name="your flipped key",
                marker={"symbol": "circle", "size": 14, "color": RUST},
                hovertemplate="your key, %{x} bits flipped: %{y:.3f}<extra></extra>",
            )
        )
    _threshold_line(figure, threshold, f"threshold {threshold:.2f}", vertical=False)
    figure = _house(figure, "bits of the key that are wrong", "cosine with the photo")
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[-0.65, 1.05])
    return figure


def random_keys(cosines: np.ndarray, dimension: int, threshold: float, right: float | None = None) -> go.Figure:
    """Histogram of the cosines of random keys, with the distribution of a random direction.

    Args:
        cosines: (N,).
        dimension: d of the random direction.
        threshold: of KVFA.
        right: cosine of the right key.
    """
    edges = np.linspace(-1, 1, 81)
    counts, _ = np.histogram(cosines, edges)
    middle = (edges[:-1] + edges[1:]) / 2
    expected = np.diff(random_direction.below(edges, dimension)) * np.size(cosines)
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=middle.tolist(),
            y=counts.tolist(),
            name="keys tried",
            marker={"color": INK},
            hovertemplate="cosine %{x:.2f}: %{y} keys<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=middle.tolist(),
            y=expected.tolist(),
            mode="lines",
            name=f"law of a random direction, d = {dimension}",
            line={"color": PLUM, "width": 2.5},
            hoverinfo="skip",
        )
    )
    _threshold_line(figure, threshold, f"threshold {threshold:.2f}", vertical=True)
    if right is not None:
        figure.add_vline(
            x=right,
            line={"color": MOSS, "width": 2},
            annotation={"text": f"right key {right:.2f}", "font": {"color": MOSS, "size": 14}},
            annotation_position="top right",
        )
    figure = _house(figure, "cosine with the photo", "keys")
    figure.update_layout(bargap=0.05)
    figure.update_xaxes(range=[-1, 1])
    return figure


def roc_curve(curve: Roc, band: ConfidenceBand | None, chosen: tuple[float, float] | None = None) -> go.Figure:
    """ROC curve with a logarithmic FAR axis.

    Args:
        curve: one curve, far and tar (T,).
        band: its confidence band.
        chosen: (FAR, TAR) of the user's threshold.
    """
    figure = go.Figure()
    if band is not None:
        _band(figure, band.far, band.low, band.high)
    far = np.maximum(curve.far, LEAST_FAR)
    figure.add_trace(_curve(far, curve.tar, "ROC", "FAR %{x:.2%}, TAR %{y:.1%}"))
    _chosen(figure, chosen)
    figure = _house(figure, "FAR: impostors accepted", "TAR: genuine accepted")
    figure.update_xaxes(type="log", range=[np.log10(LEAST_FAR), 0], tickformat=".2~%")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def det_curve(curve: Roc, band: ConfidenceBand | None = None, chosen: tuple[float, float] | None = None) -> go.Figure:
    """DET curve: FRR against FAR, both axes logarithmic.

    Args:
        curve: one curve, far and tar (T,).
        band: its confidence band, of TAR.
        chosen: (FAR, FRR) of the user's threshold.
    """
    figure = go.Figure()
    if band is not None:
        _band(figure, band.far, *(np.maximum(1 - tar, LEAST_FAR) for tar in (band.high, band.low)))
    far, frr = np.maximum(curve.far, LEAST_FAR), np.maximum(1 - curve.tar, LEAST_FAR)
    figure.add_trace(_curve(far, frr, "DET", "FAR %{x:.2%}, FRR %{y:.2%}"))
    figure.add_trace(
        go.Scatter(
            x=[LEAST_FAR, 1],
            y=[LEAST_FAR, 1],
            mode="lines",
            name="FAR = FRR",
            line={"color": GREY, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    _chosen(figure, chosen)
    figure = _house(figure, "FAR: impostors accepted", "FRR: genuine refused")
    figure.update_xaxes(type="log", range=[np.log10(LEAST_FAR), 0], tickformat=".2~%")
    figure.update_yaxes(type="log", range=[np.log10(LEAST_FAR), 0], tickformat=".2~%")
    return figure


def score_histograms(populations: Mapping[str, np.ndarray], threshold: float | None = None) -> go.Figure:
    """Histograms of the scores of several populations, for example the four scenarios of Table VII.

    Args:
        populations: name -> (N,) cosines, or scores of another range.
        threshold: of KVFA, if there is one.
    """
    lowest = min((float(np.min(values)) for values in populations.values()), default=-1.0)
    highest = max((float(np.max(values)) for values in populations.values()), default=1.0)
    cosines = lowest >= -1.001 and highest <= 1.001
    span = (-1.0, 1.0) if cosines else (lowest, max(highest, lowest + 1e-9))
    edges = np.linspace(*span, 61)
    middle = (edges[:-1] + edges[1:]) / 2
    figure = go.Figure()
    for (name, values), colour in zip(populations.items(), (RUST, GREY, PLUM, INK, MOSS) * 2, strict=False):
        share = np.histogram(values, edges)[0] / max(1, np.size(values))
        figure.add_trace(
            go.Scatter(
                x=middle.tolist(),
                y=share.tolist(),
                mode="lines",
                name=name,
                fill="tozeroy",
                opacity=0.6,
                line={"color": colour, "width": 2, "shape": "hvh"},
                hovertemplate=f"{name}: %{{y:.1%}} near %{{x:.2f}}<extra></extra>",
            )
        )
    if threshold is not None:
        _threshold_line(figure, threshold, f"threshold {threshold:.2f}", vertical=True)
    figure = _house(figure, "cosine" if cosines else "score", "share of the trials", height=420)
    figure.update_xaxes(range=list(span))
    figure.update_yaxes(tickformat=".0%")
    return figure


def rates_by_threshold(
    thresholds: np.ndarray, crr: np.ndarray, far: np.ndarray, frr: np.ndarray, best: float, threshold: float
) -> go.Figure:
    """Line plot of CRR, FAR and FRR against the threshold (Fig. 9a).

    Args:
        thresholds, crr, far, frr: (T,) each.
        best: threshold with the highest CRR, marked.
        threshold: of KVFA, marked.
    """
    figure = go.Figure()
    for name, values, colour, dash in (
        ("CRR", crr, MOSS, "solid"),
        ("FAR", far, RUST, "dash"),
        ("FRR", frr, INK, "dot"),
    ):
        figure.add_trace(
            go.Scatter(
                x=np.asarray(thresholds).tolist(),
                y=np.asarray(values).tolist(),
                mode="lines",
                name=name,
                line={"color": colour, "width": 2.5, "dash": dash},
                hovertemplate=f"{name} %{{y:.1%}} at %{{x:.2f}}<extra></extra>",
            )
        )
    figure.add_vline(
        x=best,
        line={"color": MOSS, "width": 1.5, "dash": "dot"},
        annotation={"text": f"best CRR at {best:.2f}", "font": {"color": MOSS, "size": 14}, "y": 0.45},
        annotation_position="right",
    )
    _threshold_line(figure, threshold, f"threshold {threshold:.2f}", vertical=True)
    figure = _house(figure, "threshold", "share")
    figure.update_xaxes(range=[-0.5, 1])
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def _curve(x: np.ndarray, y: np.ndarray, name: str, hover: str) -> go.Scatter:
    return go.Scatter(
        x=x.tolist(),
        y=y.tolist(),
        mode="lines",
        name=name,
        line={"color": INK, "width": 2.5, "shape": "hv"},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _band(figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    figure.add_trace(
        go.Scatter(
            x=[*x, *x[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            mode="none",
            fillcolor="rgba(61,126,166,0.22)",
            name="95 % interval over people",
            hoverinfo="skip",
        )
    )


def _chosen(figure: go.Figure, point: tuple[float, float] | None) -> None:
    if point is not None:
        x, y = max(point[0], LEAST_FAR), max(point[1], LEAST_FAR)
        figure.add_trace(
            go.Scatter(
                x=[x],
                y=[y],
                mode="markers",
                name="your threshold",
                marker={"size": 12, "color": RUST},
                hovertemplate="your threshold: %{x:.2%}, %{y:.2%}<extra></extra>",
            )
        )


@dataclass(frozen=True)
class Line:
    """One curve with its interval."""

    name: str
    at: Sequence[float]
    value: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def attack_curves(lines: Sequence[Line], across: str, chance: Mapping[float, float]) -> go.Figure:
    """What an adversary gets against what he holds, with 95 % intervals and what guessing reaches.

    Args:
        lines: the curves.
        across: title of the horizontal axis.
        chance: place -> what guessing reaches; empty draws nothing.
    """
    figure = go.Figure()
    for line, colour, symbol in zip(lines, cycle((INK, RUST, MOSS, PLUM)), cycle(SYMBOLS), strict=False):
        figure.add_trace(_with_interval(line, colour, symbol))
    if chance:
        guess = {"color": GREY, "dash": "dot", "width": 2}
        figure.add_trace(go.Scatter(x=list(chance), y=list(chance.values()), mode="lines", name="guessing", line=guess))
    figure = _house(figure, across, "", height=400 + 22 * len(lines))
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(margin_b=96 + 22 * len(lines))
    places = sorted({place for line in lines for place in line.at})
    if places and places[0] > 0 and places[-1] >= 20 * places[0]:
        figure.update_xaxes(type="log", tickvals=places, ticktext=[f"{place:,.0f}" for place in places])
    return figure


def weights_of_losses(panels: Mapping[str, Sequence[Line]]) -> go.Figure:
    """Line plots of figures against the weight of each loss (Fig. 9b and Fig. 10), with intervals.

    Args:
        panels: name of a figure, such as AUC -> a line for each loss.
    """
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=list(panels))
    for column, lines in enumerate(panels.values(), 1):
        for line, colour, symbol in zip(lines, cycle((INK, RUST, MOSS, PLUM)), cycle(SYMBOLS), strict=False):
            trace = _with_interval(line, colour, symbol)
            figure.add_trace(trace.update(legendgroup=line.name, showlegend=column == 1), row=1, col=column)
    return _house(figure, "weight of the loss", "")


def _with_interval(line: Line, colour: str, symbol: str) -> go.Scatter:
    spread = {
        "array": [high - value for value, high in zip(line.value, line.high, strict=True)],
        "arrayminus": [value - low for value, low in zip(line.value, line.low, strict=True)],
        "thickness": 1.2,
    }
    return go.Scatter(
        x=list(line.at),
        y=list(line.value),
        error_y={"type": "data", "symmetric": False, **spread},
        mode="lines+markers",
        name=line.name,
        line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 9},
        hovertemplate=f"{line.name}<br>%{{x}}: %{{y:.3f}}<extra></extra>",
    )
