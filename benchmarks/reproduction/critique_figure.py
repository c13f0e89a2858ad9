"""The figure of Binder et al.'s questions: ranks of all maps, and scores of blurred noise."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.reproduction.critique_ranks import CONTROLS
from quantus_senc.plot.style import QUIET, look, style

CURVES = ("MPRT", "MPRT by SSIM", "SenC", "SenC (regression)")


def figure(values: dict[str, Any]) -> Figure:
    """Ranks of methods and controls by each metric, beside the scores of blurred noise by the width of its blur.

    Parameters
    ----------
    values
        What `critique.run` returns, also read from JSON.
    """
    with style():
        drawn, (left, right) = plt.subplots(1, 2, figsize=(9, 4.5), width_ratios=(1.6, 1), layout="constrained")
        _ranks(left, values["maps"]["mnist"]["scores"])
        _noise(right, values["blurred noise"]["width in pixels"])
    return drawn


def _ranks(axes: Axes, scores: dict[str, dict[str, dict[str, Any]]]) -> None:
    """A row for each metric; methods in colour, controls as grey circles. Maps that tie stand on one another."""
    metrics = list(scores)
    maps = list(next(iter(scores.values())))
    methods, controls = ([name for name in maps if (name in CONTROLS) == is_control] for is_control in (False, True))
    rows = range(len(metrics))
    for control in controls:
        axes.plot(_row(scores, control), rows, "o", markerfacecolor="white", color=QUIET, markersize=7)
    for index, method in enumerate(methods):
        colour, marker, _ = look(index)
        axes.plot(_row(scores, method), rows, marker, color=colour, label=method, markersize=8, linestyle="none")
    axes.plot([], [], "o", markerfacecolor="white", color=QUIET, markersize=7, label="control")
    axes.set_yticks(rows, metrics)
    axes.set_ylim(len(metrics) - 0.5, -0.5)
    axes.set_xlabel("rank (1 is best)")
    axes.grid(axis="y", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.legend(ncols=7, loc="lower center", bbox_to_anchor=(0.35, 1), frameon=False, columnspacing=0.8, handletextpad=0.1)


def _row(scores: dict[str, dict[str, dict[str, Any]]], method: str) -> list[float]:
    return [np.nan if by_method[method]["rank"] is None else by_method[method]["rank"] for by_method in scores.values()]


def _noise(axes: Axes, curves: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Means with the deviation of single images. Where MPRT should deviate to is dotted."""
    widths = np.array([float(width) for width in curves["MPRT"]])
    for index, name in enumerate(CURVES):
        mean, variance = (np.array([cell[key] for cell in curves[name].values()], float) for key in ("mean", "variance"))
        colour, marker, _ = look(index)
        axes.errorbar(widths + 0.08 * index, mean, variance**0.5, color=colour, marker=marker, label=name, linewidth=1.2)
    expected = np.array([cell["mean"] for cell in curves["expected deviation"].values()], float)
    for sign in (-1, 1):
        axes.plot(widths, sign * expected, ":", color="black", label="MPRT's deviation, expected" if sign > 0 else None)
    axes.axhline(0, color=QUIET, linewidth=0.6)
    axes.set_xlabel("blur of the noise, in pixels")
    axes.set_ylabel("score; bars: deviation of single images")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.14))
