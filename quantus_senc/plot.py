"""Pictures of sensitivities."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from skimage.segmentation import find_boundaries
from torch import Tensor

from quantus_senc._consistency import Sensitivity
from quantus_senc._host import host_array
from quantus_senc._similarity import centred_ranks

_COLOURS = "RdBu_r"


def data_sensitivity(image: ArrayLike | Tensor, sensitivities: Mapping[str, Sensitivity]) -> Figure:
    """An image, its features, and which of them the prediction and each explanation are sensitive to.

    Red features are the most sensitive, blue ones the least; colours go by rank, as the score does.

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
    n_panels = 3 + len(sensitivities)
    n_rows = -(-n_panels // 6)
    n_columns = -(-n_panels // n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(2 * n_columns, 2.4 * n_rows), squeeze=False, layout="constrained")
    panels = iter(axes.flat)
    shown = _shown(image)
    _picture(next(panels), "image", shown)
    features = _picture(next(panels), f"{len(first.prediction)} features", shown)
    features.imshow(_edges(first), cmap="Set1", extent=(-0.5, shown.shape[1] - 0.5, shown.shape[0] - 0.5, -0.5))
    _sensitivity(_picture(next(panels), "prediction", shown), first, first.prediction)
    for name, record in sensitivities.items():
        _sensitivity(_picture(next(panels), f"{name}\nSenC {record.score:.2f}", shown), record, record.explanation)
    for unused in panels:
        unused.set_axis_off()
    return figure


def parameter_sensitivity(sensitivities: Mapping[str, Sensitivity], n_columns: int = 4) -> Figure:
    """The units of a layer as squares: which of them the prediction and each explanation are sensitive to.

    Red units are the most sensitive, blue ones the least; colours go by rank, as the score does.

    Parameters
    ----------
    sensitivities
        A record of one layer and image for each explanation method, by the method's name.
    n_columns
        How many panels a row has.

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
    shown |= {f"{name}\nSenC {record.score:.2f}": record.explanation for name, record in sensitivities.items()}
    n_rows = -(-len(shown) // n_columns)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=(2 * n_columns, 2.4 * n_rows), squeeze=False, layout="constrained")
    for panel, (title, sensitivity) in zip(axes.flat, shown.items(), strict=False):
        panel.set_title(title, fontsize=9)
        panel.pcolormesh(
            _squares(sensitivity), cmap=_COLOURS, vmin=-len(sensitivity), vmax=len(sensitivity), edgecolors="white"
        )
        panel.invert_yaxis()
        panel.set_aspect("equal")
    for panel in axes.flat:
        panel.set_axis_off()
    return figure


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
    figure, axes = plt.subplots(figsize=(2 + 0.35 * len(names) * len(scores), 3.2), layout="constrained")
    for index, (method, by_layer) in enumerate(scores.items()):
        values = np.array([by_layer[name] for name in names], dtype=float)
        counts = np.maximum((~np.isnan(values)).sum(1), 1)
        places = np.arange(len(names)) + (index - (len(scores) - 1) / 2) * width
        axes.bar(places, np.nanmean(values, 1), width, yerr=np.nanstd(values, 1) / np.sqrt(counts), label=method, capsize=2)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(np.arange(len(names)), names)
    axes.set_ylabel("SenC, mean ± standard error")
    axes.legend(fontsize=8)
    return figure


def _squares(sensitivity: Tensor) -> np.ma.MaskedArray:
    """Ranks of the units, row by row in a grid that is about square."""
    ranks = centred_ranks(sensitivity).numpy()
    n_columns = int(np.ceil(np.sqrt(len(ranks))))
    grid = np.ma.masked_all((-(-len(ranks) // n_columns), n_columns))
    grid.flat[: len(ranks)] = ranks
    return grid


def _labels(record: Sensitivity) -> np.ndarray:
    if record.labels is None:
        raise ValueError(
            f"a record of {len(record.prediction)} units is not of an image; draw it with plot.parameter_sensitivity"
        )
    return record.labels.numpy()


def _shown(image: np.ndarray) -> np.ndarray:
    picture = np.moveaxis(image, 0, -1) if len(image) == 3 else image.mean(0)
    low, high = np.nanmin(picture), np.nanmax(picture)
    return (picture - low) / max(high - low, 1e-12)


def _picture(axes: Axes, title: str, shown: np.ndarray) -> Axes:
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    axes.imshow(shown, cmap="gray")
    return axes


def _edges(record: Sensitivity) -> np.ma.MaskedArray:
    edges = find_boundaries(_labels(record), mode="subpixel")
    return np.ma.masked_where(~edges, edges)


def _sensitivity(axes: Axes, record: Sensitivity, sensitivity: Tensor) -> None:
    ranks = centred_ranks(sensitivity)
    axes.imshow(ranks.numpy()[_labels(record)], cmap=_COLOURS, vmin=-len(ranks), vmax=len(ranks), alpha=0.75)
