"""Guided Backprop."""

from typing import Any

from torch import Tensor, nn

from quantus_senc.explainers.canonize import CanonicalCopy, canonize
from quantus_senc.explainers.gradients import gradient
from quantus_senc.model.warn import warn


def prepare_guided_backprop(model: nn.Module, inputs: Tensor) -> tuple[CanonicalCopy]:
    """The canonical copy of a model, with a warning if it has no ReLU."""
    copy = canonize(model, inputs, "GuidedBackprop")
    if not _relus(copy):
        warn("GuidedBackprop: the model has no ReLU, so that this is the plain gradient.")
    return (copy,)


def guided_backprop(copy: CanonicalCopy, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient, of which every ReLU passes back only positive values.

    References
    ----------
    Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR 2015 workshop.
    """
    with copy.synchronized() as network:
        for module in _relus(copy):
            module.register_full_backward_hook(_positive)
        return gradient(network, inputs, targets)


def _relus(copy: CanonicalCopy) -> list[nn.Module]:
    return [module for module in copy.traced.network.children() if isinstance(module, nn.ReLU)]


def _positive(module: nn.Module, grad_inputs: Any, grad_outputs: Any) -> tuple[Tensor | None]:
    return (None if grad_inputs[0] is None else grad_inputs[0].relu(),)
