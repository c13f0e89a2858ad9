"""Controls with a Gaussian's width: smooth noise, and a blob that is always the same."""

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from quantus_senc._arguments import check_neighbours
from quantus_senc._control_noise import explain_random
from quantus_senc._host import for_arrays_too


@for_arrays_too
def explain_blurred_noise(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, width: float | None = None, seed: int = 0, **kwargs: Any
) -> Tensor:
    """Random maps whose neighbours resemble each other, as an `explain_func`: those of `explain_random`, blurred.

    The blur goes round the borders, so that every pixel has the same distribution.

    Parameters
    ----------
    model, inputs, targets, seed
        As for `explain_random`, but tables have no neighbours.
    width
        Standard deviation of the Gaussian in pixels (time steps), from 0, which is no blur, to half the longest side;
        by default an eighth of it.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        As `explain_random` does; the wider the blur, the closer all values are to 1/2.

    Raises
    ------
    ValueError
        If the inputs are a table, or the width is wrong.

    References
    ----------
    Binder et al., CVPR 2023: a random map's covariance decides how well it does in randomisation tests.

    Examples
    --------
    >>> maps = explain_blurred_noise(nn.Identity(), torch.rand(5, 3, 16, 16), torch.zeros(5), width=2)
    >>> maps.shape, bool(maps.diff(dim=-1).std() < maps.std())
    (torch.Size([5, 1, 16, 16]), True)
    """
    check_neighbours("explain_blurred_noise", inputs.shape)
    longest = max(inputs.shape[2:])
    width = longest / 8 if width is None else width
    if not 0 <= width <= longest / 2:
        raise ValueError(
            f"width={width!r} must lie between 0 and {longest / 2}, half the longest side of inputs of shape "
            f"{tuple(inputs.shape)}: a wider blur leaves nothing"
        )
    # In double precision, since sums of products depend on the batch in their last bits.
    maps = explain_random(model, inputs, targets, seed=seed).double()
    for axis, size in enumerate(maps.shape[2:], start=2):
        blur = torch.as_tensor(gaussian_filter(np.eye(size), (width, 0), mode="wrap"), device=maps.device)
        maps = (maps.movedim(axis, -1) @ blur.T).movedim(-1, axis)
    return maps.float().contiguous()


@for_arrays_too
def explain_blob(model: nn.Module, inputs: Tensor, targets: Tensor, *, width: float | None = None, **kwargs: Any) -> Tensor:
    """A Gaussian blob in the middle, as an `explain_func`: blind to the model and to the input.

    Parameters
    ----------
    model, targets
        Ignored.
    inputs
        (B, C, \\*spatial), arrays or tensors; only their shape counts.
    width
        Standard deviation in pixels (time steps), more than 0; by default an eighth of the longest side.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), in [0, 1]; what the inputs are, and on their device.

    Raises
    ------
    ValueError
        If the inputs are a table, whose columns have no middle, or the width is not positive.

    Examples
    --------
    >>> explain_blob(nn.Identity(), torch.zeros(1, 2, 5), torch.zeros(1), width=1).round(decimals=2)
    tensor([[[0.1400, 0.6100, 1.0000, 0.6100, 0.1400]]])
    """
    check_neighbours("explain_blob", inputs.shape)
    width = max(inputs.shape[2:]) / 8 if width is None else width
    if not width > 0:
        raise ValueError(f"width={width!r} must be a positive number of pixels")
    blob = torch.zeros(inputs.shape[2:], device=inputs.device)
    for axis, size in enumerate(blob.shape):
        distance = torch.arange(size, device=inputs.device) - (size - 1) / 2
        blob = blob - (distance / width).square().div(2).view(-1, *[1] * (blob.ndim - axis - 1))
    return blob.exp().repeat(len(inputs), 1, *[1] * blob.ndim)
