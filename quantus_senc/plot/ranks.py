"""Figures of rankings: the ranks of methods from metric to metric, and the agreement of every two metrics."""

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from quantus_senc.core.wording import number
from quantus_senc.plot.style import QUIET, RANK_COLOURS, Look, figure_of, look, one_axes, one_line, wrapped
from quantus_senc.plot.tables import ComparisonTables, by_metric_and_method, scored_summary

_METRIC_WIDTH, _LEAST_METRIC_WIDTH = 1.0, 0.9  # inches between metrics
_TAU_SCALE = Normalize(-1, 1)
_TIE_OFFSET = 0.5  # between methods that tie, in ranks: k methods that tie share k ranks


def rank_lines(comparison: ComparisonTables, ax: Axes | None = None) -> Figure:
    """The rank of each method by every metric, with one line per method and rank 1 on top.

    Methods that tie stand close together on a grey bar. Methods without a score stand below the ranks. Lines of controls
    (see `Comparison.settings`) are dashed.

    Parameters
    ----------
    comparison
        A `quantus_senc.Comparison`.
    ax
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    Figure
        The figure of the axes. The caller closes it.

    Raises
    ------
    ValueError
        If there are no scores, or `ax` is too narrow for the names.

    References
    ----------
    A. Binder et al., "Shortcomings of Top-Down Randomization-Based Sanity Checks for Evaluations of Deep Neural Network
    Explanations", CVPR 2023.
    """
    ranks = by_metric_and_method(scored_summary(comparison), "rank")
    values, names = ranks.to_numpy(), [one_line(name) for name in ranks.columns]
    places = np.array([_places(by_method) for by_method in values])
    controls = comparison.settings.get("controls", [])
    margin = 0.3 + 0.07 * max(map(len, names))  # inches for the names at either end
    size = (_METRIC_WIDTH * (len(ranks) - 1) + 2 * margin + 0.6, 1.5 + 0.36 * places.max())
    with one_axes(ax, size) as axes:
        _tie_bars(axes, values, places)
        for index, (method, name) in enumerate(zip(ranks.columns, names, strict=True)):
            _method_line(axes, values[:, index], places[:, index], name, look(index), is_control=method in controls)
        _rank_axis(axes, len(names), places.max())
        _metric_axis(axes, list(ranks.index), margin, _METRIC_WIDTH if ax is None else _fitting(axes, len(ranks), margin))
        _categories(axes, list(comparison.metrics.set_index("metric")["category"].loc[ranks.index]))
    return figure_of(axes)


def agreement(comparison: ComparisonTables, ax: Axes | None = None) -> Figure:
    """Kendall's tau between the rankings of methods by every two metrics.

    If the 95 % interval over images includes 0 or is unknown, the number stands in brackets on white stripes.

    Parameters
    ----------
    comparison
        A `quantus_senc.Comparison`.
    ax
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    Figure
        The figure of the axes. The caller closes it.

    Raises
    ------
    ValueError
        If there are fewer than two metrics.
    """
    table = comparison.agreement()
    if table.empty:
        raise ValueError("comparison holds a single metric, or none; two are needed to agree or not")
    names = list(pd.unique(table[["metric_a", "metric_b"]].to_numpy().ravel()))
    side = len(names) - 1
    with one_axes(ax, (2.6 + 0.62 * side, 1.6 + 0.5 * side)) as axes:
        for pair in table.to_dict("records"):
            sign_is_sure = pair["low"] > 0 or pair["high"] < 0  # False for NaN
            _cell(axes, names.index(pair["metric_a"]), names.index(pair["metric_b"]) - 1, pair["tau"], sign_is_sure)
        axes.set_xlim(-0.5, side - 0.5)
        axes.set_ylim(side - 0.5, -0.5)
        turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(side), [one_line(name, 26) for name in names[:-1]], **turned)
        axes.set_yticks(range(side), [wrapped(name, 22) for name in names[1:]])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        _tau_bar(axes)
    return figure_of(axes)


def _tau_bar(axes: Axes) -> None:
    mappable = ScalarMappable(_TAU_SCALE, RANK_COLOURS)
    bar = figure_of(axes).colorbar(mappable, ax=axes, ticks=[-1, 0, 1], shrink=0.7, aspect=12, pad=0.02)
    bar.ax.set_yticklabels(["−1 opposed", "0", "1 alike"])
    bar.ax.set_title("Kendall's\ntau", fontsize=8)


