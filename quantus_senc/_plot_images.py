"""Pictures of one image: its attribution maps and its sensitivities."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from skimage.segmentation import find_boundaries
from torch import Tensor

from quantus_senc._consistency import Sensitivity
from quantus_senc._host import host_array
from quantus_senc._plot_style import RANK_COLOURS, displayable, panels, picture, rank_bar, style, wrapped
from quantus_senc._similarity import centred_ranks
from quantus_senc._wording import number

_EDGES = ListedColormap(["#D55E00"])  # seen on black and on white
_A_ROW = 6


def attributions(image: ArrayLike | Tensor, maps: Mapping[str, ArrayLike | Tensor]) -> Figure:
    """An image and the attribution map of each method, every map on a scale of its own, which stands below it.

    Parameters
    ----------
    image
        (C, H, W); with three channels it is shown in colour, otherwise the mean of the channels in grey.
    maps
        Attributions (H, W), or (C, H, W), of which the sum over channels is shown, by the method's name. Those with negative
        values are on a scale around 0; NaN stays white.

    Returns
    -------
    Figure
        At most six panels a row; the caller closes it.

    Raises
    ------
    ValueError
        If there is no map, or a map is not of the image's size.
    """
    if not maps:
        raise ValueError(f"maps={maps!r} holds no attribution map; pass one of this image for each method")
    image = host_array(image).astype(float)
    shown = {name: _flat(name, host_array(values).astype(float), image) for name, values in maps.items()}
    with style():
        figure, axes = panels(1 + len(shown), _A_ROW, (1.9, 2.4))
        picture(axes.flat[0], "image", displayable(image))
        for panel, (name, values) in zip(axes.flat[1:], shown.items(), strict=False):
            _attribution(panel, name, values)
        rank_bar(figure, axes, "lowest", "highest\nattribution")
    return figure


def data_sensitivity(image: ArrayLike | Tensor, sensitivities: Mapping[str, Sensitivity]) -> Figure:
    """An image, its features, and which of them the prediction and each explanation are sensitive to.

    The lighter a feature, the more sensitive; colours go by rank, as the score does.

    Parameters
    ----------
    image
        (C, H, W); with three channels it is shown in colour, otherwise the mean of the channels in grey.
    sensitivities
        A record of this image for each explanation method, by the method's name; all with the same features.

    Returns
    -------
    Figure
        At most six panels a row; the caller closes it.

    Raises
    ------
    ValueError
        If there is no record, or the image is not of the records' size.

    References
    ----------
    Tan, WACV 2025, Figure 2.
    """
    if not sensitivities:
        raise ValueError(f"sensitivities={sensitivities!r} holds no record; pass one of this image for each method")
    first = next(iter(sensitivities.values()))
    image, labels = host_array(image).astype(float), _labels(first)
    if image.ndim != 3 or image.shape[1:] != labels.shape:
        raise ValueError(
            f"image of shape {image.shape} does not fit features of shape {labels.shape}; pass the image (C, H, W) that "
            "the records are of"
        )
    shown = displayable(image)
    with style():
        figure, axes = panels(3 + len(sensitivities), _A_ROW, (1.9, 2.4))
        free = iter(axes.flat)
        picture(next(free), "image", shown)
        features = picture(next(free), f"{len(first.prediction)} features", shown)
        features.imshow(_edges(first), cmap=_EDGES, extent=(-0.5, shown.shape[1] - 0.5, shown.shape[0] - 0.5, -0.5))
        _sensitivity(picture(next(free), "prediction", shown), first, first.prediction)
        for name, record in sensitivities.items():
            title = f"{wrapped(name)}\nSenC {number(record.score)}"
            _sensitivity(picture(next(free), title, shown), record, record.explanation)
        rank_bar(figure, axes, "least", "most\nsensitive")
    return figure


def _flat(name: str, values: np.ndarray, image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or values.shape[-2:] != image.shape[1:] or values.ndim not in (2, 3):
        raise ValueError(
            f"map {name!r} of shape {values.shape} does not fit an image of shape {image.shape}; pass the image (C, H, W) "
            "and maps (H, W)"
        )
    return values.sum(0) if values.ndim == 3 else values


def _attribution(axes: Axes, name: str, values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]
    largest = np.abs(finite).max(initial=0)
    lowest = -largest if (finite < 0).any() else 0.0
    axes.set_title(wrapped(name))
    axes.imshow(np.ma.masked_invalid(values), cmap=RANK_COLOURS, vmin=lowest, vmax=largest or 1.0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"{lowest:.2g} … {largest:.2g}".replace("-", "−"), fontsize=8)


def _labels(record: Sensitivity) -> np.ndarray:
    if record.labels is None:
        raise ValueError(
            f"a record of {len(record.prediction)} units is not of an image; draw it with plot.parameter_sensitivity"
        )
    return record.labels.numpy()


def _edges(record: Sensitivity) -> np.ma.MaskedArray:
    edges = find_boundaries(_labels(record), mode="subpixel")
    return np.ma.masked_where(~edges, edges)


def _sensitivity(axes: Axes, record: Sensitivity, sensitivity: Tensor) -> None:
    ranks = centred_ranks(sensitivity)
    axes.imshow(ranks.numpy()[_labels(record)], cmap=RANK_COLOURS, vmin=-len(ranks), vmax=len(ranks))
