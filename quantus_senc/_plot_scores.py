"""Pictures of scores: a panel a metric, a row a method."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantus_senc._comparison import Comparison
from quantus_senc._plot_style import ARROWS, QUIET, look, panels, style, wrapped
from quantus_senc._summary import ScoreArrays

_A_ROW = 4
_FEW_IMAGES = 30  # up to so many points can be told apart


def mean_scores(comparison: Comparison) -> Figure:
    """Bars of the mean scores by method, a panel a metric, with standard errors over images.

    An arrow in the title points to the better end. Where a method has no mean, the bar says whether it failed.

    Returns
    -------
    Figure
        At most four panels a row; the caller closes it.

    Raises
    ------
    ValueError
        If there are no scores.

    References
    ----------
    Tan, WACV 2025, Figure 4.
    """
    arrays = scores_of(comparison)
    means, errors = arrays.means(), arrays.errors()

    def draw(axes: Axes, metric: int) -> None:
        for row, (mean, error) in enumerate(zip(means[metric], errors[metric], strict=True)):
            if np.isfinite(mean):
                bar: dict[str, Any] = {
                    "color": look(row).colour,
                    "hatch": look(row).hatch,
                    "edgecolor": "white",
                    "ecolor": "black",
                }
                axes.barh(row, mean, 0.75, xerr=error if np.isfinite(error) else None, capsize=2, **bar)

    return _score_panels(comparison, arrays, draw)


def score_distributions(comparison: Comparison) -> Figure:
    """Boxes of the images' scores by method, a panel a metric; each image as a point where they are few.

    Boxes span the quartiles, the line in them is the median, whiskers reach 1.5 times as far as the box at the most.

    Returns
    -------
    Figure
        At most four panels a row; the caller closes it.

    Raises
    ------
    ValueError
        If there are no scores.

    References
    ----------
    Tan, WACV 2025, Figure 5.
    """
    arrays = scores_of(comparison)

    def draw(axes: Axes, metric: int) -> None:
        for row, scores in enumerate(arrays.scores[metric]):
            present = scores[np.isfinite(scores)]
            if len(present):
                _box(axes, row, present, len(present) <= _FEW_IMAGES)

    return _score_panels(comparison, arrays, draw)


def scores_of(comparison: Comparison) -> ScoreArrays:
    """The scores as arrays, at least one.

    Raises
    ------
    ValueError
        If there is none.
    """
    arrays = ScoreArrays.of(comparison.scores, comparison.metrics)
    if not np.isfinite(arrays.scores).any():
        raise ValueError(f"comparison of {len(comparison.scores)} rows holds no score; its `failure` column may say why")
    return arrays


def _score_panels(comparison: Comparison, arrays: ScoreArrays, draw: Callable[[Axes, int], None]) -> Figure:
    """A panel a metric, of which `draw` fills the rows."""
    summary = comparison.summary().set_index(["metric", "method"])
    directions = comparison.metrics.set_index("metric")["direction"]
    n_methods = len(arrays.methods)
    with style():
        figure, axes = panels(len(arrays.metrics), _A_ROW, (2.4, 0.9 + 0.27 * n_methods), sharey=True)
        for index, (panel, name) in enumerate(zip(axes.flat, arrays.metrics, strict=False)):
            panel.set_title(f"{wrapped(name, 24)} {ARROWS[directions[name]]}", fontweight="bold")
            panel.axvline(0, color="black", linewidth=0.8)
            panel.grid(axis="x", color="#dddddd", linewidth=0.6)
            panel.set_axisbelow(True)
            panel.locator_params(axis="x", nbins=4)
            panel.ticklabel_format(axis="x", scilimits=(-3, 4))
            draw(panel, index)
            for row, failure in enumerate(summary.loc[name].loc[arrays.methods, "failure"]):
                if not np.isfinite(arrays.scores[index, row]).any():
                    _absent(panel, row, "failed" if failure else "no score")
            panel.tick_params(axis="y", length=0)
        axes.flat[0].set_yticks(range(n_methods), [wrapped(name) for name in arrays.methods])
        axes.flat[0].set_ylim(n_methods - 0.4, -0.6)
        figure.supxlabel("↑ higher is better    ↓ lower is better", fontsize=8)
    return figure


def _absent(axes: Axes, row: int, why: str) -> None:
    place: dict[str, Any] = {
        "xycoords": axes.get_yaxis_transform(),
        "va": "center",
        "fontsize": 8,
        "style": "italic",
        "color": QUIET,
    }
    axes.annotate(why, (0.05, row), bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, **place)


def _box(axes: Axes, row: int, scores: np.ndarray, with_points: bool) -> None:
    colour = look(row).colour
    axes.boxplot(
        scores,
        orientation="horizontal",
        positions=[row],
        widths=0.65,
        manage_ticks=False,
        showfliers=not with_points,
        patch_artist=True,
        boxprops={"facecolor": (colour, 0.35), "edgecolor": "black", "linewidth": 0.8},
        medianprops={"color": "black", "linewidth": 1.6},
        whiskerprops={"linewidth": 0.8},
        flierprops={"marker": ".", "markersize": 3},
    )
    if with_points:
        spread = 0.2 * np.resize([-1, 0.5, -0.25, 1, -0.75, 0.25, 0.75, -0.5, 0], len(scores))
        axes.plot(scores, row + spread, ".", color="black", markersize=3, alpha=0.6)
