"""Controls that are patterns: edges of the input, a blob in the middle, the input itself."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quantus_senc.core.checks import check_neighbours
from quantus_senc.model.arrays import for_arrays_too


@for_arrays_too
def explain_sobel(model: nn.Module, inputs: Tensor, targets: Tensor, **kwargs: Any) -> Tensor:
    """Edges of the input, as an `explain_func`: the magnitude of the Sobel gradient, summed over channels.

    The derivatives equal those of `scipy.ndimage.sobel` with reflecting borders; for series they are x(t + 1) - x(t - 1).

    Parameters
    ----------
    model, targets
        Ignored.
    inputs
        Images or series (B, C, \\*spatial); arrays or tensors.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), at least 0. An array for arrays; for a tensor, a tensor on its device.

    Raises
    ------
    ValueError
        If the inputs are a table.

    References
    ----------
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, Section 5: an edge detector looks like an explanation.

    Examples
    --------
    >>> step = torch.tensor([[[0.0, 0.0, 1.0, 1.0, 1.0]]])
    >>> explain_sobel(nn.Identity(), step, torch.zeros(1))
    tensor([[[0., 1., 1., 0., 0.]]])
    """
    check_neighbours("explain_sobel", inputs.shape)
    axes = range(2, inputs.ndim)
    padded = nn.functional.pad(_floating(inputs), (1, 1) * len(axes), mode="replicate")
    gradients = []
    for axis in axes:
        gradient = padded
        for other in axes:
            before, here, after = (gradient.narrow(other, start, gradient.shape[other] - 2) for start in range(3))
            gradient = after - before if other == axis else before + 2 * here + after
        gradients.append(gradient)
    return torch.stack(gradients).norm(dim=0).sum(1, keepdim=True)


@for_arrays_too
def explain_blob(model: nn.Module, inputs: Tensor, targets: Tensor, *, width: float | None = None, **kwargs: Any) -> Tensor:
    """A Gaussian blob in the middle, as an `explain_func`: it depends neither on the model nor on the input.

    Parameters
    ----------
    model, targets
        Ignored.
    inputs
        Images or series (B, C, \\*spatial), arrays or tensors; only their shape is used.
    width
        Standard deviation in pixels (time steps), more than 0; by default an eighth of the longest side.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), in [0, 1]. An array for arrays; for a tensor, a tensor on its device.

    Raises
    ------
    ValueError
        If the inputs are a table, which has no middle, or the width is not positive.

    Examples
    --------
    >>> explain_blob(nn.Identity(), torch.zeros(1, 2, 5), torch.zeros(1), width=1).round(decimals=2)
    tensor([[[0.1400, 0.6100, 1.0000, 0.6100, 0.1400]]])
    """
    check_neighbours("explain_blob", inputs.shape)
    width = max(inputs.shape[2:]) / 8 if width is None else width
    if not width > 0:
        raise ValueError(f"width={width!r} must be a positive number of pixels")
    exponent = torch.zeros(inputs.shape[2:], device=inputs.device)
    for axis, size in enumerate(exponent.shape):
        distance = torch.arange(size, device=inputs.device) - (size - 1) / 2
        exponent = exponent - (distance / width).square().div(2).view(-1, *[1] * (exponent.ndim - axis - 1))
    return exponent.exp().repeat(len(inputs), 1, *[1] * exponent.ndim)


@for_arrays_too
def explain_input(model: nn.Module, inputs: Tensor, targets: Tensor, **kwargs: Any) -> Tensor:
    """The input itself, summed over channels, as an `explain_func`.

    Parameters
    ----------
    model, targets
        Ignored.
    inputs
        Images or series (B, C, \\*spatial), or tables (B, F); arrays or tensors.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), or (B, F) for tables. An array for arrays; for a tensor, a tensor on its device.

    Examples
    --------
    >>> explain_input(nn.Identity(), torch.tensor([[[1, 2, 3], [10, 20, 30]]]), torch.zeros(1))
    tensor([[[11., 22., 33.]]])
    """
    return _floating(inputs).clone() if inputs.ndim == 2 else _floating(inputs).sum(1, keepdim=True)


def _floating(inputs: Tensor) -> Float[Tensor, "*n"]:
    return inputs if inputs.dtype is torch.float64 else inputs.float()
