"""Figures of sensitivities: of the features of an image or of a row of a table, and of the units of a layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries
from torch import Tensor

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.core.ranks import centred_ranks
from quantus_senc.core.record import Sensitivity
from quantus_senc.core.wording import number
from quantus_senc.plot.columns import column_panels, draw_columns
from quantus_senc.plot.style import RANK_COLOURS, displayable, float_array, image_axes, panels, rank_bar, style, wrapped

_BOUNDARY_COLOUR = ListedColormap(["#D55E00"])  # visible on black and on white
_PANELS_PER_ROW = 6


def data_sensitivity(image: ArrayLike | Tensor, sensitivities: Mapping[str, Sensitivity]) -> Figure:
    """An image or a row of a table, its features, and the sensitivity of the prediction and of each explanation to them.

    The lighter a feature, the more sensitive. Colours show ranks, because the score is a rank correlation. The columns of a
    table are lines, and those to which the prediction is most sensitive are on top. Of more than 40 only the first 30 have
    names.

    Parameters
    ----------
    image
        (C, H, W). Three channels are shown in colour; otherwise the mean of the channels is shown in grey. Or a row of a table,
        (F,), such as `frame.iloc[0]`: the index of a `pandas.Series` has the names of the columns.
    sensitivities
        By the name of the method: a record of this image. All records have the same features.

    Returns
    -------
    Figure
        With at most six panels per row, or eight for the row of a table. The caller closes it.

    Raises
    ------
    ValueError
        If there is no record, or the image or the row does not have the size of the records.

    References
    ----------
    Tan, WACV 2025, Figure 2.
    """
    if not sensitivities:
        raise ValueError(f"sensitivities={sensitivities!r} holds no record; pass one of this image for each method")
    first = next(iter(sensitivities.values()))
    row, image, labels = image, float_array(image), _labels(first)
    if image.ndim == labels.ndim == 1 and image.shape == labels.shape:
        return _of_row(row, sensitivities)
    if image.ndim != 3 or image.shape[1:] != labels.shape:
        raise ValueError(
            f"image of shape {image.shape} does not fit features of shape {labels.shape}; pass the image (C, H, W), or "
            "the row of a table (F,), that the records are of"
        )
    picture = displayable(image)
    with style():
        figure, axes = panels(3 + len(sensitivities), _PANELS_PER_ROW, (1.9, 2.4))
        free_axes = iter(axes.flat)
        image_axes(next(free_axes), "image", picture)
        _draw_boundaries(image_axes(next(free_axes), f"{len(first.prediction)} features", picture), labels)
        _draw_features(image_axes(next(free_axes), "prediction", picture), first.prediction, labels)
        for name, record in sensitivities.items():
            panel = image_axes(next(free_axes), _title(name, record), picture)
            _draw_features(panel, record.explanation, _labels(record))
        rank_bar(figure, axes, "least", "most\nsensitive")
    return figure


def parameter_sensitivity(sensitivities: Mapping[str, Sensitivity], n_columns: int = 4) -> Figure:
    """The units of a layer as squares, with the sensitivity of the prediction and of each explanation to them.

    The lighter a unit, the more sensitive. Colours show ranks, because the score is a rank correlation.

    Parameters
    ----------
    sensitivities
        By the name of the method: a record of one layer and image.
    n_columns
        The largest number of panels per row.

    Returns
    -------
    Figure
        The caller closes it.

    Raises
    ------
    ValueError
        If there is no record, or the records have different numbers of units.

    References
    ----------
    Tan, WACV 2025, Figure 3.
    """
    counts = {len(record.prediction) for record in sensitivities.values()}
    if len(counts) != 1:
        raise ValueError(f"sensitivities are of {sorted(counts)} units; pass records of one layer, one for each method")
    by_title = {"prediction": next(iter(sensitivities.values())).prediction}
    by_title |= {_title(name, record): record.explanation for name, record in sensitivities.items()}
    with style():
        figure, axes = panels(len(by_title), n_columns, (1.9, 2.2))
        for panel, (title, sensitivity) in zip(axes.flat, by_title.items(), strict=False):
            panel.set_title(title)
            _draw_units(panel, sensitivity)
        rank_bar(figure, axes, "least", "most\nsensitive")
    return figure


def _of_row(row: ArrayLike | Tensor, sensitivities: Mapping[str, Sensitivity]) -> Figure:
    first = next(iter(sensitivities.values()))
    shown = [("prediction", first.prediction, _labels(first))]
    shown += [(_title(name, record), record.explanation, _labels(record)) for name, record in sensitivities.items()]
    order = np.argsort(-centred_ranks(first.prediction).numpy()[_labels(first)], kind="stable")
    with style():
        figure, axes = column_panels(row, order, len(shown))
        for panel, (title, sensitivity, labels) in zip(axes.flat, shown, strict=False):
            panel.set_title(title)
            draw_columns(panel, centred_ranks(sensitivity).numpy()[labels[order]], -len(sensitivity), len(sensitivity))
        rank_bar(figure, axes, "least", "most\nsensitive")
    return figure


def _title(name: str, record: Sensitivity) -> str:
    return f"{wrapped(name)}\nSenC {number(record.score)}"


def _labels(record: Sensitivity) -> np.ndarray:
    if record.labels is None:
        raise ValueError(
            f"a record of {len(record.prediction)} units is not of an image; draw it with plot.parameter_sensitivity"
        )
    return record.labels.numpy()


def _draw_boundaries(axes: Axes, labels: np.ndarray) -> None:
    boundaries = find_boundaries(labels, mode="subpixel")
    extent = (-0.5, labels.shape[1] - 0.5, labels.shape[0] - 0.5, -0.5)
    axes.imshow(np.ma.masked_where(~boundaries, boundaries), cmap=_BOUNDARY_COLOUR, extent=extent)


def _draw_features(axes: Axes, sensitivity: Tensor, labels: np.ndarray) -> None:
    ranks = centred_ranks(sensitivity).numpy()
    axes.imshow(ranks[labels], cmap=RANK_COLOURS, vmin=-len(ranks), vmax=len(ranks))


def _draw_units(axes: Axes, sensitivity: Tensor) -> None:
    """Ranks of the units, row by row, in a grid that is about square."""
    ranks = centred_ranks(sensitivity).numpy()
    n_columns = int(np.ceil(np.sqrt(len(ranks))))
    grid = np.ma.masked_all((-(-len(ranks) // n_columns), n_columns))
    grid.flat[: len(ranks)] = ranks
    lines: dict[str, Any] = {"edgecolors": "white", "linewidth": 1.5}
    axes.pcolormesh(grid, cmap=RANK_COLOURS, vmin=-len(ranks), vmax=len(ranks), **lines)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_axis_off()
