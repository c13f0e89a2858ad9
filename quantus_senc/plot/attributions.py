"""The figure of an image and its attribution maps."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.plot.style import RANK_COLOURS, displayable, float_array, image_axes, panels, rank_bar, style, wrapped

_PANELS_PER_ROW = 6


def attributions(image: ArrayLike | Tensor, maps: Mapping[str, ArrayLike | Tensor]) -> Figure:
    """An image and the attribution map of each method. Every map has its own scale, whose range stands below it.

    Parameters
    ----------
    image
        (C, H, W). Three channels are shown in colour; otherwise the mean of the channels is shown in grey.
    maps
        By the name of the method: attributions (H, W), or (C, H, W), which are summed over channels. The scale of a map
        with negative values is symmetric around 0. NaN is white.

    Returns
    -------
    Figure
        With at most six panels per row. The caller closes it.

    Raises
    ------
    ValueError
        If there is no map, or a map does not have the size of the image.
    """
    if not maps:
        raise ValueError(f"maps={maps!r} holds no attribution map; pass one of this image for each method")
    image = float_array(image)
    summed = {name: _summed(name, float_array(values), image) for name, values in maps.items()}
    with style():
        figure, axes = panels(1 + len(summed), _PANELS_PER_ROW, (1.9, 2.4))
        image_axes(axes.flat[0], "image", displayable(image))
        for panel, (name, values) in zip(axes.flat[1:], summed.items(), strict=False):
            _draw_map(panel, name, values)
        rank_bar(figure, axes, "lowest", "highest\nattribution")
    return figure


def _summed(name: str, values: np.ndarray, image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or values.shape[-2:] != image.shape[1:] or values.ndim not in (2, 3):
        raise ValueError(
            f"map {name!r} of shape {values.shape} does not fit an image of shape {image.shape}; pass the image (C, H, W) "
            "and maps (H, W)"
        )
    return values.sum(0) if values.ndim == 3 else values


def _draw_map(axes: Axes, name: str, values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]
    largest = np.abs(finite).max(initial=0)
    lowest = -largest if (finite < 0).any() else 0.0
    axes.set_title(wrapped(name))
    axes.imshow(np.ma.masked_invalid(values), cmap=RANK_COLOURS, vmin=lowest, vmax=largest or 1.0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"{lowest:.2g} … {largest:.2g}".replace("-", "−"), fontsize=8)
