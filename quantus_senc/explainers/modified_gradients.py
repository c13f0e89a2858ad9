"""Guided Backprop and DeepLift, which replace the gradients of nonlinear modules."""

from typing import Any

from captum import attr
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor, nn

from quantus_senc.explainers.canonize import CanonicalCopy, canonize
from quantus_senc.explainers.gradients import as_baseline
from quantus_senc.explainers.graph import TracedModel
from quantus_senc.explainers.operations import dependent_nodes, describe, is_linear_function, is_linear_module
from quantus_senc.model.warn import warn


def prepare_guided_backprop(model: nn.Module, inputs: Tensor) -> tuple[CanonicalCopy]:
    """The canonical copy of a model, with a warning if it has no ReLU."""
    copy = canonize(model, inputs, "GuidedBackprop")
    if not any(isinstance(module, nn.ReLU) for module in copy.traced.network.modules()):
        warn("GuidedBackprop: the model has no ReLU, so that this is the plain gradient.")
    return (copy,)


def guided_backprop(copy: CanonicalCopy, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient, of which every ReLU passes back only positive values."""
    with copy.synchronized() as network:
        return attr.GuidedBackprop(network).attribute(inputs, targets)


def prepare_deep_lift(model: nn.Module, inputs: Tensor) -> tuple[CanonicalCopy]:
    """The canonical copy of a model, with a warning for everything nonlinear that Captum has no rule for."""
    copy = canonize(model, inputs, "DeepLift")
    for operation in _without_rule(copy.traced):
        warn(f"DeepLift: Captum has no rule for {operation}, whose gradient is used instead.")
    return (copy,)


def deep_lift(copy: CanonicalCopy, inputs: Tensor, targets: Tensor, *, baseline: Any = 0.0) -> Tensor:
    """The contribution of each input value to the difference from the output for a baseline (Rescale rule)."""
    with copy.synchronized() as network:
        return attr.DeepLift(network).attribute(inputs, as_baseline(baseline, inputs), targets)


def _without_rule(traced: TracedModel) -> list[str]:
    """Descriptions of the nonlinear modules and functions that Captum's DeepLift has no rule for."""
    descriptions = []
    for node, arguments in dependent_nodes(traced.network.graph):
        if node.op == "call_module":
            module = traced.network.get_submodule(str(node.target))
            has_rule = type(module) in SUPPORTED_NON_LINEAR or is_linear_module(module)
        else:
            has_rule = is_linear_function(node, arguments)
        if not has_rule:
            descriptions.append(describe(traced, node))
    return descriptions
