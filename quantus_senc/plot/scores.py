"""Figures of scores: means and distributions by metric and method, and means by layer."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.plot.style import ARROWS, QUIET, figure_of, look, one_axes, one_line, panels, style, wrapped
from quantus_senc.plot.tables import ComparisonTables, scored_summary

_PANELS_PER_ROW = 4
_FEW_IMAGES = 30  # a box shows single images as points up to this number


def mean_scores(comparison: ComparisonTables) -> Figure:
    """Bars of the mean scores: one panel per metric, one bar per method, with standard errors over images.

    An arrow in each title points to the better end. A method without a mean has the word "failed" or "no score".

    Parameters
    ----------
    comparison
        A `quantus_senc.Comparison`.

    Returns
    -------
    Figure
        With at most four panels per row. The caller closes it.

    Raises
    ------
    ValueError
        If there are no scores.

    References
    ----------
    Tan, WACV 2025, Figure 4.
    """
    summary = scored_summary(comparison)

    def draw(axes: Axes, position: int, cell: Any) -> None:
        bar: dict[str, Any] = {"color": look(position).colour, "hatch": look(position).hatch, "edgecolor": "white"}
        error = cell.error if np.isfinite(cell.error) else None
        axes.barh(position, cell.mean, 0.75, xerr=error, ecolor="black", capsize=2, **bar)

    return _score_panels(summary, comparison.metrics, draw)


def score_distributions(comparison: ComparisonTables) -> Figure:
    """Box plots of the scores of single images: one panel per metric, one box per method.

    A box spans the quartiles, its line is the median, and the whiskers are at most 1.5 times as long as the box. Up to 30
    images are also shown as points.

    Parameters
    ----------
    comparison
        A `quantus_senc.Comparison`.

    Returns
    -------
    Figure
        With at most four panels per row. The caller closes it.

    Raises
    ------
    ValueError
        If there are no scores.

    References
    ----------
    Tan, WACV 2025, Figure 5.
    """
    summary = scored_summary(comparison)
    finite = comparison.scores[np.isfinite(comparison.scores["score"])]
    scores = {names: values.to_numpy() for names, values in finite.groupby(["metric", "method"])["score"]}

    def draw(axes: Axes, position: int, cell: Any) -> None:
        values = scores[cell.metric, cell.method]
        _box(axes, position, values, with_points=len(values) <= _FEW_IMAGES)

    return _score_panels(summary, comparison.metrics, draw)


def layer_scores(scores: Mapping[str, Mapping[str, ArrayLike]], ax: Axes | None = None) -> Figure:
    """Bars of the mean score of each layer for each explanation method, with standard errors over images.

    Parameters
    ----------
    scores
        By the name of the method: scores by layer, as `ParameterSensitivityConsistency(return_layer_scores=True)` returns
        them. Images without a score are left out.
    ax
        Axes to draw in; by default those of a new figure.

    Returns
    -------
    Figure
        The figure of the axes. The caller closes it. A mean of one image has no error bar.

    Raises
    ------
    ValueError
        If there are no scores, or the methods have different layers.

    References
    ----------
    Tan, WACV 2025, Figure 4.
    """
    layers = {tuple(by_layer) for by_layer in scores.values()}
    if len(layers) != 1:
        raise ValueError(f"scores are of layers {sorted(layers)}; pass the same layers for every method, at least one method")
    names, width = next(iter(layers)), 0.8 / len(scores)
    with one_axes(ax, (2 + 0.35 * len(names) * len(scores), 3.2)) as axes:
        keys = []
        for index, by_layer in enumerate(scores.values()):
            table, (colour, _, hatch) = pd.DataFrame({name: by_layer[name] for name in names}), look(index)
            places = np.arange(len(names)) + (index - (len(scores) - 1) / 2) * width
            bars: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white"}
            keys.append(axes.bar(places, table.mean(), width, yerr=table.sem(), ecolor="black", capsize=2, **bars))
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(np.arange(len(names)), names)
        axes.set_xlabel("layer")
        axes.set_ylabel("SenC, mean ± standard error")
        axes.legend(keys, [one_line(method) for method in scores], fontsize=8)  # labels of bars may not begin with _
    return figure_of(axes)


def _score_panels(summary: pd.DataFrame, metrics: pd.DataFrame, draw: Callable[[Axes, int, Any], None]) -> Figure:
    """One panel per metric. `draw` is called with axes, position and row of the summary for each method with a mean."""
    directions = metrics.set_index("metric")["direction"]
    methods = list(summary["method"].unique())
    with style():
        size = (2.4, 0.9 + 0.27 * len(methods))
        figure, axes = panels(summary["metric"].nunique(), _PANELS_PER_ROW, size, sharey=True)
        for panel, (metric, cells) in zip(axes.flat, summary.groupby("metric", sort=False), strict=False):
            panel.set_title(f"{wrapped(str(metric), 24)} {ARROWS[directions[metric]]}", fontweight="bold")
            _score_axis(panel)
            for position, cell in enumerate(cells.itertuples(index=False)):
                if cell.n_images:
                    draw(panel, position, cell)
                else:
                    _absent(panel, position, "failed" if cell.failure else "no score")
        for panel in axes.flat:  # of all, because Matplotlib makes those that are missing outside this style
            panel.set_yticks(range(len(methods)), [wrapped(name) for name in methods])
        axes.flat[0].set_ylim(len(methods) - 0.4, -0.6)
        figure.supxlabel("↑ higher is better    ↓ lower is better", fontsize=8)
    return figure


def _score_axis(axes: Axes) -> None:
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=4)
    axes.ticklabel_format(axis="x", scilimits=(-3, 4))
    axes.tick_params(axis="y", length=0)


def _absent(axes: Axes, position: int, reason: str) -> None:
    text: dict[str, Any] = {"va": "center", "fontsize": 8, "style": "italic", "color": QUIET}
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.annotate(reason, (0.05, position), xycoords=axes.get_yaxis_transform(), bbox=background, **text)


def _box(axes: Axes, position: int, scores: np.ndarray, *, with_points: bool) -> None:
    axes.boxplot(
        scores,
        orientation="horizontal",
        positions=[position],
        widths=0.65,
        manage_ticks=False,
        showfliers=not with_points,
        patch_artist=True,
        boxprops={"facecolor": (look(position).colour, 0.35), "edgecolor": "black", "linewidth": 0.8},
        medianprops={"color": "black", "linewidth": 1.6},
        whiskerprops={"linewidth": 0.8},
        flierprops={"marker": ".", "markersize": 3},
    )
    if with_points:
        offsets = 0.2 * np.resize([-1, 0.5, -0.25, 1, -0.75, 0.25, 0.75, -0.5, 0], len(scores))
        axes.plot(scores, position + offsets, ".", color="black", markersize=3, alpha=0.6)
