"""Pictures of layers: the sensitivities of their units, and their scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from quantus_senc._consistency import Sensitivity
from quantus_senc._plot_style import RANK_COLOURS, look, one_line, panels, rank_bar, style, wrapped
from quantus_senc._similarity import centred_ranks
from quantus_senc._wording import number


def parameter_sensitivity(sensitivities: Mapping[str, Sensitivity], n_columns: int = 4) -> Figure:
    """The units of a layer as squares: which of them the prediction and each explanation are sensitive to.

    The lighter a unit, the more sensitive; colours go by rank, as the score does.

    Parameters
    ----------
    sensitivities
        A record of one layer and image for each explanation method, by the method's name.
    n_columns
        How many panels a row has at the most.

    Returns
    -------
    Figure
        The caller closes it.

    Raises
    ------
    ValueError
        If there is no record, or the records are of layers with different numbers of units.

    References
    ----------
    Tan, WACV 2025, Figure 3.
    """
    counts = {len(record.prediction) for record in sensitivities.values()}
    if len(counts) != 1:
        raise ValueError(f"sensitivities are of {sorted(counts)} units; pass records of one layer, one for each method")
    shown = {"prediction": next(iter(sensitivities.values())).prediction}
    shown |= {f"{wrapped(name)}\nSenC {number(record.score)}": record.explanation for name, record in sensitivities.items()}
    return _unit_panels(shown, n_columns)


def layer_scores(scores: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Bars of the mean score of each layer for each explanation method, with the standard error over images.

    Parameters
    ----------
    scores
        Scores by layer, as `ParameterSensitivityConsistency(return_layer_scores=True)` returns them, by the method's name.
        Images without a score are left out.

    Returns
    -------
    Figure
        The caller closes it.

    Raises
    ------
    ValueError
        If there are no scores, or the methods' layers differ.

    References
    ----------
    Tan, WACV 2025, Figure 4.
    """
    layers = {tuple(by_layer) for by_layer in scores.values()}
    if len(layers) != 1:
        raise ValueError(f"scores are of layers {sorted(layers)}; pass the same layers for every method, at least one method")
    names, width = next(iter(layers)), 0.8 / len(scores)
    with style():
        figure, axes = plt.subplots(figsize=(2 + 0.35 * len(names) * len(scores), 3.2), layout="constrained")
        for index, (method, by_layer) in enumerate(scores.items()):
            values, (colour, _, hatch) = np.array([by_layer[name] for name in names], dtype=float), look(index)
            errors = np.nanstd(values, 1) / np.sqrt(np.maximum((~np.isnan(values)).sum(1), 1))
            places = np.arange(len(names)) + (index - (len(scores) - 1) / 2) * width
            bars: dict[str, Any] = {
                "color": colour,
                "hatch": hatch,
                "edgecolor": "white",
                "label": one_line(method),
                "capsize": 2,
            }
            axes.bar(places, np.nanmean(values, 1), width, yerr=errors, ecolor="black", **bars)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xticks(np.arange(len(names)), names)
        axes.set_ylabel("SenC, mean ± standard error")
        axes.legend(fontsize=8)
    return figure


def _unit_panels(shown: Mapping[str, Tensor], n_columns: int) -> Figure:
    with style():
        figure, axes = panels(len(shown), n_columns, (1.9, 2.2))
        for panel, (title, sensitivity) in zip(axes.flat, shown.items(), strict=False):
            panel.set_title(title)
            limits = {"vmin": -len(sensitivity), "vmax": len(sensitivity)}
            panel.pcolormesh(_squares(sensitivity), cmap=RANK_COLOURS, edgecolors="white", linewidth=1.5, **limits)
            panel.invert_yaxis()
            panel.set_aspect("equal")
            panel.set_axis_off()
        rank_bar(figure, axes, "least", "most\nsensitive")
    return figure


def _squares(sensitivity: Tensor) -> np.ma.MaskedArray:
    """Ranks of the units, row by row in a grid that is about square."""
    ranks = centred_ranks(sensitivity).numpy()
    n_columns = int(np.ceil(np.sqrt(len(ranks))))
    grid = np.ma.masked_all((-(-len(ranks) // n_columns), n_columns))
    grid.flat[: len(ranks)] = ranks
    return grid
