"""The columns of one row of a table as lines of a picture, with their names where these fit."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quantus_senc.plot.style import RANK_COLOURS, float_array, one_line, panels

_MOST_NAMED = 40
_NAMED_OF_MORE = 30
_LINE = 0.17  # inches
_PANELS_PER_ROW = 8
_NAMES = 2.4  # inches


def column_panels(row: Any, order: np.ndarray, n_panels: int) -> tuple[Figure, np.ndarray]:
    """A figure with panels for `draw_columns`, of which the first in each row has names and values of the table's columns.

    If there are more than 40 columns, the first 30 have names, and all others share the height of ten.

    Parameters
    ----------
    row
        (F,). Names are the index of a series of pandas.
    order
        The place of each column in the row, from top to bottom.
    n_panels
        How many panels there are.
    """
    names = row.index if isinstance(row, pd.Series) else [f"column {place}" for place in range(len(order))]
    values = float_array(row)
    edges = _edges(len(order))
    n_named = len(order) if len(order) <= _MOST_NAMED else _NAMED_OF_MORE
    ticks = {(edges[at] + edges[at + 1]) / 2: _label(names[order[at]], values[order[at]]) for at in range(n_named)}
    if n_named < len(order):
        ticks[(edges[n_named] + edges[-1]) / 2] = f"{len(order) - n_named} more columns"
    figure, axes = panels(n_panels, _PANELS_PER_ROW, (1.5, _LINE * edges[-1] + 0.8), sharey=True)
    figure.set_figwidth(figure.get_figwidth() + _NAMES)
    axes[0, 0].set_yticks([*ticks], [*ticks.values()])
    axes[0, 0].set_ylim(edges[-1], 0)
    return figure, axes


def draw_columns(axes: Axes, values: np.ndarray, lowest: float, highest: float) -> None:
    """A line for each value, from top to bottom, in colours from `lowest` to `highest`. NaN is white."""
    lines: dict[str, Any] = {"edgecolors": "white", "linewidth": 0.5} if len(values) <= _MOST_NAMED else {}
    edges = _edges(len(values))
    axes.pcolormesh([0, 1], edges, np.ma.masked_invalid(values[:, None]), cmap=RANK_COLOURS, vmin=lowest, vmax=highest, **lines)
    if len(values) > _MOST_NAMED:
        axes.axhline(edges[_NAMED_OF_MORE], color="white", linewidth=2)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)


def _edges(n_columns: int) -> np.ndarray:
    """Where lines begin and end, in heights of a line that has a name."""
    if n_columns <= _MOST_NAMED:
        return np.arange(n_columns + 1.0)
    return np.append(np.arange(_NAMED_OF_MORE), np.linspace(_NAMED_OF_MORE, _MOST_NAMED, n_columns - _NAMED_OF_MORE + 1))


def _label(name: object, value: float) -> str:
    return f"{one_line(str(name), 28)} = {value:.3g}".replace("= -", "= −")
