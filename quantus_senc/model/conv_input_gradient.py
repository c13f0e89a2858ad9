"""Gradients of convolutions with respect to their inputs, from those with respect to their outputs."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

# Libraries for CPUs take five to ten times as long for this gradient of the first convolution as for its output.
_FEW_CHANNELS, _LARGE_KERNEL = 4, 4
_FEWEST_OUTPUTS = 8  # channels, so that the lanes of a CPU are filled


def input_gradient(layer: nn.Module, inputs: Float[Tensor, "N *_"], gradient: Float[Tensor, "N *_"]) -> Float[Tensor, "N *_"]:
    """Of a convolution with zeros around its inputs.

    Parameters
    ----------
    inputs
        Of which only shape and layout count.
    gradient
        With respect to the outputs.
    """
    if isinstance(layer, nn.Conv2d) and _is_slow(layer, gradient):
        return _in_blocks(layer, inputs.shape[2:], gradient)
    weight: Tensor = layer.weight  # type: ignore[assignment]
    n_axes = inputs.ndim - 2
    geometry = layer.stride, layer.padding, layer.dilation, False, (0,) * n_axes, layer.groups
    found: Tensor = torch.ops.aten.convolution_backward(gradient, inputs, weight, None, *geometry, (True, False, False))[0]
    return found


def _is_slow(layer: nn.Conv2d, gradient: Tensor) -> bool:
    if gradient.device.type != "cpu" or gradient.dtype.itemsize < 4:  # half precision would be rounded otherwise
        return False
    few = layer.in_channels == 1 or (layer.in_channels <= _FEW_CHANNELS and max(layer.stride) > 1)
    return few and min(layer.kernel_size) >= _LARGE_KERNEL and layer.groups == 1 and layer.dilation == (1, 1)


def _in_blocks(
    layer: nn.Conv2d, size: torch.Size, gradient: Float[Tensor, "N o height width"]
) -> Float[Tensor, "N c rows columns"]:
    """By a convolution whose channels are the pixels of a block: these fill the lanes of a CPU, and strides need no zeros.

    References
    ----------
    Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.
    """
    (rows, columns), (height, width) = size, gradient.shape[2:]
    top, left = (int(zeros) for zeros in layer.padding)
    n_channels, (down, across), step = layer.in_channels, layer.stride, 1
    while n_channels * step**2 * down * across < _FEWEST_OUTPUTS:
        step *= 2
    tap_rows, tap_columns = (_taps(*axis, step) for axis in zip(layer.kernel_size, layer.stride, strict=True))
    with_none = functional.pad(layer.weight, (0, 1, 0, 1))
    weight = with_none[:, :, tap_rows][..., tap_columns].permute(1, 2, 4, 0, 3, 5).flatten(0, 2)
    blocks = -(-(rows + top) // (step * down)), -(-(columns + left) // (step * across))
    before = weight.shape[2] - step, weight.shape[3] - step
    around = before[1], step * blocks[1] - width, before[0], step * blocks[0] - height  # what is cut off is of no pixel
    found = functional.conv2d(functional.pad(gradient, around), weight, stride=step)
    pixels = found.unflatten(1, (n_channels, step * down, step * across)).permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
    return pixels[:, :, top : top + rows, left : left + columns].contiguous()


def _taps(kernel: int, stride: int, step: int) -> Int64[Tensor, "pixels outputs"]:
    """By which tap of a kernel each pixel of a block goes into each output around it; `kernel` for none.

    Examples
    --------
    >>> _taps(kernel=3, stride=2, step=1)
    tensor([[2, 0],
            [3, 1]])
    """
    n_before = (kernel - 1) // stride
    taps = torch.arange(step * stride, device="cpu")[:, None] - stride * (
        torch.arange(n_before + step, device="cpu") - n_before
    )
    return torch.where((taps >= 0) & (taps < kernel), taps, kernel)
