"""What explanation methods derive: the outputs for the explained classes."""

from collections.abc import Callable

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
        outputs = model(inputs)
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != len(targets):
            found = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ValueError(f"the model returned {found} for {len(targets)} inputs, but must return ({len(targets)}, classes)")
        return outputs.gather(1, targets[:, None]).sum(0)

    return forward
