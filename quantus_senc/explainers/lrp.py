"""Layer-wise relevance propagation (LRP): the rules of a model's modules, by Captum."""

from collections.abc import Callable
from typing import Any

import torch
from captum import attr
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule
from torch import Tensor, fx, nn
from torch.nn.modules.pooling import _MaxPoolNd

from quantus_senc.explainers.canonize import CanonicalCopy, Rules, canonize
from quantus_senc.explainers.graph import TracedModel, replace_call
from quantus_senc.explainers.linearity import (
    PRODUCTS,
    RESHAPING,
    RESHAPING_MODULES,
    SUMS,
    dependent_nodes,
    describe,
    is_linear_function,
    is_linear_module,
)
from quantus_senc.explainers.zennit import as_composite, relevance

_NONLINEAR_IN_CAPTUM = (nn.ReLU, nn.Tanh)  # Captum passes relevance through these without a rule
_ACTIVATIONS = (
    *(nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardtanh),
)
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)
_FUNCTION_FOR: dict[type[nn.Module], Callable[..., Tensor]] = {nn.Flatten: torch.flatten, nn.Unflatten: torch.unflatten}


def prepare_lrp(model: nn.Module, inputs: Tensor, *, composite: Any = None) -> tuple[CanonicalCopy, Any]:
    """The canonical copy of a model with rules for Captum, or without rules for a composite of zennit's (or its name)."""
    if composite is None:
        return canonize(model, inputs, "LRP", assign_rules), None
    composite = as_composite(composite)
    return canonize(model, inputs, "LRP"), composite


def lrp(copy: CanonicalCopy, composite: Any, inputs: Tensor, targets: Tensor) -> Tensor:
    """Relevance of the inputs, by Captum's rules or by a composite of zennit's."""
    with copy.synchronized() as network:
        if composite is not None:
            return relevance(network, composite, inputs, targets)
        if inputs.dtype is torch.float16:
            raise ValueError(
                "method='LRP' divides by outputs + 1e-9, which float16 rounds to 0; explain model.float() or model.bfloat16()"
            )
        try:
            return attr.LRP(network).attribute(inputs, targets)
        except RuntimeError as error:
            if "doesn't require gradient" not in str(error):
                raise
            raise ValueError(
                "method='LRP': Captum explains only models all of whose modules depend on the input, and some here depend on "
                "fixed values alone (another input, for instance); choose another method, or a composite of zennit's"
            ) from error


class GatedProduct(nn.Module):
    """The product of a signal and a gate, of which only the signal receives relevance.

    References
    ----------
    Arras et al., "Explaining Recurrent Neural Network Predictions in Sentiment Analysis", WASSA 2017 ("signal takes all").
    """

    def forward(self, signal: Tensor, gate: Tensor) -> Tensor:
        """The product."""
        return signal * gate.detach()


class LinearFunction(nn.Module):
    """A function or method of one tensor as a module.

    Parameters
    ----------
    function
        The function.
    args, kwargs
        Its arguments, with nodes for constant tensors.
    position
        The position in `args` of the tensor that the module is called with.
    constants
        The present values of constant tensors, by the targets of their nodes.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        position: int,
        constants: dict[str, Tensor],
    ) -> None:
        super().__init__()
        self.function = function
        self.arguments = args[:position], args[position + 1 :], kwargs
        self.constants = constants

    def forward(self, values: Tensor) -> Tensor:
        """The function of the values."""
        before, after, kwargs = fx.node.map_arg(self.arguments, lambda node: self.constants[str(node.target)].detach())
        return self.function(*before, values, *after, **kwargs)


def assign_rules(traced: TracedModel) -> Rules:
    """Replace sums, gates and linear functions of a graph by modules, and choose the rules that Captum does not know.

    Linear modules and functions have the epsilon rule with Captum's epsilon, 1e-9. Activations pass on relevance unchanged.
    Sums distribute it in proportion to the summands. Gates (products with a sigmoid) pass it on to the signal.

    Returns
    -------
    dict
        The type of a rule by the name of the module in the graph.

    Raises
    ------
    ValueError
        If there is no rule for a module or function. The message names it.
    """
    rules: Rules = {}
    for index, (node, arguments) in enumerate(dependent_nodes(traced.network.graph)):
        if node.op == "call_module":
            rules |= _rule_of_module(traced, node)
        elif node.target not in RESHAPING:
            rules[f"function_{index}"] = EpsilonRule
            replace_call(traced.network, node, f"function_{index}", *_as_module(traced, node, arguments))
    return rules


def _rule_of_module(traced: TracedModel, node: fx.Node) -> Rules:
    """The rule of a module by its name; empty where Captum needs none."""
    name = str(node.target)
    module = traced.network.get_submodule(name)
    if isinstance(module, RESHAPING_MODULES):
        arguments = (
            (module.start_dim, module.end_dim) if isinstance(module, nn.Flatten) else (module.dim, module.unflattened_size)
        )
        node.op, node.target, node.args = "call_function", _FUNCTION_FOR[type(module)], (*node.args, *arguments)
        return {}
    if type(module) in _NONLINEAR_IN_CAPTUM:
        return {}
    computes_weight = any(module.children())  # parametrizations, for instance
    if not computes_weight and (is_linear_module(module) or isinstance(module, _MaxPoolNd)):
        return {name: EpsilonRule}
    if not computes_weight and (isinstance(module, _ACTIVATIONS) or (isinstance(module, _GATES) and _is_used_as_gate(node))):
        return {name: IdentityRule}
    raise _no_rule(traced, node)


def _as_module(traced: TracedModel, node: fx.Node, arguments: list[fx.Node]) -> tuple[nn.Module, tuple[fx.Node, ...]]:
    """The module that replaces a function, and its arguments."""
    if len(arguments) == 2 and node.target in SUMS and not node.kwargs:
        return Addition_Module(), tuple(arguments)
    if len(arguments) == 2 and node.target in PRODUCTS:
        signal, gate = sorted(arguments, key=lambda argument: _is_gate(traced, argument))
        if _is_gate(traced, gate) and not _is_gate(traced, signal):
            return GatedProduct(), (signal, gate)
    constants = [argument for argument in node.all_input_nodes if argument not in arguments]
    if len(arguments) == 1 and is_linear_function(node, arguments) and all(one.op == "get_attr" for one in constants):
        function = node.target if callable(node.target) else getattr(Tensor, node.target)
        position = node.args.index(arguments[0])
        return LinearFunction(function, node.args, dict(node.kwargs), position, traced.constants), (arguments[0],)
    raise _no_rule(traced, node)


def _is_used_as_gate(node: fx.Node) -> bool:
    return all(user.target in PRODUCTS or (user.target in RESHAPING and _is_used_as_gate(user)) for user in node.users)


def _is_gate(traced: TracedModel, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.network.get_submodule(str(node.target)), _GATES)
    return node.target in RESHAPING and _is_gate(traced, node.all_input_nodes[0])


def _no_rule(traced: TracedModel, node: fx.Node) -> ValueError:
    return ValueError(
        f"method='LRP': Captum has no rule for {describe(traced, node)}; choose another method, or a composite of zennit's "
        "with composite="
    )
