"""Features of an input: which positions are masked as one."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from skimage.segmentation import slic
from torch import Tensor

_PIXELS = 50  # of a superpixel
_MASKS_PER_SEGMENT, _FEWEST_AFFORDABLE = 8, 16
SegmentFunc = str | Callable[[Tensor], Any] | None


def slic_labels(
    image: Float[Tensor, "C *spatial"], pixels_per_segment: int = _PIXELS, n_segments: int | None = None, **slic_kwargs: Any
) -> Tensor:
    """Superpixels by scikit-image's `slic`.

    Each channel is scaled to [0, 1] first, so that normalised images segment like the originals.

    Parameters
    ----------
    image
        Of two or three spatial dimensions; non-finite values count as 0.
    pixels_per_segment
        How many pixels a superpixel has, roughly; 50 in the paper.
    n_segments
        Roughly how many superpixels; by default as many as `pixels_per_segment` asks for.
    slic_kwargs
        For `skimage.segmentation.slic`.
    """
    spatial = tuple(range(1, image.ndim))
    pixels = image.double().nan_to_num(posinf=0, neginf=0)
    low, high = pixels.amin(spatial, keepdim=True), pixels.amax(spatial, keepdim=True)
    # Rounded, because equal pixels must stay equal whatever the normalisation was: flat regions are full of ties.
    scaled = ((pixels - low) / (high - low).clamp_min(1e-12)).mul(2**12).round().div(2**12)
    slic_kwargs = {"start_label": 0, "n_segments": n_segments or max(1, image[0].numel() // pixels_per_segment)} | slic_kwargs
    return torch.as_tensor(slic(scaled.movedim(0, -1).numpy(), channel_axis=-1, **slic_kwargs))


def grid_labels(image: Float[Tensor, "C *spatial"], patch_size: int = 7) -> Tensor:
    """Square patches of `patch_size` pixels a side; those at the far borders may be smaller."""
    labels = torch.zeros([1] * (image.ndim - 1), dtype=torch.int64)
    for axis, size in enumerate(image.shape[1:]):
        patches = torch.arange(size) // patch_size
        labels = labels * (patches[-1] + 1) + patches.view([-1 if a == axis else 1 for a in range(image.ndim - 1)])
    return labels


def window_labels(series: Float[Tensor, "C T"], window_size: int | None = None) -> Tensor:
    """Windows of `window_size` time steps, by default a twentieth of the series; the last may be shorter."""
    steps = series.shape[-1]
    return torch.arange(steps) // (window_size or -(-steps // 20))


def column_labels(row: Float[Tensor, " F"]) -> Tensor:
    """Each column of a table for itself."""
    return torch.arange(len(row))


SEGMENT_FUNCS: dict[str, Callable[..., Tensor]] = {
    "slic": slic_labels,
    "grid": grid_labels,
    "window": window_labels,
    "column": column_labels,
}
_RANKS = {"slic": (4, 5), "grid": (4, 5), "window": (3,), "column": (2,)}


def segment(
    inputs: Float[Tensor, "B *shape"],
    segment_func: str | Callable[[Tensor], Any],
    segment_func_kwargs: dict[str, Any] | None = None,
) -> Int64[Tensor, "B *spatial"]:
    """Features of each input, as labels 0 … m - 1; inputs may differ in m.

    Parameters
    ----------
    inputs
        Images (B, C, \\*spatial), series (B, C, T) or tables (B, F), on the host.
    segment_func
        "slic", "grid" (images), "window" (series), "column" (tables), or a callable from one input to integer labels
        (\\*spatial).
    segment_func_kwargs
        For the function.

    Raises
    ------
    ValueError
        If a named function does not fit inputs of this rank, or the labels do not fit the inputs.

    Examples
    --------
    >>> segment(torch.zeros(1, 3, 4, 4), "grid", {"patch_size": 2})[0]
    tensor([[0, 0, 1, 1],
            [0, 0, 1, 1],
            [2, 2, 3, 3],
            [2, 2, 3, 3]])
    """
    if isinstance(segment_func, str) and inputs.ndim not in _RANKS[segment_func]:
        raise ValueError(
            f"segment_func={segment_func!r} does not fit inputs of shape {tuple(inputs.shape)}; take 'slic' or 'grid' for "
            "images (B, C, H, W), 'window' for series (B, C, T), 'column' for tables (B, F), or a callable"
        )
    label = SEGMENT_FUNCS[segment_func] if isinstance(segment_func, str) else segment_func
    labels = [_as_tensor(label(one.clone(), **(segment_func_kwargs or {}))) for one in inputs]
    return number_labels(labels, inputs)


def default_segment_func(n_axes: int) -> str:
    """SLIC for images, windows for series (B, C, T), columns for tables (B, F)."""
    return {2: "column", 3: "window"}.get(n_axes, "slic")


def affordable_segments(spatial: tuple[int, ...], n_masks: int | str) -> int | None:
    """How many superpixels images get by default where 50 pixels each would be more than the masks afford; else None.

    An eighth of the masks is the most, but never less than 16.

    Examples
    --------
    >>> affordable_segments((28, 28), 500), affordable_segments((224, 224), 500), affordable_segments((224, 224), "all")
    (None, 62, 16)
    """
    most = _FEWEST_AFFORDABLE if isinstance(n_masks, str) else max(n_masks // _MASKS_PER_SEGMENT, _FEWEST_AFFORDABLE)
    return most if math.prod(spatial) // _PIXELS > most else None


def default_n_segments(
    shape: tuple[int, ...], n_masks: int | str, segment_func: SegmentFunc, segment_func_kwargs: dict[str, Any] | None
) -> int | None:
    """How many superpixels images of a shape (B, C, \\*spatial) get, if users leave it open and masks limit it; else None."""
    is_open = segment_func is None and not (segment_func_kwargs or {}).keys() & {"n_segments", "pixels_per_segment"}
    return affordable_segments(shape[2:], n_masks) if is_open and len(shape) > 3 else None


def default_kwargs(
    shape: tuple[int, ...], n_masks: int | str, segment_func: SegmentFunc, segment_func_kwargs: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The keywords of a segmentation, with the number of superpixels where `default_n_segments` has one."""
    n_segments = default_n_segments(shape, n_masks, segment_func, segment_func_kwargs)
    return segment_func_kwargs if n_segments is None else {**(segment_func_kwargs or {}), "n_segments": n_segments}


