"""What a model returns: one value an input and class; and what an explanation method returns: one map an input."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from quantus_senc.model.arrays import as_tensor
from quantus_senc.model.returned import check_outputs


def output_sum(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The sum over a batch of what a model returns for the explained classes, as a function of inputs and targets.

    Its gradient is that of each output, which Captum would otherwise go through one by one.

    Raises
    ------
    UnfitOutputs
        If the model does not return (N, classes).
    """

    def forward(inputs: Tensor, targets: Tensor) -> Tensor:
        return check_outputs(model(inputs), len(targets)).gather(1, targets[:, None]).sum(0)

    return forward


def explained_outputs(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """What a model returns for the explained class of each input, as a function of inputs and targets.

    Raises
    ------
    UnfitOutputs
        If the model does not return (N, classes).
    """

    def forward(inputs: Tensor, targets: Tensor) -> Tensor:
        return check_outputs(model(inputs), len(targets)).gather(1, targets[:, None])[:, 0]

    return forward


def check_maps(returned: Any, shape: tuple[int, ...]) -> Tensor:
    """Attributions (n, \\*shape), where the input's axes are all there, or some at the beginning or the end are left out.

    An axis that is left out may have size 1 instead.

    Parameters
    ----------
    returned
        What an explanation method returned.
    shape
        Of its inputs, (n, \\*shape).

    Raises
    ------
    ValueError
        If it is anything else.
    """
    given = type(returned).__name__
    try:
        maps = as_tensor(returned)
        given = f"attributions of shape {tuple(maps.shape)}"
        if not maps.is_complex() and maps.ndim > 1 and len(maps) == shape[0] and _is_run(maps.shape[1:], shape[1:]):
            return maps
    except (ValueError, TypeError, RuntimeError) as error:
        given = f"{given} ({error})"
    raise ValueError(
        f"explain_func returned {given} for inputs of shape {tuple(shape)}; return one attribution an input, "
        "of the input's shape or without some of its outer axes (Grad-CAM must be interpolated to the input's size)"
    )


def _is_run(axes: tuple[int, ...], of: tuple[int, ...]) -> bool:
    """Whether sizes stand beside one another among others; 1 counts for nothing."""
    wanted, there = (tuple(size for size in sizes if size != 1) for sizes in (axes, of))
    return any(there[start : start + len(wanted)] == wanted for start in range(len(there) + 1))
