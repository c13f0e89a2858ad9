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


def _labels(record: Sensitivity) -> np.ndarray:
    if record.labels is None:
        raise ValueError(f"a record of {len(record.prediction)} units is not of an image; draw it with parameter_sensitivity")
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