def _as_tensor(labels: Any) -> Tensor:
    if not hasattr(labels, "shape"):
        raise ValueError(f"segment_func returned {type(labels).__name__}, but must return an integer for each position")
    # a copy, because torch takes no arrays with negative strides
    return labels if isinstance(labels, Tensor) else torch.as_tensor(labels.copy())


def number_labels(labels: Any, inputs: Float[Tensor, "B *shape"]) -> Int64[Tensor, "B *spatial"]:
    """The same features with labels 0 … m - 1 in each input.

    Parameters
    ----------
    labels
        Integers of any values, B of shape (\\*spatial).

    Raises
    ------
    ValueError
        If the shape is not (B, \\*spatial), or the labels are no integers.
    """
    spatial = tuple(inputs.shape[1:] if inputs.ndim == 2 else inputs.shape[2:])
    shapes = {tuple(one.shape) for one in labels}
    if len(labels) != len(inputs) or shapes != {spatial}:
        raise ValueError(
            f"labels for inputs of shape {tuple(inputs.shape)} must be {len(inputs)} of shape {spatial}, one integer a "
            f"position, but are {len(labels)} of shape {', '.join(map(str, sorted(shapes)))}"
        )
    labels = torch.stack(list(labels))
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels must be integers, but are {labels.dtype}; round them and convert")
    numbers = [np.unique(one, return_inverse=True)[1] for one in labels.long().cpu().numpy()]  # torch takes 50 times as long
    return torch.from_numpy(np.stack(numbers)).view(labels.shape)


def keyword_names(segment_func: str) -> list[str]:
    """What `segment_func_kwargs` may hold for a named function."""
    names = list(inspect.signature(SEGMENT_FUNCS[segment_func]).parameters)[1:]
    if segment_func == "slic":
        names = names[:-1] + [name for name in inspect.signature(slic).parameters if name not in ("image", "channel_axis")]
    return list(dict.fromkeys(names))
