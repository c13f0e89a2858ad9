"""The figure of an image, or of a row of a table, and its attribution maps."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.plot.columns import column_panels, draw_columns
from quantus_senc.plot.style import RANK_COLOURS, displayable, float_array, image_axes, panels, rank_bar, style, wrapped

_PANELS_PER_ROW = 6


def attributions(image: ArrayLike | Tensor, maps: Mapping[str, ArrayLike | Tensor]) -> Figure:
    """An image or a row of a table, and the attribution map of each method.

    Every map has its own scale, whose range stands below it. The columns of a table are lines, and those with the largest
    attributions (without their signs, as shares of the largest of the map, in the median of the methods) are on top. Of more
    than 40 only the first 30 have names.

    Parameters
    ----------
    image
        (C, H, W). Three channels are shown in colour; otherwise the mean of the channels is shown in grey. Or a row of a table,
        (F,), such as `frame.iloc[0]`: the index of a `pandas.Series` has the names of the columns.
    maps
        By the name of the method: attributions (H, W), or (C, H, W), which are summed over channels; or (F,). The scale of a
        map with negative values is symmetric around 0. NaN is white.

    Returns
    -------
    Figure
        With at most six panels per row, or eight for the row of a table. The caller closes it.

    Raises
    ------
    ValueError
        If there is no map, or a map does not have the size of the image.
    """
    if not maps:
        raise ValueError(f"maps={maps!r} holds no attribution map; pass one of this image for each method")
    row, image = image, float_array(image)
    summed = {name: _summed(name, float_array(values), image) for name, values in maps.items()}
    if image.ndim == 1:
        return _of_row(row, summed)
    with style():
        figure, axes = panels(1 + len(summed), _PANELS_PER_ROW, (1.9, 2.4))
        image_axes(axes.flat[0], "image", displayable(image))
        for panel, (name, values) in zip(axes.flat[1:], summed.items(), strict=False):
            _draw_map(panel, name, values)
        rank_bar(figure, axes, "lowest", "highest\nattribution")
    return figure


def _summed(name: str, values: np.ndarray, image: np.ndarray) -> np.ndarray:
    if image.ndim == 1 and image.size == values.size == values.shape[-1]:
        return values.reshape(image.shape)
    if image.ndim != 3 or values.shape[-2:] != image.shape[1:] or values.ndim not in (2, 3):
        raise ValueError(
            f"map {name!r} of shape {values.shape} does not fit an image of shape {image.shape}; pass the image (C, H, W) "
            "and maps (H, W), or the row of a table (F,) and maps (F,)"
        )
    return values.sum(0) if values.ndim == 3 else values


def _of_row(row: ArrayLike | Tensor, maps: Mapping[str, np.ndarray]) -> Figure:
    shares = [np.nan_to_num(np.abs(values) / (_scale(values)[1] or 1.0), posinf=0) for values in maps.values()]
    order = np.argsort(-np.median(shares, 0), kind="stable")
    with style():
        figure, axes = column_panels(row, order, len(maps))
        for panel, (name, values) in zip(axes.flat, maps.items(), strict=False):
            lowest, largest = _scale(values)
            draw_columns(panel, values[order], lowest, largest or 1.0)
            _describe(panel, name, lowest, largest)
        rank_bar(figure, axes, "lowest", "highest\nattribution")
    return figure


def _draw_map(axes: Axes, name: str, values: np.ndarray) -> None:
    lowest, largest = _scale(values)
    axes.imshow(np.ma.masked_invalid(values), cmap=RANK_COLOURS, vmin=lowest, vmax=largest or 1.0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    _describe(axes, name, lowest, largest)


def _scale(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the largest value of a scale that is symmetric around 0 if there are negative values."""
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0))
    return -largest if (finite < 0).any() else 0.0, largest


def _describe(axes: Axes, name: str, lowest: float, largest: float) -> None:
    axes.set_title(wrapped(name))
    axes.set_xlabel(f"{lowest:.2g} … {largest:.2g}".replace("-", "−"), fontsize=8)
