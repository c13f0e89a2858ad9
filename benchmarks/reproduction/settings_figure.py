"""The figure of experiment 5."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantus_senc.plot.style import look, style

_COLUMNS = ("mask rate", "number of masks", "superpixels", "compactness", "baseline")
_TITLES = {"paper": "paper's sums", "regression": "regression"}


def figure(values: Mapping[str, Any]) -> Figure:
    """Curves of the mean score by both estimators, and of the ranking's Kendall tau, over each setting.

    Parameters
    ----------
    values
        What `settings.run` returns.
    """
    with style(), plt.rc_context({"font.size": 7, "axes.titlesize": 8, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5}):
        drawn, axes = plt.subplots(3, len(_COLUMNS), figsize=(9, 4.6), sharex="col", sharey="row", layout="constrained")
        for column, varied in enumerate(_COLUMNS):
            for row, estimator in enumerate(_TITLES):
                _draw_scores(axes[row, column], values[varied][estimator])
            _draw_taus(axes[2, column], values[varied])
            axes[0, column].set_title(varied)
        for row, title in enumerate([*(f"SenC, {title}" for title in _TITLES.values()), "Kendall's tau"]):
            axes[row, 0].set_ylabel(title)
        handles, names = axes[0, 0].get_legend_handles_labels()
        of_taus, estimators = axes[2, 0].get_legend_handles_labels()
        names += [f"tau, {estimator}" for estimator in estimators]
        drawn.legend(handles + of_taus, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=7)
    return drawn


def _draw_scores(axes: Axes, points: Mapping[str, Any]) -> None:
    """A line for each method, with its standard error over images."""
    places = np.arange(len(points))
    for index, method in enumerate(next(iter(points.values()))["scores"]):
        cells = [point["scores"][method] for point in points.values()]
        means, errors = (np.asarray([cell[key] for cell in cells], dtype=float) for key in ("mean", "error"))
        colour, marker, _ = look(index)
        axes.errorbar(places, means, errors, color=colour, marker=marker, markersize=3, linewidth=1, label=method)
    _settings_axis(axes, points)


def _draw_taus(axes: Axes, by_estimator: Mapping[str, Any]) -> None:
    """A line for each estimator, with the interval of resampled images."""
    for (estimator, points), dash in zip(by_estimator.items(), ("-", "--"), strict=True):
        taus = np.asarray([[point["tau"][key] for key in ("tau", "low", "high")] for point in points.values()], dtype=float)
        places = np.arange(len(points))
        axes.plot(places, taus[:, 0], dash, color="black", marker="o", markersize=3, linewidth=1, label=_TITLES[estimator])
        axes.fill_between(places, taus[:, 1], taus[:, 2], color="black", alpha=0.12, linewidth=0)
        _settings_axis(axes, points)


def _settings_axis(axes: Axes, points: Mapping[str, Any]) -> None:
    axes.set_xticks(np.arange(len(points)), list(points))
    axes.axhline(0, color="black", linewidth=0.6)
