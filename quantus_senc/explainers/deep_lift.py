"""DeepLift: the gradients of nonlinear modules are replaced by multipliers (Rescale rule)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from quantus_senc.explainers.canonize import CanonicalCopy, canonize
from quantus_senc.explainers.gradients import as_baseline, gradient
from quantus_senc.explainers.graph import TracedModel
from quantus_senc.explainers.linearity import dependent_nodes, describe, is_linear_function, is_linear_module
from quantus_senc.model.warn import warn

_SMALLEST_CHANGE = 1e-10  # of an input, for which an output is divided by it; as in Captum


class _Pass(NamedTuple):
    """What a module was given, and what it returned."""

    inputs: Tensor
    outputs: Tensor


_Rule = Callable[[nn.Module, _Pass, _Pass, Tensor, Tensor], Tensor]


def prepare_deep_lift(model: nn.Module, inputs: Tensor) -> tuple[CanonicalCopy]:
    """The canonical copy of a model, with a warning that lists everything nonlinear without a rule."""
    copy = canonize(model, inputs, "DeepLift")
    if operations := list(dict.fromkeys(_without_rule(copy.traced))):
        warn(f"DeepLift: no rule for {', '.join(operations)}; the gradient is used instead.")
    return (copy,)


def deep_lift(copy: CanonicalCopy, inputs: Tensor, targets: Tensor, *, baseline: Any = 0.0) -> Tensor:
    """The contribution of each input value to the difference from the output for a baseline.

    A pass of the baseline notes what every nonlinear module is given and returns. In the backward pass of the inputs, the
    rule of a module replaces its gradient by multipliers. The two passes are apart, so that rules need not know which axis
    holds the samples.

    Modules and rules are those of Captum, with three differences. Captum 0.9 subtracts from the multipliers of a softmax
    their mean over the whole batch; no paper asks for that (Shrikumar et al., section 3.6, normalise contributions to
    logits), and contributions no longer add up (Captum's issue 1367). Its max pooling mixes samples and loses
    contributions (see `_max_pool`). A module that is followed by another with a rule at once gets the plain gradient of
    that one instead of its multipliers.

    References
    ----------
    Shrikumar et al., "Learning Important Features Through Propagating Activation Differences", ICML 2017.
    Ancona et al., "Towards better understanding of gradient-based attribution methods for DNNs", ICLR 2018, section 2.2.
    """
    reference = as_baseline(baseline, inputs)
    reference = reference if isinstance(reference, Tensor) else torch.full_like(inputs, reference)
    with copy.synchronized() as network:
        for module in copy.traced.network.children():
            if _has_rule(module):
                _Multipliers(module)
        network(reference)
        return (inputs.detach() - reference) * gradient(network, inputs, targets)


class _Multipliers:
    """Hooks of a module that replace its gradient in the second pass by the multipliers of its rule.

    They are hooks of its input and output, since those of modules (`register_full_backward_hook`) make torch 2.13 compute wrong
    gradients of a batch norm that follows, where channels come last in memory.
    """

    def __init__(self, module: nn.Module) -> None:
        self.passes: list[_Pass] = []
        self.grad_output: Tensor | None = None
        module.register_forward_hook(self._note)

    def _note(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        self.passes.append(_Pass(args[0].detach(), output.detach()))
        if not args[0].requires_grad:
            return None
        args[0].register_hook(partial(self._replace, module))
        output.register_hook(self._keep)
        return output.clone()  # whose hooks, those of the next module, come before those of the output

    def _keep(self, grad_output: Tensor) -> None:
        self.grad_output = grad_output

    def _replace(self, module: nn.Module, grad_input: Tensor) -> Tensor | None:
        if self.grad_output is None:
            return None
        reference, sample = self.passes
        return _RULES[type(module)](module, reference, sample, grad_input, self.grad_output).to(grad_input.dtype)


def _change(values: Tensor, reference: Tensor) -> Tensor:
    """The difference, in single precision at least: half precision rounds the smallest change to 0, and 0 / 0 is NaN."""
    precision = torch.promote_types(values.dtype, torch.float32)
    return values.to(precision) - reference.to(precision)


def _rescale(module: nn.Module, reference: _Pass, sample: _Pass, grad_input: Tensor, grad_output: Tensor) -> Tensor:
    """The change of an output, per change of the input; the gradient where the input does not change.

    The contributions of all values add up to the change of the output: each output of a softmax, too, is given to the
    input at its place, which must then have changed.
    """
    change = _change(sample.inputs, reference.inputs)
    multipliers = grad_output * _change(sample.outputs, reference.outputs) / change
    return torch.where(change.abs() < _SMALLEST_CHANGE, grad_input, multipliers)


def _max_pool(module: nn.Module, reference: _Pass, sample: _Pass, grad_input: Tensor, grad_output: Tensor) -> Tensor:
    """The change of each maximum, given to the places of the larger maximum up to it and of the smaller down to it.

    The contributions of all values add up to the change of the output. Captum does the same, but a place that is the maximum
    of two windows gets the part of one of them there, and places that do not change get the gradient of the batch's first
    sample.
    """
    largest = torch.maximum(sample.outputs, reference.outputs)
    contributions = _gradient(module, sample.inputs, grad_output * _change(largest, reference.outputs))
    contributions += _gradient(module, reference.inputs, grad_output * _change(sample.outputs, largest))
    change = _change(sample.inputs, reference.inputs)
    return torch.where(change.abs() < _SMALLEST_CHANGE, grad_input, contributions / change)


def _gradient(module: nn.Module, inputs: Tensor, grad_output: Tensor) -> Tensor:
    """The gradient of a module without its hooks."""
    with torch.enable_grad():
        values = inputs.to(grad_output.dtype).detach().requires_grad_()
        return torch.autograd.grad(module.forward(values), values, grad_output)[0]


_RULES: dict[type[nn.Module], _Rule] = {
    **dict.fromkeys((nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softmax), _rescale),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _max_pool),
}


def _has_rule(module: nn.Module) -> bool:
    return type(module) in _RULES and not getattr(module, "return_indices", False)


def _without_rule(traced: TracedModel) -> list[str]:
    """Descriptions of the nonlinear modules and functions that have no rule."""
    descriptions = []
    for node, arguments in dependent_nodes(traced.network.graph):
        if node.op == "call_module":
            module = traced.network.get_submodule(str(node.target))
            known = _has_rule(module) or is_linear_module(module)
        else:
            known = is_linear_function(node, arguments)
        if not known:
            descriptions.append(describe(traced, node))
    return descriptions
