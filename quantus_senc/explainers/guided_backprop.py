"""Guided Backprop."""

import torch
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
            module.register_forward_hook(_pass_back_positive)
        return gradient(network, inputs, targets)


def _relus(copy: CanonicalCopy) -> list[nn.Module]:
    return [module for module in copy.traced.network.children() if isinstance(module, nn.ReLU)]


def _pass_back_positive(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
    # A hook of the output: those of modules are not to be trusted, see `deep_lift`. What is not positive stays so in the ReLU.
    if output.requires_grad:
        output.register_hook(torch.relu)
