"""What a model returns: one value an input and class."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Num
from torch import Tensor, nn


def output_sum(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The sum over a batch of what a model returns for the explained classes, as a function of inputs and targets.

    Its gradient is that of each output, which Captum would otherwise go through one by one.

    Raises
    ------
    ValueError
        If the model does not return (N, classes).
    """

    def forward(inputs: Tensor, targets: Tensor) -> Tensor:
        return check_outputs(model(inputs), len(targets)).gather(1, targets[:, None]).sum(0)

    return forward


def check_outputs(outputs: Any, n: int) -> Num[Tensor, "_ classes"]:
    """What a model returned for n inputs.

    Raises
    ------
    ValueError
        If it is not (n, classes).
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != n:
        found = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(
            f"the model returned {found} for {n} inputs, but must return ({n}, classes); wrap it in a module that does"
        )
    return outputs
