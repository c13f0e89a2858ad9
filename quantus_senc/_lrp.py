"""What Captum's LRP demands of a model's graph: a module with a rule for everything that relevance passes through."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule, PropagationRule
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd, _MaxPoolNd

from quantus_senc._traced import replace_call

_LINEAR = (
    nn.Linear,
    _ConvNd,
    _BatchNorm,
    _MaxPoolNd,
    _AvgPoolNd,
    _AdaptiveAvgPoolNd,
    nn.Upsample,
)  # or nearly: Captum's z-rule
_OWN = (nn.ReLU, nn.Tanh)  # Captum itself lets relevance pass through these
_ACTIVATIONS = (
    *(nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardtanh),
)
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)
_SIZES = ("size", "dim", "numel", "shape", "ndim")
_MOVES = {
    *(torch.flatten, torch.cat, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze, torch.chunk),
    *(torch.split, operator.getitem, torch.clone, "flatten", "reshape", "view", "permute", "transpose", "squeeze"),
    *("unsqueeze", "contiguous", "clone", "chunk", "split", "unflatten", "float"),
}
_SCALES = {
    *(operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul, operator.truediv),
    *(operator.itruediv, torch.add, torch.sub, torch.mul, torch.div, "add", "sub", "mul", "div"),
    *(torch.mean, "mean", torch.sum, "sum", F.interpolate, F.pad, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
    *(torch.adaptive_avg_pool1d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
}
_SUMS = {operator.add, operator.iadd, torch.add, "add"}
_PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul"}


class Gated(nn.Module):
    """A signal times a gate, to which no relevance goes (Arras et al., 2017: signal takes all)."""

    def forward(self, signal: Tensor, gate: Tensor) -> Tensor:
        """Their product."""
        return signal * gate.detach()


class Applied(nn.Module):
    """A function or method of one tensor, its other arguments fixed."""

    def __init__(self, function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], position: int) -> None:
        super().__init__()
        self.function = function
        self.before, self.after = args[:position], args[position + 1 :]
        self.kwargs = kwargs

    def forward(self, values: Tensor) -> Tensor:
        """What the function returns."""
        return self.function(*self.before, values, *self.after, **self.kwargs)


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
    live = {node for node in whole.graph.nodes if node.op == "placeholder"}
    for index, node in enumerate(list(whole.graph.nodes)):
        given = [one for one in node.all_input_nodes if one in live]
        if not given or node.op == "output" or _is_size(node):
            continue
        if node.op == "call_module":
            rule = _module_rule(whole, node)
        else:
            node, rule = _function_rule(whole, node, given, f"made_{index}")
        if rule is None:
            raise ValueError(
                f"method='LRP': Captum has no rule for {_described(whole, node, own_names)}; choose another method, or a "
                "composite of zennit's with composite="
            )
        if rule is not PropagationRule:
            rules[str(node.target)] = rule
        live.add(node)
    whole.delete_all_unused_submodules()
    whole.recompile()
    return rules


def _module_rule(whole: fx.GraphModule, node: fx.Node) -> type[PropagationRule] | None:
    """The rule for a module; PropagationRule itself where none is needed, None where there is none."""
    module = whole.get_submodule(str(node.target))
    if isinstance(module, nn.Flatten | nn.Unflatten):
        node.op, node.target = "call_function", _MOVED[type(module)]
        node.args = (*node.args, *_move_arguments(module))
        return PropagationRule
    if type(module) in _OWN:
        return PropagationRule
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        return None
    if isinstance(module, _LINEAR):
        return EpsilonRule
    if isinstance(module, _GATES):
        return IdentityRule if _only_gates(node) else None
    return IdentityRule if isinstance(module, _ACTIVATIONS) and len(node.args[0].users) == 1 else None  # type: ignore[union-attr]


_MOVED: dict[type[nn.Module], Callable[..., Tensor]] = {nn.Flatten: torch.flatten, nn.Unflatten: torch.unflatten}


def _move_arguments(module: nn.Module) -> tuple[Any, ...]:
    return (module.start_dim, module.end_dim) if isinstance(module, nn.Flatten) else (module.dim, module.unflattened_size)


def _only_gates(node: fx.Node) -> bool:
    return all(user.target in _PRODUCTS or (user.target in _MOVES and _only_gates(user)) for user in node.users)


def _function_rule(
    whole: fx.GraphModule, node: fx.Node, given: list[fx.Node], name: str
) -> tuple[fx.Node, type[PropagationRule] | None]:
    """The node that stands for a function from here on, and its rule as for modules."""
    if node.target in _MOVES:
        return node, PropagationRule
    if len(given) == 2 and node.target in _SUMS and not node.kwargs:
        return replace_call(whole, node, name, Addition_Module(), tuple(given)), EpsilonRule
    if len(given) == 2 and node.target in _PRODUCTS:
        signal, gate = sorted(given, key=lambda one: _is_gate(whole, one))
        if _is_gate(whole, gate) and not _is_gate(whole, signal):
            return replace_call(whole, node, name, Gated(), (signal, gate)), EpsilonRule
    if len(given) == 1 and node.target in _SCALES and given[0] in node.args:
        applied = _applied(whole, node, given[0])
        if applied is not None:
            return replace_call(whole, node, name, applied, (given[0],)), EpsilonRule
    return node, None


def _applied(whole: fx.GraphModule, node: fx.Node, given: fx.Node) -> Applied | None:
    constants = {one: _constant(whole, one) for one in node.all_input_nodes if one is not given}
    divides_by_it = node.target in (operator.truediv, operator.itruediv, torch.div) and node.args[0] is not given
    if divides_by_it or node.args.count(given) != 1 or any(value is None for value in constants.values()):
        return None
    function = node.target if callable(node.target) else getattr(Tensor, node.target)
    args = fx.node.map_arg(node.args, lambda one: constants.get(one, one))
    kwargs = fx.node.map_arg(node.kwargs, lambda one: constants.get(one, one))
    return Applied(function, args, kwargs, node.args.index(given))


def _constant(whole: fx.GraphModule, node: fx.Node) -> Tensor | None:
    """The parameter or buffer that a node reads."""
    if node.op != "get_attr":
        return None
    owner, _, name = str(node.target).rpartition(".")
    return getattr(whole.get_submodule(owner), name).detach()


def _is_gate(whole: fx.GraphModule, node: fx.Node) -> bool:
    if node.target in _MOVES and node.op != "call_module":
        return _is_gate(whole, node.all_input_nodes[0])
    return node.op == "call_module" and isinstance(whole.get_submodule(str(node.target)), _GATES)


def _is_size(node: fx.Node) -> bool:
    return node.target in _SIZES or (node.target is getattr and node.args[1] in _SIZES)


def _described(whole: fx.GraphModule, node: fx.Node, own_names: dict[str, str]) -> str:
    """A part of the model in the user's words."""
    if node.op != "call_module":
        name = getattr(node.target, "__name__", node.target)
        near = next((own_names[str(one.target)] for one in node.all_input_nodes if str(one.target) in own_names), "the input")
        return f"the function {name!r} after {near!r}"
    kind = type(whole.get_submodule(str(node.target))).__name__
    return f"{own_names.get(str(node.target), 'a functional')!r} ({kind})"
