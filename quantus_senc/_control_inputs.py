"""Controls that show the input: its edges, or itself."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quantus_senc._arguments import check_neighbours
from quantus_senc._host import for_arrays_too


@for_arrays_too
def explain_sobel(model: nn.Module, inputs: Tensor, targets: Tensor, **kwargs: Any) -> Tensor:
    """Edges of the input, as an `explain_func`: the magnitude of Sobel's gradient in each channel, summed over channels.

    Differences are those of `scipy.ndimage.sobel`, with reflecting borders; of series, x(t + 1) - x(t - 1).

    Parameters
    ----------
    model, targets
        Ignored.
    inputs
        (B, C, \\*spatial); arrays or tensors.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), at least 0; what the inputs are, and on their device.

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
def explain_input(model: nn.Module, inputs: Tensor, targets: Tensor, **kwargs: Any) -> Tensor:
    """The input itself, summed over channels, as an `explain_func`.

    Parameters
    ----------
    model, targets
        Ignored.
    inputs
        (B, C, \\*spatial), or (B, F) for tables; arrays or tensors.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), or (B, F) for tables; what the inputs are, and on their device.

    Examples
    --------
    >>> explain_input(nn.Identity(), torch.tensor([[[1, 2, 3], [10, 20, 30]]]), torch.zeros(1))
    tensor([[[11., 22., 33.]]])
    """
    return _floating(inputs).clone() if inputs.ndim == 2 else _floating(inputs).sum(1, keepdim=True)


def _floating(inputs: Tensor) -> Float[Tensor, "*n"]:
    return inputs if inputs.dtype is torch.float64 else inputs.float()