def _places(ranks: np.ndarray) -> np.ndarray:
    """The height of each method: its rank, side by side for methods that tie, below all ranks for methods without one."""
    places = np.where(np.isnan(ranks), len(ranks) + 1.0, ranks)
    for place in np.unique(places):
        tied = np.flatnonzero(places == place)
        offsets = _TIE_OFFSET * (np.arange(len(tied)) - (len(tied) - 1) / 2)
        places[tied] = place + (offsets if place <= len(ranks) else offsets - offsets[0])
    return places


def _tie_bars(axes: Axes, ranks: np.ndarray, places: np.ndarray) -> None:
    for metric, by_method in enumerate(ranks):
        for rank in np.unique(by_method[np.isfinite(by_method)]):
            tied = places[metric, by_method == rank]
            if len(tied) > 1:
                bar: dict[str, Any] = {"color": "#c8c8c8", "linewidth": 15, "solid_capstyle": "round", "gid": "tie"}
                axes.plot([metric, metric], [tied.min(), tied.max()], zorder=1, **bar)


def _method_line(axes: Axes, ranks: np.ndarray, places: np.ndarray, name: str, method: Look, *, is_control: bool) -> None:
    """A line where there are ranks, hollow marks where there are none, and the name at either end."""
    edge: dict[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.6}
    line: dict[str, Any] = {"linestyle": "--" if is_control else "-", "linewidth": 1.8, "label": name, **edge}
    ranked = np.where(np.isnan(ranks), np.nan, places)
    axes.plot(ranked, color=method.colour, marker=method.marker, markersize=8, zorder=3, **line)
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": method.colour, "markeredgewidth": 1.5}
    axes.plot(np.where(np.isnan(ranks), places, np.nan), method.marker, markersize=8, zorder=3, **hollow)
    for end, place, side, offset in ((0, places[0], "right", -9), (len(places) - 1, places[-1], "left", 9)):
        label: dict[str, Any] = {"xytext": (offset, 0), "textcoords": "offset points", "ha": side, "va": "center"}
        axes.annotate(name, (end, place), style="italic" if is_control else "normal", **label)


def _fitting(axes: Axes, n_metrics: int, margin: float) -> float:
    """The inches between metrics with which the names at either end fit in axes of a user."""
    width, least = float(axes.bbox.width / figure_of(axes).dpi), 2 * margin + _LEAST_METRIC_WIDTH * (n_metrics - 1)
    if width < least:
        raise ValueError(
            f"ax is {width:.1f} inches wide, but {n_metrics} metrics and the names of the methods at either end take "
            f"{least:.1f}; make it wider, or leave ax out and scale the figure that is saved"
        )
    return (width - 2 * margin) / max(n_metrics - 1, 1)


def _metric_axis(axes: Axes, names: list[str], margin: float, metric_width: float) -> None:
    """A place for each metric, and a margin, both in inches."""
    axes.set_xlim(-margin / metric_width, len(names) - 1 + margin / metric_width)
    axes.set_xticks(range(len(names)), [wrapped(name, 13) for name in names])


def _rank_axis(axes: Axes, n_methods: int, lowest: float) -> None:
    ticks = dict(enumerate([str(rank) for rank in range(1, n_methods + 1)], 1))
    if lowest > n_methods:
        ticks[n_methods + 1] = "no score"
        axes.axhline(n_methods + 0.5, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(lowest + 0.5, 0.5)
    axes.set_ylabel("rank (1 is best)")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _categories(axes: Axes, categories: list[str]) -> None:
    """A line over neighbouring metrics of one category, and its name."""
    start = 0
    for category, members in groupby(categories):
        count = len(list(members))
        ends, above = (start - 0.38, start + count - 0.62), axes.get_xaxis_transform()
        axes.plot(ends, [1.01, 1.01], color="black", linewidth=1, transform=above, clip_on=False)
        centre: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8, "fontweight": "bold"}
        axes.text(sum(ends) / 2, 1.03, wrapped(category, 13 * count), transform=above, **centre)
        start += count


def _cell(axes: Axes, column: int, row: int, tau: float, sign_is_sure: bool) -> None:
    """A coloured cell with a number. If the sign is not sure, it has stripes and the number stands in brackets."""
    colour = colormaps[RANK_COLOURS](_TAU_SCALE(tau)) if sign_is_sure else "white"
    stripes: dict[str, Any] = {} if sign_is_sure else {"hatch": "////", "edgecolor": "#dddddd", "linewidth": 0}
    axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, **stripes))
    ink = "white" if sign_is_sure and tau < 0.1 else "black"
    background = None if sign_is_sure else {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    text = number(tau) if sign_is_sure or np.isnan(tau) else f"({number(tau)})"
    axes.text(column, row, text, ha="center", va="center", color=ink, bbox=background)
