"""What Captum's LRP demands of a model's graph: a module with a rule for everything that relevance passes through."""

from collections.abc import Callable
from typing import Any

import torch
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule, PropagationRule
from torch import Tensor, fx, nn
from torch.nn.modules.pooling import _MaxPoolNd

from quantus_senc._parts import MOVES, PRODUCTS, RESHAPING, SUMS, described, is_linear_function, is_linear_module, live_nodes
from quantus_senc._traced import constant, replace_call

_OWN = (nn.ReLU, nn.Tanh)  # Captum itself lets relevance pass through these
_ACTIVATIONS = (
    *(nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardtanh),
)
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)
_MOVED: dict[type[nn.Module], Callable[..., Tensor]] = {nn.Flatten: torch.flatten, nn.Unflatten: torch.unflatten}


class Gated(nn.Module):
    """A signal times a gate, to which no relevance goes (Arras et al., 2017: signal takes all)."""

    def forward(self, signal: Tensor, gate: Tensor) -> Tensor:
        """Their product."""
        return signal * gate.detach()


class Applied(nn.Module):
    """A function or method of one tensor, its other arguments fixed: numbers, or tensors of the model's."""

    def __init__(self, function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], position: int) -> None:
        super().__init__()
        self.function = function
        self.fixed = args[:position], args[position + 1 :], kwargs

    def forward(self, values: Tensor) -> Tensor:
        """What the function returns."""
        before, after, kwargs = fx.node.map_aggregate(self.fixed, lambda one: one.detach() if isinstance(one, Tensor) else one)
        return self.function(*before, values, *after, **kwargs)


def with_rules(whole: fx.GraphModule, own_names: dict[str, str]) -> dict[str, type[PropagationRule]]:
    """Make modules of the sums, gates and linear functions of a graph, and choose the rules that Captum has no default for.

    Linear modules and functions have the z-rule (Captum's default), activations pass relevance on unchanged, sums share it
    out, and gates (a product with a sigmoid) give it to the signal.

    Returns
    -------
    dict
        A kind of rule by the name of the module.

    Raises
    ------
    ValueError
        If Captum has no rule for a part of the model; the message names it.
    """
    rules: dict[str, type[PropagationRule]] = {}
    for index, (node, given) in enumerate(live_nodes(whole.graph)):
        if node.op == "call_module":
            rule = _module_rule(whole, node)
        else:
            node, rule = _function_rule(whole, node, given, f"made_{index}")
        if rule is None:
            raise ValueError(
                f"method='LRP': Captum has no rule for {described(whole, node, own_names)}; choose another method, or a "
                "composite of zennit's with composite="
            )
        if rule is not PropagationRule:
            rules[str(node.target)] = rule
    return rules


def _module_rule(whole: fx.GraphModule, node: fx.Node) -> type[PropagationRule] | None:
    """The rule for a module; PropagationRule itself where none is needed, None where there is none."""
    module = whole.get_submodule(str(node.target))
    if isinstance(module, RESHAPING):
        node.op, node.target = "call_function", _MOVED[type(module)]
        node.args = (*node.args, *_move_arguments(module))
        return PropagationRule
    if type(module) in _OWN:
        return PropagationRule
    if any(module.children()):  # such as what computes its weight
        return None
    if is_linear_module(module) or isinstance(module, _MaxPoolNd):
        return EpsilonRule
    if isinstance(module, _GATES):
        return IdentityRule if _only_gates(node) else None
    return IdentityRule if isinstance(module, _ACTIVATIONS) else None


def _move_arguments(module: nn.Module) -> tuple[Any, ...]:
    return (module.start_dim, module.end_dim) if isinstance(module, nn.Flatten) else (module.dim, module.unflattened_size)


def _only_gates(node: fx.Node) -> bool:
    return all(user.target in PRODUCTS or (user.target in MOVES and _only_gates(user)) for user in node.users)


def _function_rule(
    whole: fx.GraphModule, node: fx.Node, given: list[fx.Node], name: str
) -> tuple[fx.Node, type[PropagationRule] | None]:
    """The node that stands for a function from here on, and its rule as for modules."""
    if node.target in MOVES:
        return node, PropagationRule
    if len(given) == 2 and node.target in SUMS and not node.kwargs:
        return replace_call(whole, node, name, Addition_Module(), tuple(given)), EpsilonRule
    if len(given) == 2 and node.target in PRODUCTS:
        signal, gate = sorted(given, key=lambda one: _is_gate(whole, one))
        if _is_gate(whole, gate) and not _is_gate(whole, signal):
            return replace_call(whole, node, name, Gated(), (signal, gate)), EpsilonRule
    if len(given) == 1 and is_linear_function(node, given):
        applied = _applied(whole, node, given[0])
        if applied is not None:
            return replace_call(whole, node, name, applied, (given[0],)), EpsilonRule
    return node, None


def _applied(whole: fx.GraphModule, node: fx.Node, given: fx.Node) -> Applied | None:
    others = [one for one in node.all_input_nodes if one is not given]
    if any(one.op != "get_attr" for one in others):
        return None
    constants = {one: constant(whole, one) for one in others}
    function = node.target if callable(node.target) else getattr(Tensor, node.target)
    args = fx.node.map_arg(node.args, lambda one: constants.get(one, one))
    kwargs = fx.node.map_arg(node.kwargs, lambda one: constants.get(one, one))
    return Applied(function, args, dict(kwargs), node.args.index(given))


def _is_gate(whole: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(whole.get_submodule(str(node.target)), _GATES)
    return node.target in MOVES and _is_gate(whole, node.all_input_nodes[0])
