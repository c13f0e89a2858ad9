"""Pictures of rankings: of the methods from metric to metric, and how far two metrics agree on them."""

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from quantus_senc._comparison import Comparison
from quantus_senc._plot_scores import scores_of
from quantus_senc._plot_style import QUIET, RANK_COLOURS, Look, look, one_line, style, wrapped
from quantus_senc._wording import number

_INCH = 1.0  # between metrics
_TAU = Normalize(-1, 1)
_APART = 0.5  # methods that tie, in ranks: k of them have k ranks to themselves


def rank_lines(comparison: Comparison) -> Figure:
    """The rank of each method by every metric, 1st on top, with a line a method.

    Methods that tie stand close together on a grey bar; those without a score by a metric stand below the ranks. Controls
    (see `Comparison.settings`) are dashed.

    Returns
    -------
    Figure
        The caller closes it.

    Raises
    ------
    ValueError
        If there are no scores.

    References
    ----------
    A. Binder et al., "Shortcomings of Top-Down Randomization-Based Sanity Checks for Evaluations of Deep Neural Network
    Explanations", CVPR 2023.
    """
    arrays = scores_of(comparison)
    ranks = arrays.ranks()
    places = np.array([_places(by_method) for by_method in ranks])
    controls, names = comparison.settings.get("controls", []), [one_line(name) for name in arrays.methods]
    margin = 0.3 + 0.07 * max(map(len, names))  # inches for the names at either end
    with style():
        size = (_INCH * (len(ranks) - 1) + 2 * margin + 0.6, 1.5 + 0.36 * places.max())
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        _tie_bars(axes, ranks, places)
        for index, name in enumerate(names):
            _method_line(axes, ranks[:, index], places[:, index], name, look(index), arrays.methods[index] in controls)
        _rank_axes(axes, len(names), places.max())
        axes.set_xlim(-margin / _INCH, len(ranks) - 1 + margin / _INCH)
        axes.set_xticks(range(len(ranks)), [wrapped(name, 13) for name in arrays.metrics])
        _categories(axes, list(comparison.metrics.set_index("metric")["category"].loc[arrays.metrics]))
    return figure


def agreement(comparison: Comparison) -> Figure:
    """Kendall's tau between the rankings of methods by every two metrics.

    Numbers stand in brackets, on white stripes, where the 95 % interval over images includes 0 or is unknown.

    Returns
    -------
    Figure
        The caller closes it.

    Raises
    ------
    ValueError
        If there are not two metrics.
    """
    table = comparison.agreement()
    if table.empty:
        raise ValueError("comparison holds a single metric, or none; two are needed to agree or not")
    names = list(pd.unique(table[["metric_a", "metric_b"]].to_numpy().ravel()))
    side = len(names) - 1
    with style():
        figure, axes = plt.subplots(figsize=(2.6 + 0.62 * side, 1.6 + 0.5 * side), layout="constrained")
        for pair in table.to_dict("records"):
            sure = pair["low"] > 0 or pair["high"] < 0  # False for NaN
            _cell(axes, names.index(pair["metric_a"]), names.index(pair["metric_b"]) - 1, pair["tau"], sure)
        axes.set_xlim(-0.5, side - 0.5)
        axes.set_ylim(side - 0.5, -0.5)
        turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(side), [one_line(name, 26) for name in names[:-1]], **turned)
        axes.set_yticks(range(side), [wrapped(name, 22) for name in names[1:]])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(ScalarMappable(_TAU, RANK_COLOURS), ax=axes, ticks=[-1, 0, 1], shrink=0.7, aspect=12, pad=0.02)
        bar.ax.set_yticklabels(["−1 opposed", "0", "1 alike"])
        bar.ax.set_title("Kendall's\ntau", fontsize=8)
    return figure


def _places(ranks: np.ndarray) -> np.ndarray:
    """Where the methods stand: at their ranks, beside one another if they tie, below all ranks without one."""
    places = np.where(np.isnan(ranks), len(ranks) + 1.0, ranks)
    for place in np.unique(places):
        tied = np.flatnonzero(places == place)
        offsets = _APART * (np.arange(len(tied)) - (len(tied) - 1) / 2)
        places[tied] = place + (offsets if place <= len(ranks) else offsets - offsets[0])
    return places


def _tie_bars(axes: Axes, ranks: np.ndarray, places: np.ndarray) -> None:
    for metric, by_method in enumerate(ranks):
        for rank in np.unique(by_method[np.isfinite(by_method)]):
            tied = places[metric, by_method == rank]
            if len(tied) > 1:
                bar: dict[str, Any] = {
                    "color": "#c8c8c8",
                    "linewidth": 15,
                    "solid_capstyle": "round",
                    "zorder": 1,
                    "gid": "tie",
                }
                axes.plot([metric, metric], [tied.min(), tied.max()], **bar)


def _method_line(axes: Axes, ranks: np.ndarray, places: np.ndarray, name: str, looks: Look, control: bool) -> None:
    """The line where there are ranks, hollow marks where there are none, and the name at either end."""
    line: dict[str, Any] = {
        "linestyle": "--" if control else "-",
        "linewidth": 1.8,
        "markeredgecolor": "black",
        "markeredgewidth": 0.6,
    }
    known = np.where(np.isnan(ranks), np.nan, places)
    axes.plot(known, color=looks.colour, marker=looks.marker, markersize=8, label=name, zorder=3, **line)
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": looks.colour, "markeredgewidth": 1.5}
    axes.plot(np.where(np.isnan(ranks), places, np.nan), looks.marker, markersize=8, zorder=3, **hollow)
    for end, place, side, away in ((0, places[0], "right", -9), (len(places) - 1, places[-1], "left", 9)):
        label: dict[str, Any] = {"xytext": (away, 0), "textcoords": "offset points", "ha": side, "va": "center"}
        axes.annotate(name, (end, place), style="italic" if control else "normal", **label)


def _rank_axes(axes: Axes, n_methods: int, lowest: float) -> None:
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


def _cell(axes: Axes, column: int, row: int, tau: float, sure: bool) -> None:
    """A coloured cell with a number; striped, the number in brackets, where the sign is not sure."""
    colour = colormaps[RANK_COLOURS](_TAU(tau)) if sure else "white"
    stripes: dict[str, Any] = {} if sure else {"hatch": "////", "edgecolor": "#dddddd", "linewidth": 0}
    axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, **stripes))
    ink = "white" if sure and tau < 0.1 else "black"
    behind = None if sure else {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    text = number(tau) if sure or np.isnan(tau) else f"({number(tau)})"
    axes.text(column, row, text, ha="center", va="center", color=ink, bbox=behind)
